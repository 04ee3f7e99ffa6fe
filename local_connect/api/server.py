"""`server_settings` and `v1/user`: what clients ask before anything else."""

from __future__ import annotations

import socket

from aiohttp import web

from local_connect.api.common import caller, services
from local_connect.config import CONNECT_VERSION
from local_connect.errors import Forbidden

routes = web.RouteTableDef()


@routes.get("/__api__/server_settings")
async def server_settings(_request: web.Request) -> web.Response:
    return web.json_response(
        {
            "version": CONNECT_VERSION,
            "about": f"local-connect, following Posit Connect {CONNECT_VERSION}",
            "hostname": socket.gethostname(),
        }
    )


@routes.post("/__api__/v1/experimental/bootstrap")
async def bootstrap(_request: web.Request) -> web.Response:
    """For a server without users; this one always has them."""
    raise Forbidden("This server has its users already, and printed their keys when it started.")


@routes.get("/__api__/v1/server_settings/python")
async def python_settings(request: web.Request) -> web.Response:
    caller(request)
    return web.json_response(
        {
            "installations": [
                {"version": str(python.version), "cluster_name": "Local", "image_name": "Local"}
                for python in await services(request).pythons.all()
            ],
            "api_enabled": True,
            "conda_enabled": False,
        }
    )
