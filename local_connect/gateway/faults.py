"""Faults on demand, for the tests of those who call an API: late, wrong and broken answers.

They are kept in memory, so a restart ends them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from aiohttp import web

from local_connect.access import rights
from local_connect.api.common import caller, json_object, services, whole_number
from local_connect.errors import BadRequest, NotFound
from local_connect.log import log
from local_connect.records.store import User

routes = web.RouteTableDef()

#: the kinds of faults, and what each does to a request
KINDS = {
    "delay": "the app gets it seconds later",
    "status": "it is answered with a status, and the app does not get it",
    "cut": "its answer is cut off in the middle",
    "token": "the app gets a session token that is over",
    "kill": "the process that has it is killed",
    "idle": "the content's processes have ended as idle ones do, so one starts for it",
}

#: seconds of the longest delay
_LONGEST = 3600.0


@dataclass
class Fault:
    """One fault, for the requests that it is meant for."""

    number: int
    kind: str
    #: the content's GUID; empty for all content
    guid: str = ""
    #: a part of the path, with its query; empty for every path
    path: str = ""
    #: of the requests that it is meant for, how many it befalls
    share: float = 1.0
    #: requests that it is still to befall; None for no end
    left: int | None = None
    #: of a delay
    seconds: float = 0.0
    #: of an answer
    status: int = 0
    #: requests that it has befallen
    count: int = 0

    @property
    def name(self) -> str:
        """What it is called where it is shown."""
        if self.kind == "delay":
            return f"delay of {self.seconds:g} s"
        return f"status {self.status}" if self.kind == "status" else self.kind

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.number,
            "kind": self.kind,
            "content_guid": self.guid or None,
            "path": self.path or None,
            "share": self.share,
            "next": self.left,
            "seconds": self.seconds if self.kind == "delay" else None,
            "status": self.status or None,
            "count": self.count,
        }


class Faults:
    """The faults of one server. `chance` gives a number from 0 up to 1, by which a share is met."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self.active: list[Fault] = []
        self._chance = chance
        self._numbers = count(1)

    def add(self, fields: Mapping[str, Any]) -> Fault:
        """A new fault, of the fields that the API has; `BadRequest` says which is wrong."""
        fault = _checked(next(self._numbers), fields)
        self.active.append(fault)
        return fault

    def remove(self, number: int) -> None:
        """End one; `NotFound` where there is none of that number."""
        left = [fault for fault in self.active if fault.number != number]
        if len(left) == len(self.active):
            raise NotFound(f"There is no fault {number}, or it has ended.")
        self.active = left

    def reset(self) -> None:
        """End them all."""
        self.active = []

    def befall(self, guid: str, path: str) -> dict[str, Fault]:
        """The faults that befall a request, by their kinds: of each the one that came first."""
        found: dict[str, Fault] = {}
        for fault in self.active:
            if (
                fault.kind not in found
                and fault.guid in ("", guid)
                and fault.path in path
                and self._chance() < fault.share
            ):
                found[fault.kind] = fault
        for fault in found.values():
            fault.count += 1
            if fault.left is not None:
                fault.left -= 1
        self.active = [fault for fault in self.active if fault.left != 0]
        return found


def _checked(number: int, fields: Mapping[str, Any]) -> Fault:
    known = {"kind", "content_guid", "path", "share", "next", "seconds", "status"}
    if unknown := sorted(set(fields) - known):
        raise BadRequest(f"A fault has no {unknown[0]}, only {', '.join(sorted(known))}.")
    given = {name: value for name, value in fields.items() if value is not None}
    kind = given.get("kind")
    if kind not in tuple(KINDS):
        raise BadRequest(f"kind is not one of {', '.join(KINDS)}: {kind!r}.")
    for name, of in (("seconds", "delay"), ("status", "status")):
        if (name in given) != (kind == of):
            verb = "needs" if kind == of else "has no"
            raise BadRequest(f"A fault of the kind {kind} {verb} {name}.")
    for name in ("content_guid", "path"):
        if not isinstance(given.get(name, ""), str):
            raise BadRequest(f"{name} is not text: {given[name]!r}.")
    share = _number(given, "share", 1.0)
    if not 0 < share <= 1:
        raise BadRequest(f"share is not above 0 and at most 1: {share:g}.")
    seconds = _number(given, "seconds", 0.0)
    if not 0 <= seconds <= _LONGEST:
        raise BadRequest(f"seconds are not from 0 to {_LONGEST:g}: {seconds:g}.")
    left, status = given.get("next"), given.get("status", 0)
    if left is not None and (type(left) is not int or left < 1):
        raise BadRequest(f"next is not a whole number from 1 on: {left!r}.")
    if "status" in given and (type(status) is not int or not 400 <= status <= 599):
        raise BadRequest(f"status is not one of an error, from 400 to 599: {status!r}.")
    return Fault(
        number,
        kind,
        given.get("content_guid", ""),
        given.get("path", ""),
        share,
        left,
        seconds,
        status,
    )


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRequest(f"{name} is not a number: {value!r}.")
    return float(value)


FAULTS: web.AppKey[Faults] = web.AppKey("faults", Faults)


@routes.get("/__local__/faults")
async def listed(request: web.Request) -> web.Response:
    """The faults that have not ended, the oldest first, for an administrator."""
    _administrator(request)
    return web.json_response([fault.describe() for fault in request.app[FAULTS].active])


@routes.post("/__local__/faults")
async def add(request: web.Request) -> web.Response:
    """Add one."""
    user = _administrator(request)
    fields = await json_object(request)
    fault = request.app[FAULTS].add(fields)
    log(f"FAULT on demand: {fault.name}, asked for by {user.username}.", colour="red")
    return web.json_response(fault.describe(), status=201)


@routes.delete("/__local__/faults")
async def reset(request: web.Request) -> web.Response:
    """End them all."""
    _administrator(request)
    request.app[FAULTS].reset()
    return web.Response(status=204)


@routes.delete("/__local__/faults/{id}")
async def remove(request: web.Request) -> web.Response:
    """End one."""
    _administrator(request)
    request.app[FAULTS].remove(whole_number(request.match_info["id"], "The fault's id"))
    return web.Response(status=204)


def _administrator(request: web.Request) -> User:
    user = caller(request)
    rights.check_administrator(user)
    services(request).identities.check_lasting(request.headers)
    return user
