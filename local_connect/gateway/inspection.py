"""What is shown of the requests that came in: to whom, from whom, with which headers, and why.

No API key, session or token of the server's is in it, nor the value of any header that carries
one, the app's own `Authorization` included.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from local_connect.access import rights
from local_connect.access.identity import KEY_HEADERS, SESSION_COOKIE, Identities
from local_connect.access.tokens import HEADERS as TOKEN_HEADERS
from local_connect.access.visitor_tokens import HEADER as SESSION_TOKEN_HEADER
from local_connect.api.common import caller, services, whole_number
from local_connect.errors import BadRequest, NotFound
from local_connect.gateway import headers as rules
from local_connect.gateway.recorder import Recorder, Recording
from local_connect.runtime.pools import Processes

routes = web.RouteTableDef()

#: what stands in place of a secret
HIDDEN = "(hidden)"

#: marks a request that is sent again from the dashboard
AGAIN_HEADER = "X-Local-Connect-Again"

#: stands for a visitor who is not signed in
NOBODY = "-"

#: headers of which nothing is shown but the scheme
_SECRET_HEADERS = {
    header.upper()
    for header in (*KEY_HEADERS, *TOKEN_HEADERS, SESSION_TOKEN_HEADER, "Proxy-Authorization")
}

_SESSION = re.compile(rf"({SESSION_COOKIE}=)([^;\s]*)", re.ASCII)

#: characters of the shortest text that is taken for a secret, so that no ordinary word is hidden
_SECRET = 8

#: characters that no text has
_BINARY = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")

Headers = list[tuple[str, str]]


class Inspector:
    """The requests that a server has recorded, for whoever may look at them."""

    def __init__(self, recorder: Recorder, identities: Identities, processes: Processes) -> None:
        self._recorder = recorder
        self._identities = identities
        self._processes = processes

    def find(
        self, guid: str = "", *, status: str = "", path: str = "", visitor: str = ""
    ) -> list[Recording]:
        """The newest first: of one content item, by status (`404`, `4xx`), path and visitor.

        `path` is a part of it, and `-` the visitor who is not signed in.
        """
        if status and not re.fullmatch(r"[1-5](\d\d|xx)", status, re.ASCII):
            raise BadRequest(f"status is not one such as 404, or 4xx: {status!r}.")
        return [
            one
            for one in self._recorder.newest_first()
            if guid in ("", one.guid)
            and str(one.status).startswith(status.removesuffix("xx"))
            and path in one.path
            and visitor in ("", one.viewer.username if one.viewer else NOBODY)
        ]

    def get(self, number: int) -> Recording:
        """One of them; `NotFound` where it is not kept any more."""
        recording = self._recorder.find(number)
        if recording is None:
            raise NotFound("There is no such request any more: the last 500 are kept.")
        return recording

    def describe(self, recording: Recording) -> dict[str, Any]:
        """All that is shown of a request."""
        return _describe(recording, self._hider(recording))

    def summaries(self, recordings: Iterable[Recording]) -> list[dict[str, Any]]:
        """The part of the same that a list shows."""
        everyones = self._secrets()
        return [_summary(one, _Hider(everyones | _own(one))) for one in recordings]

    def describe_all(self, recordings: Iterable[Recording]) -> list[dict[str, Any]]:
        everyones = self._secrets()
        return [_describe(one, _Hider(everyones | _own(one))) for one in recordings]

    def passing(self, recording: Recording) -> Headers:
        """The visitor's headers that passed, to be shown."""
        return self._hider(recording).headers(
            rules.from_visitor(recording.sent, signed=recording.signed)
        )

    def _hider(self, recording: Recording) -> _Hider:
        return _Hider(self._secrets() | _own(recording))

    def _secrets(self) -> set[str]:
        return {*self._identities.secrets(), *self._processes.secrets()}


class _Hider:
    """Takes secrets out of what is shown."""

    def __init__(self, secrets: set[str]) -> None:
        known = sorted((one for one in secrets if len(one) >= _SECRET), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, known)) or "(?!)")
        self._longest = len(known[0]) if known else 0

    def text(self, text: str) -> str:
        return self._secrets.sub(HIDDEN, text)

    def header(self, name: str, value: str) -> str:
        value = rules.printable(value)
        if name.upper().replace("_", "-") in _SECRET_HEADERS:
            scheme, space, _ = value.partition(" ")
            return f"{scheme} {HIDDEN}" if space and scheme.isalpha() else HIDDEN
        return self.text(_SESSION.sub(rf"\1{HIDDEN}", value))

    def headers(self, headers: Iterable[tuple[str, str]]) -> Headers:
        return [(name, self.header(name, value)) for name, value in headers]

    def body(self, kept: bytes, size: int) -> tuple[str | None, str]:
        """A body's text, if it is one, and what is to be said of it.

        Where only its beginning is kept, the end of that could be half of a secret.
        """
        whole = len(kept) == size
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(kept, final=whole)
        except UnicodeDecodeError:
            return None, "It is not text."
        if _BINARY.search(text):
            return None, "It is not text."
        text = self.text(text)
        if whole:
            return text, ""
        return text[: len(text) - self._longest], "This is its beginning."


