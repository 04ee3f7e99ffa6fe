"""Server-sent events for the pages that are open: states of content, and lines of logs."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from aiohttp import web

from local_connect.api.common import services, whole_number
from local_connect.dashboard import logs, requests
from local_connect.dashboard.items import see_to_change, state_of, visible
from local_connect.errors import ApiError

routes = web.RouteTableDef()

#: seconds between two looks for news, while somebody is watching
_PERIOD = 0.5


@routes.get("/connect/live", allow_head=False)
async def live(request: web.Request) -> web.StreamResponse:
    """The stream of events of one open page.

    `states` carries the state of each content item, by GUID; `lines` what a log has got
    since line `from`; `end` that the log is at its end; `requests` those that have come or ended
    since number `from`, of those that the page shows.
    """
    token = request.query.get("token", "")
    viewer = services(request).identities.from_form(token)
    guid, name = request.query.get("guid"), request.query.get("log")
    shows_requests = "requests" in request.query
    sent = whole_number(request.query.get("from", "0"), "from")
    if guid and (name or shows_requests):
        see_to_change(request, viewer, guid)
    under_way = {
        whole_number(number, "under_way")
        for number in request.query.get("under_way", "").split(",")
        if number
    }
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            # what a page without an origin is called
            "Access-Control-Allow-Origin": "null",
        }
    )
    await response.prepare(request)
    states: dict[str, str] = {}
    # once the answer has begun, all that a refusal can do is to end it
    with suppress(ApiError):
        while services(request).identities.from_form(token) == viewer:
            now = {
                content.guid: state_of(request, content)
                for content in visible(request, viewer)
                if guid in (None, content.guid)
            }
            if now != states:
                states = now
                await _send(response, "states", states)
            if guid and shows_requests:
                item = see_to_change(request, viewer, guid)
                if rows := requests.news(request, item, sent, under_way):
                    await _send(response, "requests", rows)
                    sent = max(sent, *(row["number"] for row in rows))
            if guid and name:
                content = see_to_change(request, viewer, guid).content
                entry = next((e for e in logs.find(request, content) if e.name == name), None)
                lines = entry.lines() if entry else []
                if len(lines) < sent:
                    # the beginning of a long log is dropped
                    sent = 0
                    await _send(response, "reset", None)
                if len(lines) > sent:
                    new = [[line.time, line.text] for line in lines[sent:]]
                    await _send(response, "lines", new)
                    sent = len(lines)
                if entry is None or entry.ended:
                    await _send(response, "end", None)
                    break
            await asyncio.sleep(_PERIOD)
    return response


async def _send(response: web.StreamResponse, event: str, data: object) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())
