"""Connect's API, as far as this server has it: one module for each kind of object.

May import `runtime`, `access`, `records` and `content`.
"""

from __future__ import annotations

from aiohttp import web

from local_connect.api import (
    absent,
    applications,
    bundles,
    checks,
    content,
    environments,
    instrumentation,
    jobs,
    local,
    metrics,
    oauth,
    packages,
    permissions,
    repositories,
    server,
    system,
    tags,
    tasks,
    tokens,
    users,
    vanities,
)
from local_connect.errors import NotFound


def add_routes(app: web.Application) -> None:
    """Add every route of the API, and the answers to what is not there."""
    for module in (
        server,
        users,
        content,
        permissions,
        vanities,
        tags,
        bundles,
        repositories,
        jobs,
        tasks,
        tokens,
        packages,
        instrumentation,
        system,
        checks,
        environments,
        metrics,
        applications,
        oauth,
        local,
    ):
        app.add_routes(module.routes)
    absent.add_routes(app)
    app.router.add_route("*", "/{path:.*}", not_found, expect_handler=ask_for_nothing)


async def ask_for_nothing(_request: web.Request) -> None:
    """Ask for no body, as nobody would take it."""


async def not_found(request: web.Request) -> web.Response:
    raise NotFound(f"There is nothing at {request.path} for {request.method} requests.")
