"""The pages of this server itself: the sign-in, and refusals to a browser.

They are kept apart from content, which shares their address: no content can put one in a
frame, fetch it, or look into a window that shows one, so none can sign its visitor in
as someone else. Each is sandboxed, which gives it an origin that nothing else has; to
cut the window's opener off is not enough, because content can give its own pages the
same `Cross-Origin-Opener-Policy`, in a service worker, and then keep the window.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from local_connect.api.common import rooms
from local_connect.errors import ApiError, BadRequest, Forbidden, NotImplementedHere
from local_connect.identity import KEY_HEADERS, SESSION_COOKIE
from local_connect.store import User

routes = web.RouteTableDef()

SIGN_IN = "/__login__"

#: a session is nothing there, so nobody is led to sign in
_FOR_PROGRAMS = ("/__api__/", "/__local__/")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; sandbox allow-forms"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_STATIC = Path(__file__).parent / "static"

_templates = Environment(
    loader=PackageLoader("local_connect"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@routes.get(SIGN_IN)
async def sign_in_page(request: web.Request) -> web.Response:
    """The identities to choose from; `url` is where the visitor goes on to."""
    _check_window(request)
    identities = rooms(request).identities
    return _page(
        "sign_in.html",
        users=identities.all(),
        viewer=identities.from_session(request),
        token=identities.open_form(request),
        url=_local_path(request.query.get("url", SIGN_IN)),
    )


@routes.post(SIGN_IN)
async def sign_in(request: web.Request) -> web.Response:
    """Start the session of the chosen identity, or end the one there is."""
    _check_window(request)
    identities = rooms(request).identities
    form = await request.post()
    token, username = form.get("token"), form.get("username")
    if not isinstance(token, str) or not isinstance(username, str):
        raise BadRequest("The form is not whole.")
    # a sandboxed page's form comes from no origin; that it is ours, the token shows
    if request.headers.get("Origin", "null") != "null" or not identities.take_form(token):
        raise Forbidden(
            f"This form is from another page, or was sent before. Open {SIGN_IN} again."
        )
    response = web.Response(
        status=303, headers={"Location": _local_path(str(form.get("url", SIGN_IN)))}
    )
    if username:
        session = identities.sign_in(username)
        if session is None:
            raise BadRequest(f"There is no user {username}.")
        response.set_cookie(SESSION_COOKIE, session, path="/", httponly=True, samesite="Lax")
    else:
        response.del_cookie(SESSION_COOKIE, path="/")
    return response


@routes.get("/connect{path:(/.*)?}")
async def dashboard(_request: web.Request) -> web.Response:
    raise NotImplementedHere(
        "local-connect does not implement Connect's dashboard. Content is at its content_url, "
        "which rsconnect prints as its direct URL."
    )


@routes.get("/__local__/static/style.css")
async def style(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "style.css")


@routes.get("/favicon.ico")
async def icon(_request: web.Request) -> web.FileResponse:
    """What a browser asks for by itself on every page, content's too."""
    return web.FileResponse(_STATIC / "favicon.svg")


def refuse(request: web.Request, refusal: ApiError, viewer: User | None) -> web.Response:
    """A refusal as a person should see it: a stranger is led to the sign-in page."""
    sign_in_here = f"{SIGN_IN}?url={quote(request.raw_path, safe='/')}"
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        return web.Response(status=302, headers={"Location": sign_in_here})
    return _page(
        "refused.html",
        status=refusal.status,
        title=HTTPStatus(refusal.status).phrase,
        error=refusal.error,
        sign_in=sign_in_here if viewer or refusal.status == HTTPStatus.NOT_FOUND else "",
    )


def wants_page(request: web.Request) -> bool:
    """Whether a person in a browser asks for a page, and not a program, or for the API."""
    return (
        request.method in ("GET", "HEAD")
        and not request.path.startswith(_FOR_PROGRAMS)
        and "text/html" in request.headers.get("Accept", "")
        and not any(header in request.headers for header in KEY_HEADERS)
    )


def _check_window(request: web.Request) -> None:
    """Raise where a browser says that it does not go to the page, but fetches or frames it."""
    if (
        request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
        or request.headers.get("Sec-Fetch-Dest", "document") != "document"
    ):
        raise Forbidden("The sign-in page opens in a window of its own only.")


def _page(template: str, *, status: int = 200, **values: object) -> web.Response:
    return web.Response(
        text=_templates.get_template(template).render(values),
        content_type="text/html",
        status=status,
        headers=_HEADERS,
    )


def _local_path(url: str) -> str:
    """The path on this server that a visitor may be sent to; the sign-in page for any other."""
    plain = url.isascii() and url.isprintable() and " " not in url
    if plain and url.startswith("/") and not url.startswith("//") and "\\" not in url:
        return url
    return SIGN_IN
