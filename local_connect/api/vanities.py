"""`v1/content/{guid}/vanity` and `v1/vanities`: the second address of content."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from local_connect.access import rights
from local_connect.api.common import (
    caller,
    content_of,
    content_to_change,
    json_object,
    services,
)
from local_connect.errors import BadRequest, NotFound
from local_connect.records.store import Vanity

routes = web.RouteTableDef()


@routes.get("/__api__/v1/vanities")
async def find_vanities(request: web.Request) -> web.Response:
    """Every vanity URL, for an administrator."""
    rights.check_administrator(caller(request))
    return web.json_response([_answer(vanity) for vanity in services(request).vanities.all()])


@routes.get("/__api__/v1/content/{guid}/vanity")
async def get_vanity(request: web.Request) -> web.Response:
    content = content_of(request, caller(request))
    vanity = services(request).vanities.get(content.guid)
    if vanity is None:
        raise NotFound("This content has no vanity URL.")
    return web.json_response(_answer(vanity))


@routes.put("/__api__/v1/content/{guid}/vanity")
async def set_vanity(request: web.Request) -> web.Response:
    """Set or change it; `force` takes the path away from content that has it now."""
    user = caller(request)
    content = content_to_change(request, user)
    body = await json_object(request)
    path, force = body.get("path"), body.get("force", False)
    if not isinstance(path, str):
        raise BadRequest("path is not text.")
    if not isinstance(force, bool):
        raise BadRequest("force is neither true nor false.")
    if force:
        rights.check_administrator(user)
    vanity = services(request).vanities.set(content.guid, path, force=force)
    return web.json_response(_answer(vanity))


@routes.delete("/__api__/v1/content/{guid}/vanity")
async def delete_vanity(request: web.Request) -> web.Response:
    content = content_to_change(request, caller(request))
    if not services(request).vanities.remove(content.guid):
        raise NotFound("This content has no vanity URL.")
    return web.Response(status=204)


def _answer(vanity: Vanity) -> dict[str, Any]:
    return {
        "content_guid": vanity.content_guid,
        "path": vanity.path,
        "created_time": vanity.created_time,
    }
