"""The pages: all content, and one content item's overview, logs and settings."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from sqlalchemy import select

from local_connect.access.addresses import DASHBOARD
from local_connect.api import content as content_api
from local_connect.api.common import services
from local_connect.dashboard import logs, pages
from local_connect.dashboard.as_seen_by import AsSeenBy
from local_connect.dashboard.items import (
    Item,
    describe,
    fault_of,
    see,
    see_to_change,
    username,
    visible,
)
from local_connect.errors import ApiError, NotFound
from local_connect.records.store import Bundle, User

routes = web.RouteTableDef()


@routes.get("/connect")
async def to_home(_request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": DASHBOARD})


@routes.get(DASHBOARD)
async def home(request: web.Request) -> web.Response:
    """All content that the viewer may see, the newest deployment first."""
    pages.check_window(request)
    viewer = services(request).identities.from_session(request)
    items = [describe(request, content, viewer) for content in visible(request, viewer)]
    base = services(request).addresses.base_url(request)
    return pages.page(request, "home.html", here=DASHBOARD, items=items, base=base)


@routes.get("/connect/apps/{guid}")
async def to_item(request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": f"{request.path}/"})


@routes.get("/connect/apps/{guid}/")
async def overview(request: web.Request) -> web.Response:
    """How to call it, who sees what, and its bundles."""
    pages.check_window(request)
    viewer = services(request).identities.from_session(request)
    return show_overview(request, see(request, viewer, request.match_info["guid"]))


@routes.get("/connect/apps/{guid}/logs")
async def show_logs(request: web.Request) -> web.Response:
    """What deployments and processes printed; `log` names one, else it is the most telling."""
    pages.check_window(request)
    viewer = services(request).identities.from_session(request)
    item = see_to_change(request, viewer, request.match_info["guid"])
    entries = logs.find(request, item.content)
    name = request.query.get("log") or logs.most_telling(entries)
    chosen = next((entry for entry in entries if entry.name == name), None)
    if name and chosen is None:
        raise NotFound("There is no such log any more.")
    return pages.page(
        request,
        "logs.html",
        here=f"{item.page}logs",
        item=item,
        entries=entries,
        chosen=chosen,
        lines=chosen.lines() if chosen else [],
    )


@routes.get("/connect/apps/{guid}/settings")
async def settings(request: web.Request) -> web.Response:
    """Who may open it, its addresses and its environment variables."""
    pages.check_window(request)
    viewer = services(request).identities.from_session(request)
    item = see_to_change(request, viewer, request.match_info["guid"])
    assert viewer is not None  # noqa: S101 (nobody may change anything)
    return show_settings(request, item, viewer)


def show_overview(
    request: web.Request,
    item: Item,
    *,
    form: dict[str, str] | None = None,
    refusal: ApiError | None = None,
    found: list[AsSeenBy] | None = None,
) -> web.Response:
    """The overview, also as the answer to one of its forms."""
    form = form or {}
    bundles: list[dict[str, Any]] = []
    if item.may_change:
        with services(request).store.session() as session:
            records = session.scalars(
                select(Bundle).filter_by(content_guid=item.content.guid).order_by(Bundle.id.desc())
            ).all()
        bundles = [
            {"record": bundle, "by": username(request, bundle.created_by)} for bundle in records
        ]
    repositories = services(request).repositories
    repository = repositories.get(item.content.guid) if item.may_change else None
    next_look = repositories.next_look(repository) if repository else None
    last = next(
        (d for d in services(request).history.find(item.content.guid) if d.kind == "deploy"), None
    )
    return pages.page(
        request,
        "overview.html",
        here=item.page,
        token=form.get("token", ""),
        status=refusal.status if refusal else 200,
        refusal=refusal,
        item=item,
        url=f"{services(request).addresses.base_url(request)}{item.path}",
        hits=services(request).hits.total(item.content.guid),
        bundles=bundles,
        repository=repository,
        last_error=repositories.last_error(repository) if repository else "",
        next_look=next_look.isoformat(timespec="seconds") if next_look else "",
        fault=fault_of(request, last) if last and item.may_change else "",
        is_last_active=bool(last and last.bundle_id == item.content.bundle_id),
        asked=form.get("path", ""),
        as_seen_by=found,
        identities=len(services(request).identities.all()),
    )


def show_settings(
    request: web.Request,
    item: Item,
    viewer: User,
    *,
    form: dict[str, str] | None = None,
    refusal: ApiError | None = None,
) -> web.Response:
    """The settings, also as the answer to one of their forms that is refused."""
    form = form or {}
    identities = services(request).identities
    listed = {permission.principal_guid for permission in item.content.permissions}
    names = {group.guid: group.name for group in identities.groups()}
    vanity = services(request).vanities.get(item.content.guid)
    used = [use.integration for use in services(request).integrations.of_content(item.content.guid)]
    known = {integration.guid for integration in used}
    return pages.page(
        request,
        "settings.html",
        here=f"{item.page}settings",
        token=form.get("token", ""),
        status=refusal.status if refusal else 200,
        refusal=refusal,
        item=item,
        base=services(request).addresses.base_url(request),
        permissions=[
            {
                "record": permission,
                "name": names.get(permission.principal_guid)
                or username(request, permission.principal_guid),
            }
            for permission in item.content.permissions
        ],
        principals=[
            *(
                (f"user:{user.guid}", user.username)
                for user in identities.all()
                if user.guid not in listed and user.guid != item.content.owner_guid
            ),
            *((f"group:{guid}", name) for guid, name in names.items() if guid not in listed),
        ],
        vanity=form.get("path", vanity.path if vanity else ""),
        has_vanity=vanity is not None,
        variables=content_api.variable_names(request, item.content),
        variable=form.get("name", "") if refusal else "",
        used=used,
        unused=[
            integration
            for integration in services(request).integrations.all(viewer)
            if integration.guid not in known
        ],
    )
