"""How Connect's API shows each kind of object."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.orm import Session

from local_connect.access import rights
from local_connect.api.common import services
from local_connect.records.store import Bundle, Content, ContentTag, Tag, User

#: whole numbers, in seconds where the name says timeout
COUNTS = (
    "min_processes",
    "max_processes",
    "max_conns_per_process",
    "init_timeout",
    "idle_timeout",
    "connection_timeout",
    "read_timeout",
)

#: fields of Connect's that mean nothing here, shown as null and refused if set
NULL_FIELDS = (
    "memory_request",
    "memory_limit",
    "cpu_request",
    "cpu_limit",
    "amd_gpu_limit",
    "nvidia_gpu_limit",
    "service_account_name",
    "default_image_name",
    "default_environment_guid",
    "environment_guid",
    "r_version",
    "quarto_version",
    "node_version",
    "r_environment_management",
    "default_r_environment_management",
    "py_environment_management",
    "default_py_environment_management",
    "run_as",
    "metrics_collection_enabled",
    "notify_on_share",
)

#: what a client may tell of where a bundle came from (documented)
SOURCE_FIELDS = ("source", "source_repo", "source_branch", "source_commit")

#: what a client may ask to have in a content item besides its own fields (documented)
INCLUDES = ("owner", "tags", "vanity_url")


def content_answer(
    request: web.Request, content: Content, user: User, include: Collection[str] = ()
) -> dict[str, Any]:
    """A content item as Connect's API shows one to `user`, with what of `INCLUDES` is asked for."""
    base = services(request).addresses.base_url(request)
    answer = {
        "guid": content.guid,
        "name": content.name,
        "title": content.title,
        "description": content.description,
        "access_type": content.access_type,
        "locked": content.locked,
        "locked_message": content.locked_message,
        **{field: getattr(content, field) for field in COUNTS},
        "load_factor": content.load_factor,
        **dict.fromkeys(NULL_FIELDS),
        "run_as_current_user": False,
        "draft_marker_enabled": False,
        "otel_enabled": False,
        # no licence has a say in what may be public (documented)
        "public_content_status": "unrestricted",
        "created_time": content.created_time,
        "last_deployed_time": content.last_deployed_time,
        "bundle_id": None if content.bundle_id is None else str(content.bundle_id),
        "app_mode": content.app_mode,
        "content_category": "",
        "parameterized": False,
        "cluster_name": "Local",
        "image_name": None,
        "py_version": content.py_version,
        "py_environment_management": True if content.py_version else None,
        "owner_guid": content.owner_guid,
        "content_url": f"{base}/content/{content.guid}/",
        "dashboard_url": f"{base}/connect/#/apps/{content.guid}",
        "app_role": rights.app_role(user, content),
        "id": str(content.id),
    }
    if "owner" in include and (owner := services(request).identities.get(content.owner_guid)):
        fields = ("guid", "username", "first_name", "last_name")
        answer["owner"] = {field: getattr(owner, field) for field in fields}
    if "tags" in include:
        with services(request).store.session() as session:
            tags = [tag_answer(tag) for tag in tags_of(session, content)]
        if tags:
            answer["tags"] = tags
    if "vanity_url" in include and (vanity := services(request).vanities.get(content.guid)):
        answer["vanity_url"] = f"{base}{vanity.path}"
    return answer


def bundle_answer(request: web.Request, bundle: Bundle, content: Content) -> dict[str, Any]:
    """A bundle as Connect's API shows one."""
    creator = services(request).identities.get(bundle.created_by)
    return {
        "id": str(bundle.id),
        "content_guid": bundle.content_guid,
        "created_time": bundle.created_time,
        "created_by": bundle.created_by,
        "created_by_user": creator.username if creator else None,
        "created_by_name": f"{creator.first_name} {creator.last_name}".strip() if creator else None,
        "environment_guid": None,
        "cluster_name": "Local",
        "image_name": None,
        "r_version": None,
        "quarto_version": None,
        "py_version": bundle.py_version,
        "r_environment_management": None,
        "py_environment_management": True,
        "active": bundle.id == content.bundle_id,
        "size": bundle.size,
        "metadata": {
            **dict.fromkeys(SOURCE_FIELDS),
            **bundle.source,
            "archive_md5": bundle.archive_md5,
            "archive_sha1": bundle.archive_sha1,
        },
    }


def user_answer(user: User) -> dict[str, Any]:
    """A user as Connect's API shows one."""
    return {
        "guid": user.guid,
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "user_role": user.user_role,
        "created_time": user.created_time,
        "updated_time": user.updated_time or user.created_time,
        "active_time": None,
        "confirmed": True,
        "locked": user.locked,
    }


def tags_of(session: Session, content: Content) -> list[Tag]:
    """The tags on a content item, oldest first; a category is none (documented)."""
    return list(
        session.scalars(
            select(Tag)
            .join(ContentTag, ContentTag.tag_id == Tag.id)
            .where(ContentTag.content_guid == content.guid, Tag.parent_id.is_not(None))
            .order_by(Tag.id)
        )
    )


def tag_answer(tag: Tag) -> dict[str, Any]:
    """A tag as Connect's API shows one."""
    return {
        "id": str(tag.id),
        "name": tag.name,
        "parent_id": None if tag.parent_id is None else str(tag.parent_id),
        "created_time": tag.created_time,
        "updated_time": tag.updated_time,
    }
