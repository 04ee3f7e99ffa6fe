"""What a viewer may see, and what is shown of it everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web
from sqlalchemy import select

from local_connect.access import rights
from local_connect.access.addresses import DASHBOARD
from local_connect.api.common import services
from local_connect.errors import NotFound, Unauthenticated
from local_connect.records.store import Content, Deployment, User


@dataclass(frozen=True)
class Item:
    """One content item as `viewer` sees it."""

    content: Content
    owner: str
    state: str
    #: where it answers, as a path
    path: str
    #: the packages that it asks for, as `name==version`
    runs: tuple[str, ...]
    may_open: bool
    may_change: bool

    @property
    def title(self) -> str:
        return self.content.title or self.content.name

    @property
    def page(self) -> str:
        return f"{DASHBOARD}apps/{self.content.guid}/"


def visible(request: web.Request, viewer: User | None) -> list[Content]:
    """The content that the viewer may see, the newest deployment first."""
    query = select(Content).order_by(Content.last_deployed_time.desc(), Content.id.desc())
    with services(request).store.session() as session:
        found = session.scalars(query).all()
    return [content for content in found if _may_see(viewer, content)]


def _may_see(viewer: User | None, content: Content) -> bool:
    return rights.may_see(viewer, content) if viewer else rights.may_open(None, content)


def see(request: web.Request, viewer: User | None, guid: str) -> Item:
    """The content of that GUID, if the viewer may see it."""
    with services(request).store.session() as session:
        content = session.query(Content).filter_by(guid=guid).one_or_none()
    if content is not None and viewer is None and not rights.may_open(None, content):
        raise Unauthenticated("This content is not open to everyone.")
    if content is None or not _may_see(viewer, content):
        raise NotFound("There is no such content, or the one you are viewing as may not see it.")
    return describe(request, content, viewer)


def see_to_change(request: web.Request, viewer: User | None, guid: str) -> Item:
    """The same, if the viewer may change it."""
    item = see(request, viewer, guid)
    if viewer is None:
        raise Unauthenticated("Nobody is signed in.")
    rights.check_change(viewer, item.content)
    return item


def describe(request: web.Request, content: Content, viewer: User | None) -> Item:
    vanity = services(request).vanities.get(content.guid)
    return Item(
        content=content,
        owner=username(request, content.owner_guid),
        state=state_of(request, content),
        path=vanity.path if vanity else f"/content/{content.guid}/",
        runs=services(request).deploys.requirements(content),
        may_open=rights.may_open(viewer, content),
        may_change=viewer is not None
        and viewer.user_role != "viewer"
        and rights.may_change(viewer, content),
    )


def state_of(request: web.Request, content: Content) -> str:
    """As `Deploys.state` has it, but `locked` for what is, and `failed` for what never came up."""
    if content.locked:
        return "locked"
    state = services(request).deploys.state(content)
    newest = services(request).history.find(content.guid)[:1] if state == "empty" else []
    return "failed" if any(fault_of(request, deployment) for deployment in newest) else state


def fault_of(request: web.Request, deployment: Deployment) -> str:
    """Why a deployment is of no use: how it failed, or that its app does not start now."""
    if deployment.error:
        return deployment.error
    if deployment.kind == "build" or deployment.end_time is None:
        return ""
    state = services(request).processes.state(deployment.bundle_id)
    return "The app did not start." if state == "failed" else ""


def username(request: web.Request, guid: str) -> str:
    user = services(request).identities.get(guid)
    return user.username if user else "somebody who is gone"