def _own(recording: Recording) -> set[str]:
    """The secrets that a request itself has brought."""
    found = set()
    for name, value in (*recording.sent.items(), *recording.headers):
        if name.upper().replace("_", "-") in _SECRET_HEADERS:
            found |= {value, *value.split()}
        else:
            found |= {match[2] for match in _SESSION.finditer(value)}
    return found


def _summary(one: Recording, hider: _Hider) -> dict[str, Any]:
    return {
        "id": one.number,
        "time": datetime.fromtimestamp(one.time, UTC).isoformat().replace("+00:00", "Z"),
        "content_guid": one.guid,
        "bundle_id": str(one.launch.bundle_id) if one.launch else None,
        "visitor": one.viewer.username if one.viewer else None,
        "method": one.method,
        "path": hider.text(rules.printable(one.path)),
        "below_mount": hider.text(rules.printable(one.path.removeprefix(one.mount))),
        "status": one.status or None,
        "ended": bool(one.ended),
        "error": one.error or None,
        "faults": one.faults or None,
        "process_seconds": _between(one.began, one.asked),
        "app_seconds": _between(one.asked, one.answered),
        "total_seconds": _between(one.began, one.ended),
        "request_bytes": one.body_bytes,
        "answer_bytes": one.answer_bytes,
    }


def _describe(one: Recording, hider: _Hider) -> dict[str, Any]:
    body, body_note = hider.body(one.body, one.body_bytes)
    answer, answer_note = hider.body(one.kept_answer, one.answer_bytes)
    received = list(_received(one))
    # what the server says itself in the visitor's own words is not missed
    same = {name for name, value in one.sent.items() if (name, value) in received}
    return {
        **_summary(one, hider),
        "sent": hider.headers(_sent(one)),
        "received": hider.headers(received),
        "dropped": _whys(
            (name, why)
            for name, why in rules.dropped(one.sent, signed=one.signed)
            if name not in same and name != AGAIN_HEADER
        ),
        "set": _whys((name, rules.SET[name]) for name, _ in received if name in rules.SET),
        "mount": _mount(one),
        "body": body,
        "body_note": body_note,
        "answer_headers": hider.headers(rules.answered(one.answer_headers, one.mount)),
        "answer_dropped": _whys(rules.kept_back(one.answer_headers, one.mount)),
        "answer_body": answer,
        "answer_note": answer_note,
    }


def _whys(found: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "why": why} for name, why in found]


def _between(start: float, end: float) -> float | None:
    """Seconds between two moments, where both have come."""
    return round(end - start, 6) if start and end else None


def _sent(one: Recording) -> Iterator[tuple[str, str]]:
    """The visitor's headers, less the mark of a request that is sent again from here."""
    return ((name, value) for name, value in one.sent.items() if name != AGAIN_HEADER)


def _received(one: Recording) -> Iterator[tuple[str, str]]:
    """The headers that the app got."""
    if one.launch is None:
        return
    for name, value in one.headers:
        if name != rules.ENVIRON_HEADER:
            yield name, value
    if one.length is not None:
        yield "Content-Length", str(one.length)


def _mount(one: Recording) -> dict[str, str]:
    """Where the app was told to be, in the terms of its kind of server."""
    told = json.loads(dict(one.headers).get(rules.ENVIRON_HEADER, "{}"))
    if one.launch is None or not told:
        return {}
    if one.launch.is_asgi:
        return {
            "served by": "ASGI",
            "root_path": told["SCRIPT_NAME"],
            "scheme": told["wsgi.url_scheme"],
            "server": f"{told['SERVER_NAME']}:{told['SERVER_PORT']}",
            "client": f"{told['REMOTE_ADDR']}:{told['REMOTE_PORT']}",
        }
    path = one.path.partition("#")[0].partition("?")[0]
    return {
        "served by": "WSGI",
        "SCRIPT_NAME": told["SCRIPT_NAME"],
        "PATH_INFO": unquote(path.removeprefix(one.mount)),
        **{name: value for name, value in told.items() if name != "SCRIPT_NAME"},
    }


INSPECTOR: web.AppKey[Inspector] = web.AppKey("inspector", Inspector)


def inspector(request: web.Request) -> Inspector:
    """The server's, or 404 where it records nothing."""
    found = request.app.get(INSPECTOR)
    if found is None:
        raise NotFound("This server keeps no requests, as it was started with --no-requests.")
    return found


@routes.get("/__local__/requests")
async def requests(request: web.Request) -> web.Response:
    """The last requests for content, the newest first, for an administrator."""
    rights.check_administrator(caller(request))
    services(request).identities.check_lasting(request.headers)
    query = request.query
    found = inspector(request).find(
        query.get("content_guid", ""),
        status=query.get("status", ""),
        path=query.get("path", ""),
        visitor=query.get("visitor", ""),
    )
    if limit := query.get("limit"):
        found = found[: whole_number(limit, "limit")]
    return web.json_response(
        inspector(request).describe_all(found), headers={"Cache-Control": "no-store"}
    )
