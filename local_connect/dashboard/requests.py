"""The requests that came in for a content item: what was sent, received and answered."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from local_connect.api.common import services, whole_number
from local_connect.dashboard import pages
from local_connect.dashboard.items import Item, see_to_change
from local_connect.errors import ApiError, BadRequest, NotFound
from local_connect.gateway.inspection import INSPECTOR, NOBODY, inspector
from local_connect.gateway.recorder import Recording

routes = web.RouteTableDef()

#: what a page of requests can be narrowed by
_FILTERS = ("status", "path", "visitor")


@routes.get("/connect/apps/{guid}/requests")
async def requests(request: web.Request) -> web.Response:
    """The last requests, the newest first; `id` opens one, and `beside` another beside it."""
    pages.check_window(request)
    viewer = services(request).identities.from_session(request)
    return show(request, see_to_change(request, viewer, request.match_info["guid"]))


def show(
    request: web.Request,
    item: Item,
    *,
    form: dict[str, str] | None = None,
    refusal: ApiError | None = None,
) -> web.Response:
    """The page, also as the answer to its form that is refused."""
    form = form or {}
    filters = _filters(request)
    found: list[Recording] = []
    chosen = beside = None
    if INSPECTOR in request.app:
        try:
            found = inspector(request).find(item.content.guid, **filters)
        except BadRequest as wrong:
            refusal = refusal or wrong
            found = inspector(request).find(item.content.guid)
        wanted = form.get("id") or request.query.get("id")
        if wanted:
            chosen = of(request, item, whole_number(wanted, "id"))
        elif found:
            chosen = found[0]
        if other := request.query.get("beside"):
            beside = of(request, item, whole_number(other, "beside"))
    describe = inspector(request).describe if INSPECTOR in request.app else None
    return pages.page(
        request,
        "requests.html",
        here=f"{item.page}requests",
        token=form.get("token", ""),
        status=refusal.status if refusal else 200,
        refusal=refusal,
        item=item,
        records=INSPECTOR in request.app,
        requests=inspector(request).summaries(found) if found else [],
        query=_query(filters),
        filters=filters,
        nobody=NOBODY,
        under_way=[one.number for one in found if not one.ended],
        newest=max((one.number for one in found), default=0),
        chosen=describe(chosen) if describe and chosen else None,
        beside=describe(beside) if describe and beside else None,
        curl=_curl(request, chosen) if chosen else None,
    )


def of(request: web.Request, item: Item, number: int) -> Recording:
    """One request for this content; `NotFound` where it is of another, or not kept any more."""
    recording = inspector(request).get(number)
    if recording.guid != item.content.guid:
        raise NotFound("There is no such request for this content.")
    return recording


def news(request: web.Request, item: Item, since: int, under_way: set[int]) -> list[dict[str, Any]]:
    """The rows of what came in after number `since`, or has ended, the oldest first.

    `under_way` are the numbers of those that had not ended when they were shown.
    """
    if INSPECTOR not in request.app:
        return []
    filters = _filters(request)
    shown = []
    for one in reversed(inspector(request).find(item.content.guid, **filters)):
        if one.number <= since and one.number not in under_way:
            continue
        if one.ended:
            under_way.discard(one.number)
        elif one.number in under_way:
            continue
        else:
            under_way.add(one.number)
        shown.append(one)
    values = {"item": item, "query": _query(filters), "chosen": None}
    return [
        {"number": one["id"], "row": pages.fragment("request_row.html", one=one, **values)}
        for one in inspector(request).summaries(shown)
    ]


def _filters(request: web.Request) -> dict[str, str]:
    return {name: request.query.get(name, "").strip() for name in _FILTERS}


def _query(filters: dict[str, str]) -> str:
    """What a link to one of them ends with, so that the list stays as it is."""
    return "".join(f"&{urlencode({name: value})}" for name, value in filters.items() if value)


def _curl(request: web.Request, recording: Recording) -> tuple[str, str]:
    """A command that sends it again, from a shell, in two parts.

    The API key of whoever copies it belongs between these; the second is empty where none does.
    """
    described = inspector(request).describe(recording)
    headers = inspector(request).passing(recording)
    names = {name.lower() for name, _ in headers}
    own = "X-RSC-Authorization" if "authorization" in names else "Authorization"
    parts = ["curl", "--globoff"]
    if recording.method == "HEAD":
        parts.append("--head")
    elif recording.method != ("POST" if recording.body else "GET"):
        parts += ["--request", recording.method]
    for name, value in headers:
        if name.lower() == "accept-encoding":
            parts.append("--compressed")
        else:
            # curl leaves out a header that ends with a colon
            parts += ["--header", f"{name}: {value}" if value else f"{name};"]
    if recording.body:
        if "content-type" not in names:
            parts += ["--header", "Content-Type:"]
        if described["body"] is None or described["body_note"]:
            parts += ["--data-binary", "@body"]
        else:
            parts += ["--data-raw", described["body"]]
    parts.append(f"{services(request).addresses.base_url(request)}{described['path']}")
    command = shlex.join(parts)
    if recording.viewer is None:
        return command, ""
    return f"curl --header '{own}: Key ", f"' {command.removeprefix('curl ')}"
