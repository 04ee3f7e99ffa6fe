"""The dashboard: what there is on this server, in a browser, for whoever is looking.

Its addresses are those that Connect's API gives out: `/connect/` for all content,
`/connect/#/apps/<guid>` for one, of which a script makes `/connect/apps/<guid>/`.

It shows what the API would answer to the same user, and changes things by the same
functions. A page has no origin (see `pages`), so what it sends carries its own token
in place of the session's cookie.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import web
from sqlalchemy import select
from yarl import URL

from local_connect import access, pages
from local_connect.api import content as content_api
from local_connect.api import permissions as permissions_api
from local_connect.api.common import rooms, whole_number
from local_connect.errors import ApiError, BadRequest, Forbidden, NotFound, Unauthenticated
from local_connect.jobs import ACTIVE
from local_connect.pages import DASHBOARD
from local_connect.store import Bundle, Content, User

routes = web.RouteTableDef()

#: identities that content is shown to at once, besides nobody
_SEEN_BY = 12

#: characters of an answer that are shown
_ANSWER = 600

#: seconds that content may take to answer
_PATIENCE = 30.0

#: redirects that are followed, below the content's own address
_REDIRECTS = 5

#: seconds between two looks for news, while somebody is watching
_PERIOD = 0.5


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


@dataclass(frozen=True)
class Sight:
    """What one visitor gets from content."""

    who: str
    status: int
    text: str

    @property
    def phrase(self) -> str:
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""


@routes.get("/connect")
async def to_home(_request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": DASHBOARD})


@routes.get(DASHBOARD)
async def home(request: web.Request) -> web.Response:
    """All content that the viewer may see, the newest deployment first."""
    pages.check_window(request)
    viewer = rooms(request).identities.from_session(request)
    items = [_item(request, content, viewer) for content in _visible(request, viewer)]
    base = rooms(request).addresses.base_url(request)
    return pages.page(request, "home.html", here=DASHBOARD, items=items, base=base)


@routes.get("/connect/apps/{guid}")
async def to_item(request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": f"{request.path}/"})


@routes.get("/connect/apps/{guid}/")
async def overview(request: web.Request) -> web.Response:
    """How to call it, and its bundles."""
    pages.check_window(request)
    return _overview(request, _seen(request, rooms(request).identities.from_session(request)))


@routes.get("/connect/apps/{guid}/logs")
async def logs(request: web.Request) -> web.Response:
    """What deployments and processes printed; `log` names one, else it is the newest."""
    pages.check_window(request)
    item = _changed(request, rooms(request).identities.from_session(request))
    entries = _entries(request, item.content)
    name = request.query.get("log") or _most_telling(entries)
    chosen = next((entry for entry in entries if entry.name == name), None)
    if chosen is None and entries:
        raise NotFound("There is no such log any more.")
    return pages.page(
        request,
        "logs.html",
        here=f"{item.page}logs",
        item=item,
        entries=entries,
        chosen=chosen,
        lines=chosen.lines() if chosen else [],
    )


@routes.get("/connect/apps/{guid}/settings")
async def settings(request: web.Request) -> web.Response:
    """Who may open it, its addresses and its environment variables."""
    pages.check_window(request)
    return _settings(request, _changed(request, rooms(request).identities.from_session(request)))


@routes.get("/connect/live", allow_head=False)
async def live(request: web.Request) -> web.StreamResponse:
    """News for an open page, as server-sent events.

    `states` carries the state of each content item, by GUID; `lines` what a log has got
    since line `from`; `end` that the log is at its end.
    """
    form = request.query.get("token", "")
    viewer = rooms(request).identities.from_form(form)
    guid, name = request.query.get("guid"), request.query.get("log")
    if guid:
        request.match_info["guid"] = guid
    item = _changed(request, viewer) if guid and name else None
    sent = whole_number(request.query.get("from", "0"), "from")
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            # what a page without an origin is called
            "Access-Control-Allow-Origin": "null",
        }
    )
    await response.prepare(request)
    states: dict[str, str] = {}
    while rooms(request).identities.from_form(form) == viewer:
        now = {
            content.guid: rooms(request).deploys.state(content)
            for content in _visible(request, viewer)
            if guid in (None, content.guid)
        }
        if now != states:
            states = now
            await _send(response, "states", states)
        if item and name:
            entry = next((e for e in _entries(request, item.content) if e.name == name), None)
            lines = entry.lines() if entry else []
            if len(lines) < sent:
                # the beginning of a long log is dropped
                sent = 0
                await _send(response, "reset", None)
            if len(lines) > sent:
                await _send(response, "lines", [line.shown for line in lines[sent:]])
                sent = len(lines)
            if entry is None or entry.ended:
                await _send(response, "end", entry.outcome if entry else "gone")
                name = None
        await asyncio.sleep(_PERIOD)
    return response


@routes.post("/connect/apps/{guid}/{action}")
async def act(request: web.Request) -> web.Response:
    """Change something, as a form of one of the pages asks, and go back to the page."""
    form = await pages.read_form(request)
    viewer = rooms(request).identities.from_form(form["token"])
    action = _ACTIONS.get(request.match_info["action"])
    if action is None:
        raise NotFound("There is no such form.")
    if viewer is None:
        raise Forbidden("Nobody is signed in here any more. Open the page again.")
    item = _seen(request, viewer)
    try:
        return await action(request, item, viewer, form)
    except ApiError as refusal:
        back = _overview if request.match_info["action"] in ("activate", "ask") else _settings
        return back(request, item, form=form, refusal=refusal)


async def _activate(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    access.check_change(viewer, item.content)
    bundle_id = whole_number(form.get("bundle_id", ""), "The bundle's id")
    deploys = rooms(request).deploys
    deploys.check(item.content.guid, bundle_id)
    deploys.start(viewer.guid, item.content.guid, bundle_id, activate=True)
    return _to(f"{item.page}logs")


async def _set_access(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    access.check_change(viewer, item.content)
    fields = {"access_type": form.get("access_type")}
    await content_api.change(request, item.content, fields)
    return _to(f"{item.page}settings#access")


async def _permit(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    access.check_change(viewer, item.content)
    kind, _, guid = form.get("principal", "").partition(":")
    fields = {"principal_type": kind, "principal_guid": guid, "role": form.get("role")}
    permissions_api.permit(request, item.content, fields)
    return _to(f"{item.page}settings#access")


async def _forbid(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    access.check_change(viewer, item.content)
    permissions_api.forbid(request, item.content, form.get("id", ""))
    return _to(f"{item.page}settings#access")


async def _set_vanity(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    access.check_change(viewer, item.content)
    vanities = rooms(request).vanities
    if path := form.get("path", "").strip():
        vanities.set(item.content.guid, path, force=False)
    else:
        vanities.remove(item.content.guid)
    return _to(f"{item.page}settings#address")


async def _set_variable(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    """Without a value the variable is removed."""
    access.check_change(viewer, item.content)
    variable = {"name": form.get("name", "").strip(), "value": form.get("value")}
    await content_api.set_variables(
        request, item.content, content_api.checked_variables([variable])
    )
    return _to(f"{item.page}settings#variables")


async def _ask(
    request: web.Request, item: Item, viewer: User, form: dict[str, str]
) -> web.Response:
    """Ask the content for a path as each identity, and as nobody."""
    if not item.may_open and not item.may_change:
        raise Forbidden(f"{viewer.username} may not open this content.")
    path = form.get("path", "").strip().lstrip("/")
    mount = f"/content/{item.content.guid}/"
    address = URL(f"{rooms(request).deploys.server_url.rstrip('/')}{mount}{path}")
    if not address.raw_path.startswith(mount):
        raise BadRequest(f"The path {path} leads out of the content.")
    users = rooms(request).identities.all()[:_SEEN_BY]
    async with aiohttp.ClientSession() as client:
        sights = await asyncio.gather(
            *(_sight(client, address, mount, user) for user in (*users, None))
        )
    return _overview(request, item, form=form, sights=sights)


_Action = Callable[[web.Request, Item, User, dict[str, str]], Awaitable[web.Response]]

_ACTIONS: dict[str, _Action] = {
    "activate": _activate,
    "access": _set_access,
    "permit": _permit,
    "forbid": _forbid,
    "vanity": _set_vanity,
    "variable": _set_variable,
    "ask": _ask,
}


async def _sight(
    client: aiohttp.ClientSession, address: URL, mount: str, user: User | None
) -> Sight:
    """What content answers to one visitor, after redirects within it."""
    who = user.username if user else "Nobody"
    headers = {"Accept": "application/json, */*;q=0.5"}
    if user:
        headers["Authorization"] = f"Key {user.api_key}"
    try:
        for _ in range(_REDIRECTS):
            async with client.get(
                address,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_PATIENCE),
            ) as answer:
                target = URL(answer.headers.get("Location", ""), encoded=True)
                if 300 <= answer.status < 400 and target.raw_path.startswith(mount):
                    address = address.with_path(target.raw_path, encoded=True).with_query(
                        target.query
                    )
                    continue
                body = await answer.content.read(4 * _ANSWER)
                return Sight(who, answer.status, _readable(answer.content_type, body))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return Sight(who, 0, f"No answer: {error or 'it took too long'}")
    return Sight(who, 0, f"More than {_REDIRECTS} redirects.")


def _readable(content_type: str, body: bytes) -> str:
    if content_type == "text/html":
        return "an HTML page"
    text = body.decode("utf-8", "replace").strip()
    if content_type == "application/json":
        with suppress(ValueError):
            text = json.dumps(json.loads(text), ensure_ascii=False)
    return text[:_ANSWER] + ("…" if len(text) > _ANSWER else "")


def _overview(
    request: web.Request,
    item: Item,
    *,
    form: dict[str, str] | None = None,
    refusal: ApiError | None = None,
    sights: list[Sight] | None = None,
) -> web.Response:
    form = form or {}
    identities = rooms(request).identities
    bundles: list[dict[str, Any]] = []
    if item.may_change:
        with rooms(request).store.session() as session:
            found = session.scalars(
                select(Bundle).filter_by(content_guid=item.content.guid).order_by(Bundle.id.desc())
            ).all()
        bundles = [{"record": bundle, "by": _name(request, bundle.created_by)} for bundle in found]
    last = next(
        (d for d in rooms(request).history.find(item.content.guid) if d.kind == "deploy"), None
    )
    return pages.page(
        request,
        "overview.html",
        here=item.page,
        token=form.get("token", ""),
        status=refusal.status if refusal else 200,
        refusal=refusal,
        item=item,
        url=f"{rooms(request).addresses.base_url(request)}{item.path}",
        bundles=bundles,
        last=last if item.may_change else None,
        asked=form.get("path", ""),
        sights=sights,
        identities=len(identities.all()),
    )


def _settings(
    request: web.Request,
    item: Item,
    *,
    form: dict[str, str] | None = None,
    refusal: ApiError | None = None,
) -> web.Response:
    form = form or {}
    identities = rooms(request).identities
    listed = {permission.principal_guid for permission in item.content.permissions}
    names = {group.guid: group.name for group in identities.groups()}
    vanity = rooms(request).vanities.get(item.content.guid)
    return pages.page(
        request,
        "settings.html",
        here=f"{item.page}settings",
        token=form.get("token", ""),
        status=refusal.status if refusal else 200,
        refusal=refusal,
        item=item,
        base=rooms(request).addresses.base_url(request),
        permissions=[
            {
                "record": permission,
                "name": names.get(permission.principal_guid)
                or _name(request, permission.principal_guid),
            }
            for permission in item.content.permissions
        ],
        principals=[
            *(
                (f"user:{user.guid}", user.username)
                for user in identities.all()
                if user.guid not in listed and user.guid != item.content.owner_guid
            ),
            *((f"group:{guid}", name) for guid, name in names.items() if guid not in listed),
        ],
        vanity=form.get("path", vanity.path if vanity else ""),
        has_vanity=vanity is not None,
        variables=content_api.variable_names(request, item.content),
        variable=form.get("name", "") if refusal else "",
    )


@dataclass(frozen=True)
class Line:
    """One line of a log; `time` is empty where it is not known."""

    text: str
    time: str = ""

    @property
    def shown(self) -> list[str]:
        return [self.time, self.text]


@dataclass(frozen=True)
class Entry:
    """One log: of a deployment, or of a process."""

    #: what the address of the page calls it
    name: str
    title: str
    by: str
    start_time: str
    ended: bool
    #: how it ended, in words
    outcome: str
    failed: bool
    lines: Callable[[], list[Line]]


def _entries(request: web.Request, content: Content) -> list[Entry]:
    """The logs of a content item, newest first."""
    entries = [
        Entry(
            name=f"{deployment.kind}-{deployment.id}",
            title=f"{'Build' if deployment.kind == 'build' else 'Deployment'} "
            f"of bundle {deployment.bundle_id}"
            + ("" if deployment.activate or deployment.kind == "build" else " as a draft"),
            by=_name(request, deployment.started_by),
            start_time=deployment.start_time,
            ended=deployment.end_time is not None,
            outcome=deployment.error or ("done" if deployment.end_time else "under way"),
            failed=bool(deployment.error),
            lines=lambda deployment=deployment: _output(request, deployment),  # type: ignore[misc]
        )
        for deployment in rooms(request).history.find(content.guid)
    ]
    for job in rooms(request).jobs.find(content.guid):
        running = job.status == ACTIVE
        entries.append(
            Entry(
                name=f"job-{job.key}",
                title=f"Process {job.pid}, bundle {job.bundle_id}",
                by="",
                start_time=job.start_time,
                ended=not running,
                outcome="running" if running else f"ended with status {job.exit_code}",
                failed=not running and (job.exit_code or 0) > 0,
                lines=lambda key=job.key: [  # type: ignore[misc]
                    Line(line["data"], line["timestamp"][11:19])
                    for line in rooms(request).jobs.log(key)
                ],
            )
        )
    return sorted(entries, key=lambda entry: entry.start_time, reverse=True)


def _output(request: web.Request, deployment: Any) -> list[Line]:
    """A deployment's output, from its task while that goes on."""
    if deployment.end_time is None:
        return [Line(text) for text in rooms(request).tasks.get(deployment.task_id).output]
    return [Line(text) for text in deployment.output.splitlines()]


