"""`v1/environments`: images that run content, of which off-host execution has some."""

from __future__ import annotations

from aiohttp import web

from local_connect.access import rights
from local_connect.api.common import caller
from local_connect.errors import BadRequest, NotFound

routes = web.RouteTableDef()


@routes.get("/__api__/v1/environments")
async def find_environments(request: web.Request) -> web.Response:
    """None of them."""
    rights.check_publish(caller(request))
    return web.json_response([])


@routes.post("/__api__/v1/environments")
async def create_environment(request: web.Request) -> web.Response:
    rights.check_administrator(caller(request))
    raise BadRequest("Execution environments need off-host execution, which this server has not.")


@routes.get("/__api__/v1/environments/{guid}")
@routes.put("/__api__/v1/environments/{guid}")
@routes.delete("/__api__/v1/environments/{guid}")
@routes.get("/__api__/v1/environments/{guid}/permissions")
@routes.post("/__api__/v1/environments/{guid}/permissions")
async def get_environment(request: web.Request) -> web.Response:
    rights.check_publish(caller(request))
    raise NotFound("There is no such execution environment: this server has no off-host execution.")
