"""`v1/content/{guid}/permissions`: the access list of a content item."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from sqlalchemy.exc import IntegrityError

from local_connect.api.common import (
    caller,
    content_of,
    content_to_change,
    json_object,
    services,
    whole_number,
)
from local_connect.errors import BadRequest, Conflict, Forbidden, NotFound
from local_connect.records.store import Content, Permission

routes = web.RouteTableDef()

_ROLES = ("viewer", "owner")


@routes.get("/__api__/v1/content/{guid}/permissions")
async def find_permissions(request: web.Request) -> web.Response:
    content = content_of(request, caller(request))
    return web.json_response([_answer(permission) for permission in content.permissions])


@routes.post("/__api__/v1/content/{guid}/permissions")
async def create_permission(request: web.Request) -> web.Response:
    """Put a user or a group on the list, as `viewer` or as `owner`, which is a collaborator."""
    content = content_to_change(request, caller(request))
    return web.json_response(_answer(permit(request, content, await json_object(request))))


@routes.get("/__api__/v1/content/{guid}/permissions/{id}")
async def get_permission(request: web.Request) -> web.Response:
    content = content_of(request, caller(request))
    return web.json_response(_answer(_permission_of(content, request.match_info["id"])))


@routes.put("/__api__/v1/content/{guid}/permissions/{id}")
async def update_permission(request: web.Request) -> web.Response:
    """Change the role; the user or group stays the same."""
    content = content_to_change(request, caller(request))
    permission = _permission_of(content, request.match_info["id"])
    body = await json_object(request)
    _check(request, content, body)
    if body["principal_guid"] != permission.principal_guid:
        raise BadRequest("A permission's principal_guid does not change: make another permission.")
    with services(request).store.session() as session:
        changed = session.get_one(Permission, permission.id)
        changed.role = body["role"]
    return web.json_response(_answer(changed))


@routes.delete("/__api__/v1/content/{guid}/permissions/{id}")
async def delete_permission(request: web.Request) -> web.Response:
    content = content_to_change(request, caller(request))
    forbid(request, content, request.match_info["id"])
    return web.Response(status=204)


def permit(request: web.Request, content: Content, fields: dict[str, Any]) -> Permission:
    """Put whom `principal_guid` and `principal_type` name on the list, in their `role`."""
    _check(request, content, fields)
    permission = Permission(
        content_guid=content.guid,
        principal_guid=fields["principal_guid"],
        principal_type=fields["principal_type"],
        role=fields["role"],
    )
    try:
        with services(request).store.session() as session:
            session.add(permission)
    except IntegrityError:
        raise Conflict("This user or group is on the list already.") from None
    return permission


def forbid(request: web.Request, content: Content, permission_id: str) -> None:
    """Take a permission off the list."""
    permission = _permission_of(content, permission_id)
    with services(request).store.session() as session:
        session.delete(session.get_one(Permission, permission.id))


def _check(request: web.Request, content: Content, body: dict[str, Any]) -> None:
    identities = services(request).identities
    guid, kind, role = (body.get(key) for key in ("principal_guid", "principal_type", "role"))
    if role not in _ROLES:
        raise BadRequest(f"role is not one of {', '.join(_ROLES)}.")
    if kind == "user":
        user = identities.get(guid) if isinstance(guid, str) else None
        if user is None:
            raise NotFound(f"There is no user {guid}.")
        if user.guid == content.owner_guid:
            raise Conflict(f"{user.username} owns this content.")
        if role == "owner" and user.user_role == "viewer":
            raise Forbidden(f"{user.username} is a viewer and cannot be a collaborator.")
    elif kind == "group":
        if not any(group.guid == guid for group in identities.groups()):
            raise NotFound(f"There is no group {guid}.")
    else:
        raise BadRequest("principal_type is neither user nor group.")


def _permission_of(content: Content, permission_id: str) -> Permission:
    number = whole_number(permission_id, "The permission's id")
    for permission in content.permissions:
        if permission.id == number:
            return permission
    raise NotFound(f"This content has no permission {number}.")


def _answer(permission: Permission) -> dict[str, Any]:
    return {
        "id": str(permission.id),
        "content_guid": permission.content_guid,
        "principal_guid": permission.principal_guid,
        "principal_type": permission.principal_type,
        "role": permission.role,
    }
