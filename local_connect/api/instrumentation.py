"""`v1/instrumentation`: who has asked for which content."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from sqlalchemy import select
from yarl import URL

from local_connect.access import rights
from local_connect.api.common import DEFAULT_PAGE, PAGE, caller, services, whole_number
from local_connect.errors import BadRequest
from local_connect.records.store import Content, Hit, User

routes = web.RouteTableDef()

#: how Connect records visits today: entries of less may be there twice (documented)
_DATA_VERSION = 3

#: cursors after the last hit, by `asc_order`; the page before one of them is the last page
_BEYOND = {"true": str(10**17), "false": "0"}


@routes.get("/__api__/v1/instrumentation/content/hits")
async def find_hits(request: web.Request) -> web.Response:
    """All hits, oldest first, of what the caller may change: in one piece (documented).

    `content_guid` is one GUID or several with `|` between them.
    """
    hits = services(request).hits.find(**_conditions(request))
    return web.json_response([_hit(hit) for hit in hits])


@routes.get("/__api__/v1/instrumentation/content/visits")
async def find_visits(request: web.Request) -> web.Response:
    """The same in pages, by `user_agent` too, newest first where `asc_order` is false."""
    conditions = {**_conditions(request), "user_agent": request.query.get("user_agent")}
    if _version(request, _DATA_VERSION) > _DATA_VERSION:
        conditions["contents"] = []
    return _pages(request, conditions, _visit)


@routes.get("/__api__/v1/instrumentation/shiny/usage")
async def find_shiny_usage(request: web.Request) -> web.Response:
    """Sessions of Shiny applications, of which there are none here."""
    _version(request, 1)
    return _pages(request, {**_conditions(request), "contents": []}, _visit)


def _conditions(request: web.Request) -> dict[str, Any]:
    """Which hits are asked for, of those that the caller may know of."""
    user = caller(request)
    rights.check_publish(user)
    named = request.query.get("content_guid")
    return {
        "contents": _contents(request, user, named.split("|") if named else None),
        "start": _time(request, "from"),
        "end": _time(request, "to"),
    }


def _contents(request: web.Request, user: User, named: list[str] | None) -> list[str] | None:
    """The GUIDs of the named content, or of all, that is the user's or that they help with.

    None is all content, for an administrator.
    """
    if user.user_role == "administrator":
        return named
    with services(request).store.session() as session:
        everything = session.scalars(select(Content)).all()
    mine = [content.guid for content in everything if rights.may_change(user, content)]
    return mine if named is None else [guid for guid in mine if guid in named]


def _time(request: web.Request, name: str) -> str | None:
    """A time of RFC 3339 in the form in which hits have theirs."""
    value = request.query.get(name)
    if not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise BadRequest(
            f"{name} is not a time such as 2026-01-02T03:04:05Z: {value!r}."
        ) from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _version(request: web.Request, default: int) -> int:
    return whole_number(request.query.get("min_data_version", str(default)), "min_data_version")


def _pages(
    request: web.Request, conditions: dict[str, Any], answer: Callable[[Hit], dict[str, Any]]
) -> web.Response:
    """One page, with the cursors and addresses of those around it (keyset pagination)."""
    query = request.query
    limit = whole_number(query.get("limit", str(DEFAULT_PAGE)), "limit")
    limit = max(1, min(limit, PAGE))
    order = query.get("asc_order", "true")
    if order not in ("true", "false"):
        raise BadRequest(f"asc_order is neither true nor false: {order!r}.")
    conditions = {**conditions, "newest_first": order == "false"}
    cursors = {
        name: whole_number(query[name], name) for name in ("next", "previous") if query.get(name)
    }
    if len(cursors) > 1:
        raise BadRequest("A page is asked for by next or by previous, not by both.")
    hits = services(request).hits
    found = hits.find(
        **conditions, limit=limit, after=cursors.get("next"), before=cursors.get("previous")
    )
    before = found and hits.find(**conditions, limit=1, before=found[0].id)
    after = found and hits.find(**conditions, limit=1, after=found[-1].id)
    previous = str(found[0].id) if before else None
    following = str(found[-1].id) if after else None
    base = URL(services(request).addresses.base_url(request) + request.path)

    def page(**cursor: str) -> str:
        kept = [(name, value) for name, value in query.items() if name not in ("next", "previous")]
        return str(base.with_query([*kept, *cursor.items()]))

    return web.json_response(
        {
            "results": [answer(hit) for hit in found],
            "paging": {
                "cursors": {"previous": previous, "next": following},
                "first": page() if previous else None,
                "previous": page(previous=previous) if previous else None,
                "next": page(next=following) if following else None,
                "last": page(previous=_BEYOND[order]) if following else None,
            },
        }
    )


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "id": str(hit.id),
        "user_guid": hit.user_guid,
        "content_guid": hit.content_guid,
        "timestamp": hit.timestamp,
        "data": {
            "path": hit.path,
            "query": hit.query,
            "user_agent": hit.user_agent,
            "sec_fetch_dest": hit.sec_fetch_dest,
            "sec_fetch_site": hit.sec_fetch_site,
        },
    }


def _visit(hit: Hit) -> dict[str, Any]:
    return {
        "content_guid": hit.content_guid,
        "user_guid": hit.user_guid,
        "variant_key": None,
        "time": hit.timestamp,
        "rendering_id": None,
        "bundle_id": str(hit.bundle_id),
        "path": hit.path,
        "data_version": _DATA_VERSION,
        "user_agent": hit.user_agent,
    }
