"""`v1/content`: content items, their settings and their environment variables."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from local_connect.access import rights
from local_connect.api.answers import COUNTS, INCLUDES, NULL_FIELDS, content_answer
from local_connect.api.common import (
    caller,
    content_of,
    content_to_change,
    json_body,
    json_object,
    services,
)
from local_connect.errors import BadRequest, Conflict, NotImplementedHere
from local_connect.records.store import Content, EnvironmentVariable, Permission, User, new_guid

routes = web.RouteTableDef()

ACCESS_TYPES = ("all", "logged_in", "acl")

#: further fields of Connect's that cannot be set here
_REFUSED = (
    "run_as_current_user",
    "otel_enabled",
    "extension",
)

#: the largest count that is taken, of processes as of seconds
MOST = 1 << 31

#: counts that would shut everyone out if they were zero
_FROM_ONE = ("max_processes", "max_conns_per_process", "init_timeout")

_NAME = re.compile(r"[-_.A-Za-z0-9]{3,64}")
_VARIABLE = re.compile(r"[^=\0]+")


@routes.get("/__api__/v1/content")
async def find_content(request: web.Request) -> web.Response:
    """All content that the caller may see, by `name` and `owner_guid` where they are given."""
    user = caller(request)
    query = select(Content).order_by(Content.id)
    for field in ("name", "owner_guid"):
        if value := request.query.get(field):
            query = query.where(getattr(Content, field) == value)
    with services(request).store.session() as session:
        found = session.scalars(query).all()
    include = _include(request)
    return web.json_response(
        [
            content_answer(request, item, user, include)
            for item in found
            if rights.may_see(user, item)
        ]
    )


@routes.post("/__api__/v1/content")
async def create_content(request: web.Request) -> web.Response:
    user = caller(request)
    content = create(request, user, await json_object(request))
    return web.json_response(content_answer(request, content, user))


@routes.get("/__api__/v1/content/{guid}")
async def get_content(request: web.Request) -> web.Response:
    user = caller(request)
    return web.json_response(
        content_answer(request, content_of(request, user), user, _include(request))
    )


@routes.patch("/__api__/v1/content/{guid}")
async def update_content(request: web.Request) -> web.Response:
    user = caller(request)
    content = content_to_change(request, user)
    saved = await change(request, content, await json_object(request), by=user)
    return web.json_response(content_answer(request, saved, user))


@routes.delete("/__api__/v1/content/{guid}")
async def delete_content(request: web.Request) -> web.Response:
    user = caller(request)
    content = content_to_change(request, user)
    services(request).vanities.remove(content.guid)
    await services(request).deploys.delete_content(content)
    return web.Response(status=204)


@routes.get("/__api__/v1/content/{guid}/environment")
async def get_variables(request: web.Request) -> web.Response:
    """The names only, as Connect does (documented)."""
    content = content_to_change(request, caller(request))
    return web.json_response(variable_names(request, content))


@routes.patch("/__api__/v1/content/{guid}/environment")
async def change_variables(request: web.Request) -> web.Response:
    """Set the named variables; a null value removes one."""
    return await _set_variables(request, replace=False)


@routes.put("/__api__/v1/content/{guid}/environment")
async def replace_variables(request: web.Request) -> web.Response:
    """Set the named variables and remove all others."""
    return await _set_variables(request, replace=True)


def create(request: web.Request, user: User, fields: dict[str, Any]) -> Content:
    """New content of a user's with these fields.

    The name may be left out or empty (documented); it is a GUID then (inferred).
    """
    rights.check_publish(user)
    if fields.get("owner_guid", user.guid) != user.guid:
        raise BadRequest("New content is of whoever makes it: leave owner_guid out.")
    content = Content(name=new_guid(), owner_guid=user.guid)
    _change(content, fields)
    return _save(request, content)


async def change(
    request: web.Request, content: Content, fields: dict[str, Any], *, by: User
) -> Content:
    """Set these fields of a content item, and let them take effect; the item as it is then."""
    if (owner_guid := fields.get("owner_guid", content.owner_guid)) != content.owner_guid:
        _check_owner(request, by, owner_guid)
    with services(request).store.session() as session:
        # it may have been deployed since the request began
        current = session.get_one(Content, content.id)
    before = _settings(current)
    _change(current, fields)
    services(request).integrations.check_access(content, current.access_type)
    saved = _save(request, current)
    if saved.owner_guid != content.owner_guid:
        # an owner is not on the access list
        with services(request).store.session() as session:
            session.execute(
                delete(Permission).filter_by(
                    content_guid=saved.guid, principal_guid=saved.owner_guid
                )
            )
    if _settings(saved) != before:
        # a process keeps the settings that it was started with
        await services(request).deploys.replace(content.guid)
    return saved


async def set_variables(
    request: web.Request,
    content: Content,
    variables: dict[str, str | None],
    *,
    replace: bool = False,
) -> None:
    """Set environment variables, or remove those whose value is None, and let it take effect.

    With `replace` all that are not named are removed.
    """
    with services(request).store.session() as session:
        known = {
            variable.name: variable
            for variable in session.query(EnvironmentVariable).filter_by(content_guid=content.guid)
        }
        if replace:
            variables = {**dict.fromkeys(known), **variables}
        changed = False
        for name, value in variables.items():
            variable = known.get(name)
            if value == (variable.value if variable else None):
                continue
            changed = True
            if variable:
                session.delete(variable)
                session.flush()
            if value is not None:
                session.add(EnvironmentVariable(content_guid=content.guid, name=name, value=value))
    if changed:
        # a process keeps the environment that it was started with
        await services(request).deploys.replace(content.guid)


def variable_names(request: web.Request, content: Content) -> list[str]:
    with services(request).store.session() as session:
        return list(
            session.scalars(
                select(EnvironmentVariable.name)
                .filter_by(content_guid=content.guid)
                .order_by(EnvironmentVariable.name)
            )
        )


def checked_variables(body: Any) -> dict[str, str | None]:
    """Names and values as `[{"name": …, "value": …}]` has them, or `BadRequest`."""
    if not isinstance(body, list):
        raise BadRequest('Environment variables come as [{"name": …, "value": …}].')
    variables: dict[str, str | None] = {}
    for entry in body:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise BadRequest("An environment variable has no name.")
        name, value = entry["name"], entry.get("value")
        if not _VARIABLE.fullmatch(name):
            raise BadRequest(f"An environment variable cannot be called {name!r}.")
        if not (value is None or (isinstance(value, str) and "\0" not in value)):
            raise BadRequest(f"The value of {name} is not text.")
        variables[name] = value
    return variables


def _check_owner(request: web.Request, by: User, owner_guid: Any) -> None:
    """Raise where content may not be given to that user (documented: to a publisher)."""
    rights.check_administrator(by)
    owner = services(request).identities.get(owner_guid) if isinstance(owner_guid, str) else None
    if owner is None or owner.locked:
        raise BadRequest(f"owner_guid is not of a user who can come in: {owner_guid}.")
    if owner.user_role == "viewer":
        raise BadRequest(f"{owner.username} is a viewer and cannot own content.")


def _include(request: web.Request) -> list[str]:
    """What `include` asks for, separated by commas."""
    include = [name for name in request.query.get("include", "").split(",") if name]
    for name in include:
        if name not in INCLUDES:
            raise BadRequest(f"include is not of {', '.join(INCLUDES)}: {name}.")
    return include


def _settings(content: Content) -> list[Any]:
    """What decides how the content's processes run."""
    return [getattr(content, field) for field in (*COUNTS, "load_factor", "locked", "owner_guid")]


