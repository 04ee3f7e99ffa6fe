"""`/__local__/`: what only this server has, for tests and scripts."""

from __future__ import annotations

from aiohttp import web

from local_connect import __version__
from local_connect.access import rights
from local_connect.api.common import caller, content_of, services

routes = web.RouteTableDef()


@routes.get("/__local__/health")
async def health(_request: web.Request) -> web.Response:
    """Answers as soon as the server does; needs no key."""
    return web.json_response({"status": "ok", "version": __version__})


@routes.get("/__local__/users")
async def users(request: web.Request) -> web.Response:
    """Every identity with its key, for an administrator.

    The key of a visitor that content was given for a while is no way to one that lasts.
    """
    rights.check_administrator(caller(request))
    services(request).identities.check_lasting(request.headers)
    return web.json_response(
        [
            {
                "username": user.username,
                "guid": user.guid,
                "user_role": user.user_role,
                "groups": [group.name for group in user.groups],
                "api_key": user.api_key,
            }
            for user in services(request).identities.all()
        ]
    )


@routes.get("/__local__/content/{guid}/session-token")
async def session_token(request: web.Request) -> web.Response:
    """The token that the content would get with a request of the caller's."""
    user = caller(request)
    content = content_of(request, user)
    rights.check_open(user, content)
    token = services(request).identities.session_token(user, content.guid)
    return web.json_response({"session_token": token}, headers={"Cache-Control": "no-store"})
