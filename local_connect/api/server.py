"""`server_settings` and `v1/user`: what clients ask before anything else."""

from __future__ import annotations

import socket
from dataclasses import asdict

from aiohttp import web

from local_connect.api.common import caller, services
from local_connect.api.content import ACCESS_TYPES, MOST
from local_connect.errors import Forbidden, NotFound

routes = web.RouteTableDef()

#: what content may be limited to on Connect, and not here
_UNLIMITED = (
    "cpu_request",
    "cpu_limit",
    "memory_request",
    "memory_limit",
    "amd_gpu_limit",
    "nvidia_gpu_limit",
)


@routes.get("/__api__/server_settings")
async def server_settings(request: web.Request) -> web.Response:
    """What this server is and has; it needs no key."""
    version = services(request).settings.connect_version
    has_git = services(request).repositories.available
    return web.json_response(
        {
            "version": version,
            "about": f"local-connect, following Posit Connect {version}",
            "hostname": socket.gethostname(),
            "license": {
                "allow-apis": True,
                "current-user-execution": False,
                "enable-launcher": False,
                "oauth-integrations": True,
            },
            "runtimes": ["python"],
            "execution_type": "native",
            "git_enabled": has_git,
            "git_available": has_git,
            "enable_runtime_constraints": False,
            "enable_image_management": False,
            "default_image_selection_enabled": False,
            "default_environment_management_selection": False,
            "default_r_environment_management": False,
            "default_py_environment_management": True,
            "oauth_integrations_enabled": True,
        }
    )


@routes.get("/__api__/server_settings/applications")
async def applications_settings(request: web.Request) -> web.Response:
    """What content may be set to."""
    caller(request)
    return web.json_response(
        {
            "access_types": list(ACCESS_TYPES),
            "run_as": "",
            "run_as_group": "",
            "run_as_current_user": False,
        }
    )


@routes.get("/__api__/server_settings/scheduler")
@routes.get("/__api__/server_settings/scheduler/{app_mode}")
async def scheduler_settings(request: web.Request) -> web.Response:
    """What the scheduling fields of content are where they are null, and their limits.

    No type of content has its own. Nothing here limits memory or processors (0: no limit).
    """
    caller(request)
    app_mode = request.match_info.get("app_mode", "python-api")
    if app_mode not in ("python-api", "python-fastapi"):
        raise NotFound(f"There is no such type of content here: {app_mode}.")
    return web.json_response(
        {
            **asdict(services(request).settings.scheduling),
            "min_processes_limit": MOST,
            "max_processes_limit": MOST,
            **dict.fromkeys(_UNLIMITED, 0),
            **dict.fromkeys((f"max_{name}" for name in _UNLIMITED), 0),
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
                {
                    "version": str(python.version),
                    "cluster_name": "Local",
                    "image_name": "Local",
                    "publishable": True,
                }
                for python in await services(request).pythons.all()
            ],
            "api_enabled": True,
            "conda_enabled": False,
        }
    )


@routes.get("/__api__/v1/server_settings/r")
@routes.get("/__api__/v1/server_settings/quarto")
@routes.get("/__api__/v1/server_settings/tensorflow")
async def no_settings(request: web.Request) -> web.Response:
    """Runtimes that this server does not have."""
    caller(request)
    return web.json_response({"installations": []})


@routes.get("/__api__/v1/server_settings/nodejs")
async def nodejs_settings(request: web.Request) -> web.Response:
    caller(request)
    return web.json_response({"enabled": False, "installations": []})
