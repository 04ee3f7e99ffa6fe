"""`server_settings` and `v1/user`: what clients ask before anything else."""

from __future__ import annotations

import socket
from typing import Any

from aiohttp import web

from local_connect.api.common import caller, rooms
from local_connect.config import CONNECT_VERSION
from local_connect.store import User

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


@routes.get("/__api__/v1/server_settings/python")
async def python_settings(request: web.Request) -> web.Response:
    caller(request)
    return web.json_response(
        {
            "installations": [
                {"version": str(python.version), "cluster_name": "Local", "image_name": "Local"}
                for python in rooms(request).pythons
            ],
            "api_enabled": True,
            "conda_enabled": False,
        }
    )


@routes.get("/__api__/v1/user")
async def current_user(request: web.Request) -> web.Response:
    return web.json_response(user_answer(caller(request)))


def user_answer(user: User) -> dict[str, Any]:
    """A user as Connect's API shows one."""
    return {
        "guid": user.guid,
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "user_role": user.user_role,
        "created_time": user.created_time,
        "updated_time": user.created_time,
        "active_time": None,
        "confirmed": True,
        "locked": False,
    }
