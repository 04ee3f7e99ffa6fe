"""`v1/users` and `v1/groups`: who there is, in pages, and what is made of them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from local_connect.access import rights
from local_connect.access.identity import ROLES
from local_connect.api.answers import user_answer
from local_connect.api.common import caller, json_object, page, services
from local_connect.errors import BadRequest, NotFound
from local_connect.records.store import Group

routes = web.RouteTableDef()


@routes.get("/__api__/v1/user")
async def current_user(request: web.Request) -> web.Response:
    return web.json_response(user_answer(caller(request)))


@routes.get("/__api__/v1/users")
async def find_users(request: web.Request) -> web.Response:
    """By `prefix` of username, first or last name, in any case, `user_role`, `account_status`.

    Nobody is `inactive` here, which is who has not been there for long.
    """
    caller(request)
    statuses = request.query.get("account_status", "locked|licensed").split("|")
    prefix = request.query.get("prefix", "").casefold()
    roles = request.query.get("user_role", "|".join(ROLES)).split("|")
    found = [
        user
        for user in services(request).identities.everyone()
        if user.user_role in roles
        and ("locked" if user.locked else "licensed") in statuses
        and any(
            name.casefold().startswith(prefix)
            for name in (user.username, user.first_name, user.last_name)
        )
    ]
    return page(request, found, user_answer)


@routes.post("/__api__/v1/users")
async def create_user(request: web.Request) -> web.Response:
    """For an administrator; without `user_role` a viewer."""
    user = services(request).accounts.create_user(caller(request), await json_object(request))
    return web.json_response(user_answer(user))


@routes.put("/__api__/v1/users/{guid}")
async def update_user(request: web.Request) -> web.Response:
    by, guid = caller(request), request.match_info["guid"]
    user = services(request).accounts.update_user(by, guid, await json_object(request))
    return web.json_response(user_answer(user))


@routes.post("/__api__/v1/users/{guid}/lock")
async def lock_user(request: web.Request) -> web.Response:
    by, guid = caller(request), request.match_info["guid"]
    locked = (await json_object(request)).get("locked")
    if not isinstance(locked, bool):
        raise BadRequest("locked is neither true nor false.")
    services(request).accounts.lock(by, guid, locked)
    return web.Response(status=204)


@routes.get("/__api__/v1/users/remote")
@routes.get("/__api__/v1/groups/remote")
async def find_remote(request: web.Request) -> web.Response:
    """For a server that has its users from elsewhere (documented: else an error)."""
    rights.check_publish(caller(request))
    raise BadRequest("This server has its users and groups from nowhere else.")


@routes.get("/__api__/v1/users/{guid}")
async def get_user(request: web.Request) -> web.Response:
    caller(request)
    user = services(request).identities.get(request.match_info["guid"])
    if user is None:
        raise NotFound("There is no such user.")
    return web.json_response(user_answer(user))


@routes.get("/__api__/v1/groups")
async def find_groups(request: web.Request) -> web.Response:
    """By `prefix` of the name, in any case."""
    caller(request)
    prefix = request.query.get("prefix", "").casefold()
    groups = services(request).identities.groups()
    return page(
        request, [group for group in groups if group.name.casefold().startswith(prefix)], _group
    )


@routes.get("/__api__/v1/groups/{guid}")
async def get_group(request: web.Request) -> web.Response:
    caller(request)
    return web.json_response(_group(_group_of(request)))


@routes.post("/__api__/v1/groups")
async def create_group(request: web.Request) -> web.Response:
    """For a publisher or administrator, whose group it is then."""
    group = services(request).accounts.create_group(caller(request), await json_object(request))
    return web.json_response(_group(group))


@routes.post("/__api__/v1/groups/{guid}")
@routes.patch("/__api__/v1/groups/{guid}")
async def update_group(request: web.Request) -> web.Response:
    by, guid = caller(request), request.match_info["guid"]
    group = services(request).accounts.update_group(by, guid, await json_object(request))
    return web.json_response(_group(group))


@routes.delete("/__api__/v1/groups/{guid}")
async def delete_group(request: web.Request) -> web.Response:
    services(request).accounts.delete_group(caller(request), request.match_info["guid"])
    return web.Response(status=204)


@routes.post("/__api__/v1/groups/{guid}/members")
async def add_member(request: web.Request) -> web.Response:
    """Put the user that `user_guid` names into the group."""
    by, guid = caller(request), request.match_info["guid"]
    user_guid = (await json_object(request)).get("user_guid")
    services(request).accounts.add_member(by, guid, str(user_guid))
    return web.Response(status=204)


@routes.delete("/__api__/v1/groups/{guid}/members/{user_guid}")
async def remove_member(request: web.Request) -> web.Response:
    accounts = services(request).accounts
    accounts.remove_member(
        caller(request), request.match_info["guid"], request.match_info["user_guid"]
    )
    return web.Response(status=204)


@routes.get("/__api__/v1/groups/{guid}/members")
async def find_members(request: web.Request) -> web.Response:
    caller(request)
    group = _group_of(request)
    members = [
        user
        for user in services(request).identities.everyone()
        if any(of_user.guid == group.guid for of_user in user.groups)
    ]
    return page(request, members, user_answer)


def _group(group: Group) -> dict[str, Any]:
    return {"guid": group.guid, "name": group.name, "owner_guid": group.owner_guid}


def _group_of(request: web.Request) -> Group:
    for group in services(request).identities.groups():
        if group.guid == request.match_info["guid"]:
            return group
    raise NotFound("There is no such group.")
