"""`v1/content/{guid}/repository`: the git repository that content comes from."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from local_connect.api.common import caller, content_to_change, json_object, services
from local_connect.errors import BadRequest, NotFound
from local_connect.records.store import Content, Repository
from local_connect.runtime.git import Place, check_directory, check_ref, check_repository

routes = web.RouteTableDef()

#: what a new one is like that does not say (documented in posit-sdk)
_DEFAULTS = {"branch": "main", "directory": ".", "polling": False}

#: what a client may send back as it got it
_READ_ONLY = ("last_error", "last_known_commit")


@routes.get("/__api__/v1/content/{guid}/repository")
async def get_repository(request: web.Request) -> web.Response:
    content = content_to_change(request, caller(request))
    return web.json_response(_answer(request, repository_of(request, content)))


@routes.put("/__api__/v1/content/{guid}/repository")
async def set_repository(request: web.Request) -> web.Response:
    """Let content come from a repository; nothing is fetched before it is deployed."""
    content = content_to_change(request, caller(request))
    return _save(request, content, {**_DEFAULTS, **await json_object(request)})


@routes.patch("/__api__/v1/content/{guid}/repository")
async def update_repository(request: web.Request) -> web.Response:
    """Change the fields that are given."""
    content = content_to_change(request, caller(request))
    fields = await json_object(request)
    current = repository_of(request, content)
    known = {field: getattr(current, field) for field in ("repository", *_DEFAULTS)}
    return _save(request, content, {**known, **fields})


@routes.delete("/__api__/v1/content/{guid}/repository")
async def delete_repository(request: web.Request) -> web.Response:
    """Let content come from it no longer; what was deployed stays."""
    content = content_to_change(request, caller(request))
    repository_of(request, content)
    services(request).repositories.delete(content.guid)
    return web.Response(status=204)


@routes.post("/__api__/v1/content/{guid}/repository/bundle")
async def make_bundle(request: web.Request) -> web.Response:
    """Start to make a bundle of the content's repository, or of what the request names instead."""
    user = caller(request)
    content = content_to_change(request, user)
    fields = await json_object(request)
    current = services(request).repositories.get(content.guid)
    known: dict[str, Any] = {"ref": _DEFAULTS["branch"], "directory": _DEFAULTS["directory"]}
    if current is not None:
        known = {
            "repository": current.repository,
            "ref": current.branch,
            "directory": current.directory,
        }
    wanted = {**known, **fields}
    _check_known(wanted, ("repository", "ref", "directory"))
    place = Place(
        check_repository(_text(wanted, "repository")),
        check_ref(_text(wanted, "ref")),
        check_directory(_text(wanted, "directory")),
    )
    bundle_id, task = services(request).repositories.make_bundle(user.guid, content.guid, place)
    return web.json_response(
        {
            "bundle_id": str(bundle_id),
            "task_id": task.id,
            "location": {
                "repository": place.repository,
                "ref": place.ref,
                "directory": place.directory,
            },
        },
        status=202,
    )


def repository_of(request: web.Request, content: Content) -> Repository:
    """Where the content comes from, or 404."""
    repository = services(request).repositories.get(content.guid)
    if repository is None:
        raise NotFound("This content does not come from a git repository.")
    return repository


def _save(request: web.Request, content: Content, fields: dict[str, Any]) -> web.Response:
    _check_known(fields, ("repository", *_DEFAULTS, *_READ_ONLY))
    polling = fields["polling"]
    if not isinstance(polling, bool):
        raise BadRequest("polling is neither true nor false.")
    repository = Repository(
        content_guid=content.guid,
        repository=check_repository(_text(fields, "repository")),
        branch=check_ref(_text(fields, "branch")),
        directory=check_directory(_text(fields, "directory")),
        polling=polling,
    )
    services(request).repositories.put(repository)
    return web.json_response(_answer(request, repository))


def _check_known(fields: dict[str, Any], known: tuple[str, ...]) -> None:
    for field in fields:
        if field not in known:
            raise BadRequest(
                f"The request has a field that a repository does not have: {field}.", code=121
            )


def _text(fields: dict[str, Any], field: str) -> str:
    value = fields.get(field)
    if not isinstance(value, str):
        raise BadRequest(f"{field} is not text.")
    return value


def _answer(request: web.Request, repository: Repository) -> dict[str, Any]:
    return {
        "repository": repository.repository,
        "branch": repository.branch,
        "directory": repository.directory,
        "polling": repository.polling,
        "last_error": services(request).repositories.last_error(repository),
        "last_known_commit": repository.last_known_commit,
    }
