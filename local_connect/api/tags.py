"""`v1/tags` and the tags of content: a tree of names that administrators keep."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.orm import Session

from local_connect.access import rights
from local_connect.api.answers import content_answer, tag_answer, tags_of
from local_connect.api.common import (
    caller,
    content_of,
    content_to_change,
    json_object,
    services,
    whole_number,
)
from local_connect.errors import BadRequest, Conflict, NotFound
from local_connect.records.store import Content, ContentTag, Tag, now

routes = web.RouteTableDef()


@routes.get("/__api__/v1/tags")
async def find_tags(request: web.Request) -> web.Response:
    """All tags, by `name` and `parent_id` where they are given."""
    caller(request)
    query = select(Tag).order_by(Tag.id)
    if name := request.query.get("name"):
        query = query.filter_by(name=name)
    if parent_id := request.query.get("parent_id"):
        query = query.filter_by(parent_id=whole_number(parent_id, "parent_id"))
    with services(request).store.session() as session:
        return web.json_response([tag_answer(tag) for tag in session.scalars(query)])


@routes.post("/__api__/v1/tags")
async def create_tag(request: web.Request) -> web.Response:
    rights.check_administrator(caller(request))
    body = await json_object(request)
    tag = Tag(name=_name(body), parent_id=None)
    with services(request).store.session() as session:
        tag.parent_id = _parent(session, body)
    return web.json_response(tag_answer(_save(request, tag)))


@routes.get("/__api__/v1/tags/{id}")
async def get_tag(request: web.Request) -> web.Response:
    caller(request)
    with services(request).store.session() as session:
        return web.json_response(tag_answer(_tag_of(request, session)))


@routes.patch("/__api__/v1/tags/{id}")
async def update_tag(request: web.Request) -> web.Response:
    """Rename a tag, or move it below another."""
    rights.check_administrator(caller(request))
    body = await json_object(request)
    with services(request).store.session() as session:
        tag = _tag_of(request, session)
        if "name" in body:
            tag.name = _name(body)
        if "parent_id" in body:
            parent_id = _parent(session, body)
            if parent_id in _with_descendants(session, tag.id):
                raise BadRequest("A tag cannot lie below itself.")
            tag.parent_id = parent_id
        tag.updated_time = now()
        session.expunge(tag)
    return web.json_response(tag_answer(_save(request, tag)))


@routes.delete("/__api__/v1/tags/{id}")
async def delete_tag(request: web.Request) -> web.Response:
    """Delete a tag and all below it (documented in posit-sdk)."""
    rights.check_administrator(caller(request))
    with services(request).store.session() as session:
        session.delete(_tag_of(request, session))
    return web.Response(status=204)


@routes.get("/__api__/v1/tags/{id}/content")
async def find_tagged(request: web.Request) -> web.Response:
    """The content with this tag, or one below it, that the caller may see."""
    user = caller(request)
    with services(request).store.session() as session:
        tag = _tag_of(request, session)
        tagged = session.scalars(
            select(Content)
            .join(ContentTag, ContentTag.content_guid == Content.guid)
            .join(Tag, ContentTag.tag_id == Tag.id)
            .where(Tag.id.in_(_with_descendants(session, tag.id)), Tag.parent_id.is_not(None))
            .order_by(Content.id)
            .distinct()
        ).all()
    return web.json_response(
        [content_answer(request, item, user) for item in tagged if rights.may_see(user, item)]
    )


@routes.get("/__api__/v1/content/{guid}/tags")
async def find_tags_of_content(request: web.Request) -> web.Response:
    content = content_of(request, caller(request))
    with services(request).store.session() as session:
        return web.json_response([tag_answer(tag) for tag in tags_of(session, content)])


@routes.post("/__api__/v1/content/{guid}/tags")
async def add_tag(request: web.Request) -> web.Response:
    """Put a tag, and with it all above it but the category, on content (documented)."""
    content = content_to_change(request, caller(request))
    tag_id = whole_number(str((await json_object(request)).get("tag_id")), "tag_id")
    with services(request).store.session() as session:
        tag = session.get(Tag, tag_id)
        if tag is None:
            raise NotFound(f"There is no tag {tag_id}.")
        if tag.parent_id is None:
            raise BadRequest(f"{tag.name} is a category of tags: content has tags below it only.")
        for above in _up_to_category(session, tag):
            session.merge(ContentTag(content_guid=content.guid, tag_id=above))
    return web.Response(status=204)


@routes.delete("/__api__/v1/content/{guid}/tags/{id}")
async def remove_tag(request: web.Request) -> web.Response:
    """Take a tag off content, with all below it; those above it stay (documented)."""
    content = content_to_change(request, caller(request))
    with services(request).store.session() as session:
        tag = _tag_of(request, session)
        for tag_id in _with_descendants(session, tag.id):
            if held := session.get(ContentTag, (content.guid, tag_id)):
                session.delete(held)
    return web.Response(status=204)


def _tag_of(request: web.Request, session: Session) -> Tag:
    number = whole_number(request.match_info["id"], "The tag's id")
    tag = session.get(Tag, number)
    if tag is None:
        raise NotFound(f"There is no tag {number}.")
    return tag


def _name(body: dict[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 255:
        raise BadRequest("A tag's name is text of 1 to 255 characters.")
    return name


def _parent(session: Session, body: dict[str, Any]) -> int | None:
    parent_id = body.get("parent_id")
    if parent_id is None:
        return None
    number = whole_number(str(parent_id), "parent_id")
    if session.get(Tag, number) is None:
        raise NotFound(f"There is no tag {number}.")
    return number


def _up_to_category(session: Session, tag: Tag) -> list[int]:
    """The ids of a tag and of those above it, less the category at the top."""
    found = []
    while tag.parent_id is not None:
        found.append(tag.id)
        tag = session.get_one(Tag, tag.parent_id)
    return found


def _with_descendants(session: Session, tag_id: int) -> list[int]:
    found = [tag_id]
    for parent_id in found:
        found.extend(session.scalars(select(Tag.id).filter_by(parent_id=parent_id)))
    return found


def _save(request: web.Request, tag: Tag) -> Tag:
    with services(request).store.session() as session:
        siblings = select(Tag).filter_by(name=tag.name, parent_id=tag.parent_id)
        if any(other.id != tag.id for other in session.scalars(siblings)):
            raise Conflict(f"There is a tag {tag.name} at this place already.")
        saved = session.merge(tag)
        session.flush()
        return saved
