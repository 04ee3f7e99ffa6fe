"""What the forms of the pages do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from local_connect.access import rights
from local_connect.access.addresses import DASHBOARD
from local_connect.api import content as content_api
from local_connect.api import oauth as oauth_api
from local_connect.api import permissions as permissions_api
from local_connect.api import repositories as repositories_api
from local_connect.api.common import services, whole_number
from local_connect.dashboard import again, as_seen_by, pages, requests
from local_connect.dashboard.items import Item, see
from local_connect.dashboard.views import show_overview, show_settings
from local_connect.errors import ApiError, Forbidden, NotFound
from local_connect.gateway.faults import FAULTS
from local_connect.records.store import User

routes = web.RouteTableDef()


@routes.post("/connect/apps/{guid}/{action}")
async def act(request: web.Request) -> web.Response:
    """Change something, as a form of one of the pages asks, and go back to the page."""
    form = await pages.read_form(request)
    viewer = services(request).identities.from_form(form["token"])
    action = _ACTIONS.get(request.match_info["action"])
    if action is None:
        raise NotFound("There is no such form.")
    if viewer is None:
        raise Forbidden("Nobody is signed in here any more. Open the page again.")
    item = see(request, viewer, request.match_info["guid"])
    try:
        return await action(request, item, viewer, form)
    except ApiError as refusal:
        if request.match_info["action"] == "again":
            return requests.show(request, item, form=form, refusal=refusal)
        if request.match_info["action"] in ("activate", "ask", "look"):
            return show_overview(request, item, form=form, refusal=refusal)
        return show_settings(request, item, viewer, form=form, refusal=refusal)


@routes.post("/connect/faults/reset")
async def reset_faults(request: web.Request) -> web.Response:
    """End all faults on demand, and go back to the page."""
    form = await pages.read_form(request)
    viewer = services(request).identities.from_form(form["token"])
    if viewer is None:
        raise Forbidden("Nobody is signed in here any more. Open the page again.")
    rights.check_administrator(viewer)
    request.app[FAULTS].reset()
    return _to(pages.local_path(form.get("url", DASHBOARD)))


async def _activate(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    rights.check_change(viewer, item.content)
    bundle_id = whole_number(form.get("bundle_id", ""), "The bundle's id")
    deploys = services(request).deploys
    deploys.check(item.content.guid, bundle_id)
    deploys.start(viewer.guid, item.content.guid, bundle_id, activate=True)
    return _to(f"{item.page}logs")


async def _set_access(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    rights.check_change(viewer, item.content)
    fields = {"access_type": form.get("access_type")}
    await content_api.change(request, item.content, fields, by=viewer)
    return _to(f"{item.page}settings#access")


async def _permit(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    rights.check_change(viewer, item.content)
    kind, _, guid = form.get("principal", "").partition(":")
    fields = {"principal_type": kind, "principal_guid": guid, "role": form.get("role")}
    permissions_api.permit(request, item.content, fields)
    return _to(f"{item.page}settings#access")


async def _forbid(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    rights.check_change(viewer, item.content)
    permissions_api.forbid(request, item.content, form.get("id", ""))
    return _to(f"{item.page}settings#access")


async def _set_vanity(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    rights.check_change(viewer, item.content)
    vanities = services(request).vanities
    if path := form.get("path", "").strip():
        vanities.set(item.content.guid, path, force=False)
    else:
        vanities.remove(item.content.guid)
    return _to(f"{item.page}settings#address")


async def _set_variable(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    """Without a value the variable is removed."""
    rights.check_change(viewer, item.content)
    variable = {"name": form.get("name", "").strip(), "value": form.get("value")}
    await content_api.set_variables(
        request, item.content, content_api.checked_variables([variable])
    )
    return _to(f"{item.page}settings#variables")


async def _use(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    """Let it use one more integration, or one less."""
    rights.check_change(viewer, item.content)
    used = [
        use.integration.guid for use in services(request).integrations.of_content(item.content.guid)
    ]
    added, removed = form.get("added"), form.get("removed")
    wanted = [guid for guid in used if guid != removed] + ([added] if added else [])
    await oauth_api.associate(request, viewer, item.content, wanted)
    return _to(f"{item.page}settings#integrations")


async def _look(
    request: web.Request, item: Item, viewer: User, _form: dict[str, str]
) -> web.Response:
    """Deploy what is new in its repository."""
    rights.check_change(viewer, item.content)
    repository = repositories_api.repository_of(request, item.content)
    task = await services(request).repositories.look(viewer.guid, repository)
    return _to(f"{item.page}logs" if task else f"{item.page}#repository")


async def _ask(
    request: web.Request, item: Item, _viewer: User, form: dict[str, str]
) -> web.Response:
    """Show what every identity gets from a path of the content, to anyone who may see it."""
    found = await as_seen_by.ask(request, item.content, form.get("path", "").strip())
    return show_overview(request, item, form=form, found=found)


async def _again(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    """Send a request that came in once more, and show both."""
    rights.check_change(viewer, item.content)
    number = whole_number(form.get("id", ""), "The request's number")
    recording = requests.of(request, item, number)
    beside = await again.send(request, recording, form.get("visitor", ""))
    return _to(f"{item.page}requests?id={number}&beside={beside}#answers")


_Action = Callable[[web.Request, Item, User, dict[str, str]], Awaitable[web.Response]]

_ACTIONS: dict[str, _Action] = {
    "activate": _activate,
    "access": _set_access,
    "permit": _permit,
    "forbid": _forbid,
    "vanity": _set_vanity,
    "variable": _set_variable,
    "integrations": _use,
    "look": _look,
    "ask": _ask,
    "again": _again,
}


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