async def _set_variables(request: web.Request, *, replace: bool) -> web.Response:
    content = content_to_change(request, caller(request))
    variables = checked_variables(await json_body(request))
    await set_variables(request, content, variables, replace=replace)
    return web.json_response(variable_names(request, content))


def _save(request: web.Request, content: Content) -> Content:
    try:
        with services(request).store.session() as session:
            saved = session.merge(content)
            session.flush()
            return saved
    except IntegrityError:
        raise Conflict(f"You have other content that is named {content.name}.") from None


def _change(content: Content, fields: dict[str, Any]) -> None:
    """Set what a client sent; a field that is unknown or out of range is refused by name."""
    for field, value in fields.items():
        match field:
            case "name":
                if value == "":
                    # Posit Publisher sends one, and leaves the name to the server
                    continue
                if not isinstance(value, str) or not _NAME.fullmatch(value):
                    raise BadRequest(
                        f"{value!r} cannot be a name: it takes 3 to 64 letters, digits, "
                        "hyphens, underscores and dots."
                    )
            case "title":
                if not (value is None or (isinstance(value, str) and len(value) <= 1024)):
                    raise BadRequest("title is not text of at most 1,024 characters.")
            case "description":
                if not isinstance(value, str) or len(value) > 4096:
                    raise BadRequest("description is not text of at most 4,096 characters.")
            case "locked":
                if not isinstance(value, bool):
                    raise BadRequest("locked is neither true nor false.")
            case "locked_message":
                if not isinstance(value, str) or len(value) > 4096:
                    raise BadRequest("locked_message is not text of at most 4,096 characters.")
            case "owner_guid":
                # whoever may not have it is refused before this
                pass
            case "access_type":
                if value not in ACCESS_TYPES:
                    raise BadRequest(f"access_type is not one of {', '.join(ACCESS_TYPES)}.")
            case "load_factor":
                if not (value is None or (_is_number(value) and 0 <= value <= 1)):
                    raise BadRequest("load_factor is not a number from 0 to 1.")
            case _ if field in COUNTS:
                least = 1 if field in _FROM_ONE else 0
                if not (value is None or (type(value) is int and least <= value <= MOST)):
                    raise BadRequest(f"{field} is not a whole number from {least} up.")
            case _ if field in NULL_FIELDS or field in _REFUSED:
                if value:
                    raise NotImplementedHere(f"local-connect does not implement {field}.")
                continue
            case _:
                raise BadRequest(
                    f"The request has a field that content does not have: {field}.", code=121
                )
        setattr(content, field, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
