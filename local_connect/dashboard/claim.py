"""The page where somebody lets a program, such as Posit Publisher, act as one of the identities."""

from __future__ import annotations

from aiohttp import web

from local_connect.api.common import services
from local_connect.dashboard import pages
from local_connect.errors import BadRequest

routes = web.RouteTableDef()


@routes.get("/connect/claim/{name}")
async def claim_page(request: web.Request) -> web.Response:
    """The identities to choose from."""
    pages.check_window(request)
    services(request).identities.tokens.check_unclaimed(request.match_info["name"])
    return pages.page(request, "claim.html", here=request.path, script=False, claimed="")


@routes.post("/connect/claim/{name}")
async def claim(request: web.Request) -> web.Response:
    """Let the token's requests be those of the chosen identity."""
    identities = services(request).identities
    form = await pages.read_form(request)
    # a form that no page of ours has open is refused
    identities.from_form(form["token"])
    chosen = [user for user in identities.all() if user.username == form.get("username")]
    if not chosen:
        raise BadRequest(f"There is no user {form.get('username')}.")
    identities.tokens.claim(request.match_info["name"], chosen[0].guid)
    return pages.page(
        request,
        "claim.html",
        here=request.path,
        script=False,
        token=form["token"],
        claimed=chosen[0].username,
    )
