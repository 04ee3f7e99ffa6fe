"""`v1/content/{guid}/bundles` and `…/deploy`: uploads, downloads and deployments."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import BodyPartReader, web
from sqlalchemy import select

from local_connect.api.answers import SOURCE_FIELDS, bundle_answer
from local_connect.api.common import (
    body,
    caller,
    content_of,
    content_to_change,
    in_time,
    json_object,
    patience,
    services,
    whole_number,
)
from local_connect.errors import ApiError, BadRequest, NotFound, TooLarge
from local_connect.records.store import Bundle, Content
from local_connect.runtime.bundles import receive

routes = web.RouteTableDef()

#: bytes of what a form tells of where its bundle came from
_METADATA_BYTES = 64 << 10


@routes.post("/__api__/v1/content/{guid}/bundles")
async def upload_bundle(request: web.Request) -> web.Response:
    """Take a gzipped tar archive, raw or as the part `archive` of a form."""
    user = caller(request)
    content = content_to_change(request, user)
    source: dict[str, Any] = {}
    if request.content_type.startswith("multipart/"):
        chunks = _archive_part(request, source)
    else:
        chunks = body(request)
    bundle = await receive(
        aiter(chunks),
        store=services(request).store,
        limits=services(request).settings.limits,
        content_guid=content.guid,
        created_by=user.guid,
        source=source,
    )
    return web.json_response(bundle_answer(request, bundle, content))


@routes.get("/__api__/v1/content/{guid}/bundles")
async def find_bundles(request: web.Request) -> web.Response:
    """The content's bundles, newest first."""
    content = content_to_change(request, caller(request))
    with services(request).store.session() as session:
        found = session.scalars(
            select(Bundle).filter_by(content_guid=content.guid).order_by(Bundle.id.desc())
        ).all()
    return web.json_response([bundle_answer(request, bundle, content) for bundle in found])


@routes.get("/__api__/v1/content/{guid}/bundles/{id}")
async def get_bundle(request: web.Request) -> web.Response:
    content = content_to_change(request, caller(request))
    return web.json_response(bundle_answer(request, _bundle_of(request, content), content))


@routes.get("/__api__/v1/content/{guid}/bundles/{id}/download")
async def download_bundle(request: web.Request) -> web.StreamResponse:
    """The archive, byte for byte as it was sent."""
    content = content_to_change(request, caller(request))
    bundle = _bundle_of(request, content)
    return web.FileResponse(
        services(request).store.archive(bundle.id),
        headers={
            "Content-Type": "application/gzip",
            "Content-Disposition": f'attachment; filename="bundle-{bundle.id}.tar.gz"',
        },
    )


@routes.delete("/__api__/v1/content/{guid}/bundles/{id}")
async def delete_bundle(request: web.Request) -> web.Response:
    """Delete any bundle but the active one."""
    content = content_to_change(request, caller(request))
    bundle = _bundle_of(request, content)
    await services(request).deploys.delete(content.guid, bundle.id)
    return web.Response(status=204)


@routes.post("/__api__/v1/content/{guid}/build")
async def build(request: web.Request) -> web.Response:
    """Start to make the environment of `bundle_id`, by default of the active one; its task's id."""
    user = caller(request)
    content = content_to_change(request, user)
    bundle_id = wanted_bundle(request, content, (await json_object(request)).get("bundle_id"))
    task = services(request).deploys.start_build(user.guid, content.guid, bundle_id)
    return web.json_response({"task_id": task.id}, status=202)


@routes.post("/__api__/v1/content/{guid}/deploy")
async def deploy(request: web.Request) -> web.Response:
    """Start a deployment of `bundle_id`; its task's id.

    By default that is the active one; for git-backed content, one of the newest commit.
    """
    user = caller(request)
    content = content_to_change(request, user)
    wanted = await json_object(request)
    activate = wanted.get("activate", True)
    if not isinstance(activate, bool):
        raise BadRequest("activate is neither true nor false.")
    repositories = services(request).repositories
    if not wanted.get("bundle_id") and (repository := repositories.get(content.guid)):
        task = repositories.deploy(user.guid, repository, activate=activate)
    else:
        bundle_id = wanted_bundle(request, content, wanted.get("bundle_id"))
        deploys = services(request).deploys
        task = deploys.start(user.guid, content.guid, bundle_id, activate=activate)
    return web.json_response({"task_id": task.id}, status=202)


@routes.get("/__api__/v1/content/{guid}/lockfile")
async def lockfile(request: web.Request) -> web.Response:
    """The versions in the active bundle's environment, in the form of a requirements file."""
    content = content_of(request, caller(request))
    packages = services(request).deploys.packages(content)
    if packages is None:
        raise NotFound("Nothing has been deployed to this content yet.")
    return web.Response(
        text="".join(f"{package}\n" for package in packages),
        headers={"Generated-By": f"local-connect; python={content.py_version}"},
    )


def wanted_bundle(request: web.Request, content: Content, wanted: Any) -> int:
    """The bundle that a client names, by default the active one, if the content has it."""
    wanted = wanted or content.bundle_id
    if wanted is None:
        raise BadRequest("This content has no bundle yet: name one as bundle_id.")
    bundle_id = whole_number(str(wanted), "bundle_id")
    return services(request).deploys.check(content.guid, bundle_id).id


async def _archive_part(request: web.Request, source: dict[str, Any]) -> AsyncIterator[bytes]:
    """The bytes of the part `archive`; what the part `metadata` says goes into `source`."""
    found = False
    seconds = patience(request)
    try:
        form = await request.multipart()
        while (part := await in_time(form.next(), seconds)) is not None:
            if not isinstance(part, BodyPartReader):
                raise BadRequest("The form has a form within it.")
            if part.name == "archive":
                if found:
                    raise BadRequest("The form has two parts named archive.")
                found = True
                while chunk := await in_time(part.read_chunk(1 << 16), seconds):
                    yield chunk
            elif part.name == "metadata":
                source.update(_source(await _metadata(part, seconds)))
    except (ApiError, ConnectionError):
        raise
    except Exception as error:
        # aiohttp does not say what it raises for a form that is not one
        raise BadRequest(f"The form cannot be read: {error}.") from error
    if not found:
        raise BadRequest("The form has no part named archive.")


async def _metadata(part: BodyPartReader, seconds: float) -> bytes:
    text = b""
    while chunk := await in_time(part.read_chunk(), seconds):
        text += chunk
        if len(text) > _METADATA_BYTES:
            raise TooLarge(f"The form's metadata is larger than {_METADATA_BYTES:,} bytes.")
    return text


def _source(text: bytes) -> dict[str, str]:
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The form's metadata is not JSON: {error}.") from error
    if not isinstance(metadata, dict):
        raise BadRequest("The form's metadata is not a JSON object.")
    source = {field: metadata[field] for field in SOURCE_FIELDS if metadata.get(field)}
    for field, value in source.items():
        if not isinstance(value, str):
            raise BadRequest(f"The form's metadata has no text at {field}.")
    return source


def _bundle_of(request: web.Request, content: Content) -> Bundle:
    bundle_id = whole_number(request.match_info["id"], "The bundle's id")
    return services(request).deploys.check(content.guid, bundle_id)
