"""The API before `v1`, by which rsconnect 1.5 to 1.27 deploy; Connect still answers it.

Content is called an application here, and found by its number or its GUID. What each client
needs was read from its source and seen on the wire.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from sqlalchemy import select

from local_connect.access import rights
from local_connect.api.answers import content_answer, user_answer
from local_connect.api.bundles import wanted_bundle
from local_connect.api.common import caller, json_object, services, whole_number
from local_connect.api.content import change, create
from local_connect.api.tasks import task_of
from local_connect.errors import NotFound
from local_connect.records.store import Content, User
from local_connect.runtime.bundles import receive
from local_connect.runtime.tasks import Task

routes = web.RouteTableDef()

#: the numbers of Connect's types of content, as far as this server runs them
_APP_MODES = {"unknown": 0, "python-api": 8, "python-fastapi": 12}


@routes.get("/__api__/me")
async def me(request: web.Request) -> web.Response:
    """The caller, by which rsconnect before 1.29 checks a key."""
    return web.json_response(user_answer(caller(request)))


@routes.get("/__api__/applications")
async def find_applications(request: web.Request) -> web.Response:
    """The content whose name or title has `search` in it, in any case.

    All of it comes at once, whatever `count` is: a client's question for the next page does not
    repeat what it searches for.
    """
    user = caller(request)
    search = request.query.get("search", "").casefold()
    with services(request).store.session() as session:
        everything = session.scalars(select(Content).order_by(Content.id)).all()
    found = [
        _answer(request, content, user)
        for content in everything
        if rights.may_see(user, content)
        and (search in content.name.casefold() or search in (content.title or "").casefold())
    ]
    return web.json_response(
        {"applications": found, "count": len(found), "total": len(found), "continuation": 0}
    )


@routes.post("/__api__/applications")
async def create_application(request: web.Request) -> web.Response:
    user = caller(request)
    content = create(request, user, await json_object(request))
    return web.json_response(_answer(request, content, user))


@routes.get("/__api__/applications/{id}")
async def get_application(request: web.Request) -> web.Response:
    """Also what today's rsconnect asks for with `--app-id 12`."""
    user = caller(request)
    return web.json_response(_answer(request, _application_of(request, user), user))


@routes.post("/__api__/applications/{id}")
async def update_application(request: web.Request) -> web.Response:
    """Change its fields; `id` and `needs_config`, which clients send along, change nothing."""
    user = caller(request)
    content = _application_to_change(request, user)
    fields = await json_object(request)
    for field in ("id", "needs_config"):
        fields.pop(field, None)
    return web.json_response(
        _answer(request, await change(request, content, fields, by=user), user)
    )


@routes.get("/__api__/applications/{id}/config")
async def get_config(request: web.Request) -> web.Response:
    """Where the dashboard shows it: what rsconnect 1.5 prints at the end of a deployment."""
    user = caller(request)
    page = content_answer(request, _application_of(request, user), user)["dashboard_url"]
    return web.json_response({"config_url": page, "logs_url": f"{page}/logs"})


@routes.post("/__api__/applications/{id}/upload")
async def upload(request: web.Request) -> web.Response:
    user = caller(request)
    content = _application_to_change(request, user)
    bundle = await receive(
        request.content.iter_any(),
        store=services(request).store,
        limits=services(request).settings.limits,
        content_guid=content.guid,
        created_by=user.guid,
    )
    return web.json_response(
        {
            "id": bundle.id,
            "app_id": content.id,
            "created_time": bundle.created_time,
            "active": False,
        }
    )


@routes.post("/__api__/applications/{id}/deploy")
async def deploy(request: web.Request) -> web.Response:
    """Start a deployment of `bundle`, by default of the active one; its task."""
    user = caller(request)
    content = _application_to_change(request, user)
    body = await json_object(request)
    bundle_id = wanted_bundle(request, content, body.get("bundle"))
    task = services(request).deploys.start(user.guid, content.guid, bundle_id, activate=True)
    return web.json_response(_task_answer(task))


@routes.get("/__api__/tasks/{id}")
async def get_task(request: web.Request) -> web.Response:
    """The task, with what it said after line `first_status`."""
    task = task_of(request)
    first = whole_number(request.query.get("first_status", "0"), "first_status")
    return web.json_response(_task_answer(task, first))


def _application_of(request: web.Request, user: User) -> Content:
    """The content that the path names by number or GUID, if the user may see it."""
    name = request.match_info["id"]
    by = Content.id == int(name) if name.isascii() and name.isdigit() else Content.guid == name
    with services(request).store.session() as session:
        content = session.scalars(select(Content).where(by)).one_or_none()
    if content is None:
        raise NotFound("There is no such content, or you may not see it.")
    rights.check_see(user, content)
    return content


def _application_to_change(request: web.Request, user: User) -> Content:
    content = _application_of(request, user)
    rights.check_change(user, content)
    return content


def _answer(request: web.Request, content: Content, user: User) -> dict[str, Any]:
    """A content item as this API shows one (its fields: rsconnect's own models)."""
    item = content_answer(request, content, user)
    owner = services(request).identities.get(content.owner_guid)
    return {
        **item,
        "id": content.id,
        "bundle_id": content.bundle_id,
        "app_mode": _APP_MODES[content.app_mode],
        "url": item["content_url"],
        "vanity_url": services(request).vanities.get(content.guid) is not None,
        "has_parameters": False,
        "is_scheduled": False,
        "owner_username": owner.username if owner else "",
        "owner_first_name": owner.first_name if owner else "",
        "owner_last_name": owner.last_name if owner else "",
        "owner_email": owner.email if owner else "",
        "owner_locked": owner is None or owner.locked,
    }


def _task_answer(task: Task, first: int = 0) -> dict[str, Any]:
    """A task as this API shows one: the same as `v1/tasks/{id}`, under older names."""
    answer = task.answer(first)
    return {**answer, "status": answer.pop("output"), "last_status": answer.pop("last")}
