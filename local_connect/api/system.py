"""`v1/system/caches/runtime`: the environments of content, by the Python that they are for."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from local_connect.access import rights
from local_connect.api.common import caller, json_object, services
from local_connect.errors import BadRequest, NotFound

routes = web.RouteTableDef()


@routes.get("/__api__/v1/system/caches/runtime")
async def find_caches(request: web.Request) -> web.Response:
    """All of them, for an administrator."""
    rights.check_administrator(caller(request))
    caches = [_answer(version) for version in services(request).deploys.caches()]
    return web.json_response({"caches": caches})


@routes.delete("/__api__/v1/system/caches/runtime")
async def delete_cache(request: web.Request) -> web.Response:
    """Begin to delete one; with `dry_run` only see whether it could be."""
    user = caller(request)
    rights.check_administrator(user)
    body = await json_object(request)
    version, dry_run = body.get("version"), body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise BadRequest("dry_run is neither true nor false.")
    deploys = services(request).deploys
    if (
        str(body.get("language")).casefold() != "python"
        or body.get("image_name") != "Local"
        or not isinstance(version, str)
        or version not in deploys.caches()
    ):
        raise NotFound(
            "There is no such runtime cache: "
            f"{body.get('language')} {version}, image {body.get('image_name')}."
        )
    task_id = None if dry_run else deploys.delete_cache(user.guid, version).id
    return web.json_response({**_answer(version), "task_id": task_id})


def _answer(version: str) -> dict[str, Any]:
    return {"language": "Python", "version": version, "image_name": "Local"}
