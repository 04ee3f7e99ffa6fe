"""`v1/environments`: images that content runs in off-host, of which there are none here."""

from __future__ import annotations

from aiohttp import web

from local_connect.access import rights
from local_connect.api.common import caller
from local_connect.errors import NotFound

routes = web.RouteTableDef()


@routes.get("/__api__/v1/environments")
async def find_environments(request: web.Request) -> web.Response:
    rights.check_publish(caller(request))
    return web.json_response([])


@routes.get("/__api__/v1/environments/{guid}")
async def get_environment(request: web.Request) -> web.Response:
    rights.check_publish(caller(request))
    raise NotFound("There is no such execution environment: this server runs nothing off-host.")
