"""What the pages of this server have in common, with the two simplest: sign-in and refusal.

They are kept apart from content, which shares their address: no content can put one in a
frame, fetch it, or look into a window that shows one, so none can sign its visitor in
as someone else. Each is sandboxed, which gives it an origin that nothing else has; to
cut the window's opener off is not enough, because content can give its own pages the
same `Cross-Origin-Opener-Policy`, in a service worker, and then keep the window.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from local_connect.access.addresses import DASHBOARD, SIGN_IN
from local_connect.api.common import form_fields, services
from local_connect.errors import ApiError, BadRequest, Forbidden, NotDeployed
from local_connect.gateway.faults import FAULTS
from local_connect.records.store import User

routes = web.RouteTableDef()

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; sandbox allow-forms"
)

#: further, for pages with a script
_WITH_SCRIPT = " allow-scripts; script-src 'self'; connect-src 'self'"

_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_STATIC = Path(__file__).parent / "static"

_templates = Environment(
    loader=PackageLoader("local_connect.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals |= {"dashboard": DASHBOARD, "sign_in_path": SIGN_IN}


def ago(time: str) -> str:
    """How long ago a time of the API's was, in words."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    return f"{long} ago" if (long := _long(seconds)) else "just now"


def until(time: str) -> str:
    """In how long a time of the API's will be, in words."""
    seconds = (datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()
    return f"in {_long(seconds) or 'less than a minute'}"


def _long(seconds: float) -> str:
    """So many days, hours or minutes, in words; empty for less than a minute."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if (count := int(seconds // size)) > 0:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return ""


def seconds(number: float | None) -> str:
    """A span of time, for reading."""
    if number is None:
        return "not yet"
    return f"{number:.3g} s" if number >= 1 else f"{1000 * number:.3g} ms"


def size(count: int) -> str:
    """A number of bytes, for reading."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


_templates.filters |= {"ago": ago, "until": until, "seconds": seconds, "size": size}


@routes.get(SIGN_IN)
async def sign_in_page(request: web.Request) -> web.Response:
    """The identities to choose from; `url` is where the visitor goes on to."""
    check_window(request)
    here = local_path(request.query.get("url", SIGN_IN))
    return page(request, "sign_in.html", here=here, script=False)


@routes.post(SIGN_IN)
async def sign_in(request: web.Request) -> web.Response:
    """Start the session of the chosen identity, or end the one there is."""
    identities = services(request).identities
    form = await read_form(request)
    username = form.get("username")
    if username is None:
        raise BadRequest("The form is not whole.")
    if not identities.take_form(form["token"]):
        raise Forbidden(
            f"This form is from another page, or was sent before. Open {SIGN_IN} again."
        )
    response = web.Response(status=303, headers={"Location": local_path(form.get("url", SIGN_IN))})
    if username:
        session = identities.sign_in(username)
        if session is None:
            raise BadRequest(f"There is no user {username}.")
        response.set_cookie(identities.cookie, session, path="/", httponly=True, samesite="Lax")
    else:
        response.del_cookie(identities.cookie, path="/")
    return response


@routes.get("/__local__/static/{name:style.css|dashboard.js}")
async def static(request: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / request.match_info["name"])


@routes.get("/favicon.ico")
async def icon(_request: web.Request) -> web.FileResponse:
    """The icon that a browser asks for on every page, those of content too."""
    return web.FileResponse(_STATIC / "favicon.svg")


def refuse(request: web.Request, refusal: ApiError, viewer: User | None) -> web.Response:
    """A refusal as a person should see it: a stranger is led to the sign-in page."""
    sign_in_here = f"{SIGN_IN}?url={quote(request.raw_path, safe='/')}"
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        return web.Response(status=302, headers={"Location": sign_in_here})
    if isinstance(refusal, NotDeployed):
        return _render(
            "not_deployed.html",
            status=refusal.status,
            token="",
            title=refusal.error,
            log=refusal.log,
            again=request.raw_path,
        )
    return _render(
        "refused.html",
        status=refusal.status,
        # scripts of content can fetch this page at their own address, so it has no form
        token="",
        title=HTTPStatus(refusal.status).phrase,
        error=refusal.error,
        sign_in=sign_in_here if viewer or refusal.status == HTTPStatus.NOT_FOUND else "",
    )


def check_window(request: web.Request) -> None:
    """Raise where a browser says that it does not go to the page, but fetches or frames it."""
    if (
        request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
        or request.headers.get("Sec-Fetch-Dest", "document") != "document"
    ):
        raise Forbidden("This page opens in a window of its own only.")


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form that a page of ours has sent; its `token` is yet to be looked up."""
    check_window(request)
    form = await form_fields(request)
    if "token" not in form:
        raise BadRequest("The form is not whole.")
    # our pages are sandboxed, so their forms come from the origin "null"; the token identifies them
    if request.headers.get("Origin", "null") != "null":
        raise Forbidden("This form is not from a page of this server.")
    return form


def page(
    request: web.Request,
    template: str,
    *,
    here: str,
    status: int = 200,
    token: str = "",
    script: bool = True,
    **values: object,
) -> web.Response:
    """A page for whoever is signed in, with a form in its head to be someone else.

    `here` is the path that the visitor comes back to as that other. A page that answers
    a form has the form's `token`, and so stays with its visitor.
    """
    identities = services(request).identities
    token = token or identities.open_form(request)
    return _render(
        template,
        status=status,
        here=here,
        users=identities.all(),
        viewer=identities.from_form(token),
        token=token,
        script=script,
        faults=request.app[FAULTS].active,
        **values,
    )


def _render(
    template: str, *, status: int = 200, script: bool = False, **values: object
) -> web.Response:
    policy = _POLICY + (_WITH_SCRIPT if script else "")
    return web.Response(
        text=_templates.get_template(template).render(values, script=script),
        content_type="text/html",
        status=status,
        headers={"Content-Security-Policy": policy, **_HEADERS},
    )


def fragment(template: str, **values: object) -> str:
    """A part of a page, for one that is open."""
    return _templates.get_template(template).render(values)


def local_path(url: str) -> str:
    """The path on this server that a visitor may be sent to; the sign-in page for any other."""
    plain = url.isascii() and url.isprintable() and " " not in url
    if plain and url.startswith("/") and not url.startswith("//") and "\\" not in url:
        return url
    return SIGN_IN
