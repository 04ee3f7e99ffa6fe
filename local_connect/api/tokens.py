"""`tokens`: the sign-in of Posit Publisher and RStudio, which then sign their requests."""

from __future__ import annotations

from aiohttp import web

from local_connect.access.addresses import DASHBOARD
from local_connect.api.common import json_object, services
from local_connect.errors import BadRequest

routes = web.RouteTableDef()


@routes.post("/__api__/tokens")
async def create_token(request: web.Request) -> web.Response:
    """Take a public key; the answer names the page where somebody approves it.

    It needs no key, and `user_id`, which clients send as 0, is not looked at.
    """
    body = await json_object(request)
    for field in ("token", "public_key"):
        if not isinstance(body.get(field), str):
            raise BadRequest(f"{field} is not text.")
    services(request).identities.tokens.register(body["token"], body["public_key"])
    base = services(request).addresses.base_url(request)
    return web.json_response({"token_claim_url": f"{base}{DASHBOARD}claim/{body['token']}"})