def _most_telling(entries: list[Entry]) -> str:
    """The newest deployment where it goes on or failed, else the newest log of all."""
    deployments = [entry for entry in entries if entry.name.startswith("deploy-")]
    if deployments and (deployments[0].failed or not deployments[0].ended):
        return deployments[0].name
    return entries[0].name if entries else ""


def _visible(request: web.Request, viewer: User | None) -> list[Content]:
    """The content that the viewer may see, the newest deployment first."""
    query = select(Content).order_by(Content.last_deployed_time.desc(), Content.id.desc())
    with rooms(request).store.session() as session:
        found = session.scalars(query).all()
    return [content for content in found if _may_see(viewer, content)]


def _may_see(viewer: User | None, content: Content) -> bool:
    return access.may_see(viewer, content) if viewer else access.may_open(None, content)


def _seen(request: web.Request, viewer: User | None) -> Item:
    """The content that the path names, if the viewer may see it."""
    with rooms(request).store.session() as session:
        content = session.query(Content).filter_by(guid=request.match_info["guid"]).one_or_none()
    if content is not None and viewer is None and not access.may_open(None, content):
        raise Unauthenticated("This content is not open to everyone.")
    if content is None or not _may_see(viewer, content):
        raise NotFound("There is no such content, or the one you are viewing as may not see it.")
    return _item(request, content, viewer)


def _changed(request: web.Request, viewer: User | None) -> Item:
    """The same, if the viewer may change it."""
    item = _seen(request, viewer)
    if viewer is None:
        raise Unauthenticated("Nobody is signed in.")
    access.check_change(viewer, item.content)
    return item


def _item(request: web.Request, content: Content, viewer: User | None) -> Item:
    deploys = rooms(request).deploys
    state = deploys.state(content)
    if state == "empty" and any(d.error for d in rooms(request).history.find(content.guid)[:1]):
        state = "failed"
    vanity = rooms(request).vanities.get(content.guid)
    return Item(
        content=content,
        owner=_name(request, content.owner_guid),
        state=state,
        path=vanity.path if vanity else f"/content/{content.guid}/",
        runs=deploys.requirements(content),
        may_open=access.may_open(viewer, content),
        may_change=viewer is not None
        and viewer.user_role != "viewer"
        and access.may_change(viewer, content),
    )


def _name(request: web.Request, user_guid: str) -> str:
    user = rooms(request).identities.get(user_guid)
    return user.username if user else "somebody who is gone"


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


async def _send(response: web.StreamResponse, event: str, data: object) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())
