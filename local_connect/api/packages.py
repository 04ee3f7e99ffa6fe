"""`v1/packages` and `v1/content/{guid}/packages`: what the environments of content have in them."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from sqlalchemy import select

from local_connect.access import rights
from local_connect.api.common import caller, content_of, page, services
from local_connect.records.store import Content

routes = web.RouteTableDef()


@routes.get("/__api__/v1/packages")
async def find_packages(request: web.Request) -> web.Response:
    """Those of all content that the caller may change, by `name` where it is given, in pages."""
    user = caller(request)
    rights.check_publish(user)
    with services(request).store.session() as session:
        everything = session.scalars(select(Content).order_by(Content.id)).all()
    found = [
        {
            **package,
            "bundle_id": str(content.bundle_id),
            "app_id": str(content.id),
            "app_guid": content.guid,
            # newer names of the same
            "content_id": str(content.id),
            "content_guid": content.guid,
        }
        for content in everything
        if rights.may_change(user, content)
        for package in _packages(request, content) or ()
        if package["name"] == request.query.get("name", package["name"])
    ]
    found.sort(key=lambda package: str(package["name"]).lower())
    return page(request, found, dict)


@routes.get("/__api__/v1/content/{guid}/packages")
async def find_packages_of_content(request: web.Request) -> web.Response:
    """Those of the active bundle; nothing, by 204, where there is none (documented)."""
    packages = _packages(request, content_of(request, caller(request)))
    return web.Response(status=204) if packages is None else web.json_response(packages)


def _packages(request: web.Request, content: Content) -> list[dict[str, Any]] | None:
    """What the content's environment holds, by name, in any case; None before a deployment."""
    lines = services(request).deploys.packages(content)
    if lines is None:
        return None
    packages: list[dict[str, Any]] = []
    for line in lines:
        name, _, version = line.partition("==")
        # what came from a file has its address in place of a version
        name, _, address = name.partition(" @ ")
        packages.append(
            {
                "language": "python",
                "language_version": content.py_version,
                "name": name,
                "version": "" if address else version,
                "hash": None,
            }
        )
    return sorted(packages, key=lambda package: str(package["name"]).lower())
