"""The way of a visitor's request to content: who, may they, which process, headers, proxy.

What the app sees of its visitor, its address and its mount is decided here. Every
copy of a header that could say otherwise is dropped from what the client sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache, wraps
from typing import NamedTuple, TypeVar
from weakref import WeakSet

import aiohttp
from aiohttp import HttpVersion11, WSCloseCode, web
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from local_connect.access import rights
from local_connect.access.addresses import DASHBOARD
from local_connect.access.identity import (
    KEY_HEADERS,
    Identities,
    is_session,
    wants_page,
    without_session,
)
from local_connect.access.tokens import HEADERS as TOKEN_HEADERS
from local_connect.access.vanities import Vanities
from local_connect.access.visitor_tokens import HEADER as SESSION_TOKEN_HEADER
from local_connect.api.common import in_time
from local_connect.errors import ApiError, Locked, NotDeployed, NotFound
from local_connect.gateway import websockets
from local_connect.records.store import Bundle, Content, Store, User
from local_connect.runtime.deploys import Deploys
from local_connect.runtime.hits import Hits
from local_connect.runtime.processes import ContentProcess, Launch, ProcessFailed, ProcessTooSlow
from local_connect.runtime.upstream import Answer, BrokenOff, NotHttp, NotTaken, Unreachable

CREDENTIALS_HEADER = "RStudio-Connect-Credentials"

#: carries what the content process puts into the WSGI environ; see content/process.py
ENVIRON_HEADER = "X-Local-Connect-Environ"

_CONTENT = re.compile(
    r"(?P<mount>/content/(?P<guid>[0-9a-f-]{36})(?:/_bundle(?P<bundle>\d{1,18}))?)(?P<rest>/.*)?",
    re.ASCII,
)

#: Names, as WSGI folds them, that say something about the visitor, the address or
#: the mount. A client's own copies are dropped.
_DECIDED_HERE = re.compile(
    r"RSTUDIO_CONNECT_.*|POSIT_CONNECT_.*|X_RSC_.*|X_LOCAL_CONNECT_.*"
    r"|X_FORWARDED(_.*)?|FORWARDED|X_REAL_IP|X_ORIGINAL_.*|X_REWRITE_URL"
    r"|X_SCRIPT_NAME|X_SCHEME|X_URL_SCHEME|X_HOST|PROXY|HOST"
)

#: of this connection only, never passed on (RFC 9110, 7.6.1)
_HOP_BY_HOP = {
    "CONNECTION",
    "KEEP_ALIVE",
    "PROXY_AUTHENTICATE",
    "PROXY_AUTHORIZATION",
    "PROXY_CONNECTION",
    "TE",
    "TRAILER",
    "TRANSFER_ENCODING",
    "UPGRADE",
    # answered here, before the body is read
    "EXPECT",
}

#: Headers of an answer that would reach beyond the content's own pages: to other content,
#: which shares its origin, or to the visitor's session here.
_KEPT_BACK = {"SERVICE_WORKER_ALLOWED", "CROSS_ORIGIN_OPENER_POLICY", "CLEAR_SITE_DATA"}

#: methods of requests that say nothing of their body where they have none
_WITHOUT_BODY = {"GET", "HEAD", "OPTIONS", "TRACE"}

#: how a request is framed is said anew, whatever of it the client has in `Connection`
_NOT_PASSED_ON = _HOP_BY_HOP | {"CONTENT_LENGTH"}

_NOT_PASSED_BACK = _HOP_BY_HOP | _KEPT_BACK | websockets.HANDSHAKE

#: headers that may hold the viewer's API key; another kind of authorization is for the app
_KEY_HEADERS = {header.upper().replace("-", "_") for header in KEY_HEADERS}

_TOKEN_HEADERS = {header.upper().replace("-", "_") for header in TOKEN_HEADERS}

#: How a value that holds an API key begins, with or without the space that belongs there: one
#: is for this server, even if it is not written well enough to be taken.
_KEY_SCHEME = re.compile(r"\W*key\b", re.IGNORECASE)

#: characters of the names of headers that are remembered
_USUAL = 64

T = TypeVar("T")


class Target(NamedTuple):
    """Where a request goes: which content and bundle, under which mount, and the rest."""

    guid: str
    mount: str
    #: a draft's bundle; None for the active one
    bundle_id: int | None
    #: whether the path goes on after the mount, if only by a slash
    inside: bool


class Gateway:
    """Answers `/content/<guid>/…` and vanity paths by the process that runs the content."""

    def __init__(
        self,
        *,
        store: Store,
        identities: Identities,
        vanities: Vanities,
        deploys: Deploys,
        hits: Hits,
        failures: Mapping[str, str],
        credentials_use_guid: bool,
    ) -> None:
        self._store = store
        self._identities = identities
        self._vanities = vanities
        self._deploys = deploys
        self._hits = hits
        self._failures = failures
        self._credentials_use_guid = credentials_use_guid
        #: of visitors, as long as they are open
        self._sockets: WeakSet[web.WebSocketResponse] = WeakSet()

    def target(self, raw_path: str) -> Target | None:
        """The content that a path belongs to, as the path stands in the request line.

        Nothing is decoded and no dots are resolved, so there is one way only to write
        the address of content.
        """
        path = raw_path.partition("?")[0]
        if match := _CONTENT.fullmatch(path):
            mount, guid, bundle_id, rest = match.groups()
            return Target(guid, mount, int(bundle_id) if bundle_id else None, rest is not None)
        if vanity := self._vanities.find(path):
            mount = vanity[0].removesuffix("/")
            return Target(vanity[1], mount, None, path != mount)
        return None

    async def handle(self, request: web.Request, target: Target, base: str) -> web.StreamResponse:
        """Answer one request, or raise an `ApiError` that says why not.

        `base` is the scheme and the host by which the visitor knows this server.
        """
        content = self._store.content(target.guid)
        if content is None:
            raise NotFound("There is no content at this address.")
        try:
            answer = await self._answer(request, target, content, base)
        except ApiError as refusal:
            self._hits.answers[target.guid, refusal.status] += 1
            raise
        self._hits.answers[target.guid, answer.status] += 1
        return answer

    async def _answer(
        self, request: web.Request, target: Target, content: Content, base: str
    ) -> web.StreamResponse:
        if request.method == "CONNECT":
            raise ApiError("This server makes no tunnels.", status=405)
        expected = request.headers.get("Expect", "100-continue")
        if expected.lower() != "100-continue":
            raise ApiError(f"This server does not meet the expectation {expected!r}.", status=417)
        viewer = self._identities.from_request(request)
        bundle_id = self._open(request, target, content, viewer)
        if not target.inside:
            query = request.raw_path.partition("?")[2]
            location = f"{base}{target.mount}/" + (f"?{query}" if query else "")
            return web.Response(status=308, headers={"Location": location})
        if target.bundle_id is None:
            self._hits.add(
                content.guid,
                bundle_id,
                viewer.guid if viewer else None,
                request.raw_path[len(target.mount) :],
                request.headers,
            )
        headers = self._headers(request, base, target, viewer)
        for _ in range(2):
            process = await self._process(content.guid, bundle_id)
            process.begin()
            try:
                if process.launch.is_asgi and websockets.is_handshake(request):
                    return await self._connect(request, process, headers, target.mount)
                return await _proxy(request, process, headers, target.mount)
            except (Unreachable, aiohttp.ClientConnectorError):
                # it ended in this moment and was sent nothing, so another can take over
                process.lost = True
            finally:
                process.finish()
        raise ApiError("The app's process ends as soon as it has started.", status=502)

    def _open(
        self, request: web.Request, target: Target, content: Content, viewer: User | None
    ) -> int:
        """The bundle that the visitor gets, if they may.

        A person in a browser does not get watched content whose newest deployment failed: they
        are told, as they may well be its author, who would otherwise look at the old version.
        """
        rights.check_open(viewer, content)
        if content.locked:
            raise Locked(content.locked_message or "This content is locked.")
        bundle_id = content.bundle_id
        if target.bundle_id is not None:
            with self._store.session() as session:
                draft = session.get(Bundle, target.bundle_id)
            if (
                draft is None
                or draft.content_guid != content.guid
                or not rights.may_change(viewer, content)
            ):
                raise NotFound("There is no such draft, or you may not see it.")
            bundle_id = draft.id
        if target.bundle_id is None and content.guid in self._failures and wants_page(request):
            raise NotDeployed(content.title or content.name, self._failures[content.guid])
        if bundle_id is None:
            raise NotFound(
                "Nothing has been deployed to this content yet. "
                f"{DASHBOARD}apps/{content.guid}/ shows what was tried."
            )
        return bundle_id

    async def _process(self, guid: str, bundle_id: int) -> ContentProcess:
        try:
            return await self._deploys.process(guid, bundle_id)
        except ProcessFailed as failure:
            raise ApiError(
                f"{failure} The deployment's log in Connect's dashboard, or this server's "
                "terminal, shows what the app printed.",
                status=504 if isinstance(failure, ProcessTooSlow) else 502,
            ) from failure

    def _headers(
        self, request: web.Request, base: str, target: Target, viewer: User | None
    ) -> list[tuple[str, str]]:
        """What the process gets: the client's own headers, less those that are decided here."""
        headers = _from_client(request, signed=self._identities.tokens.named_by(request))
        headers += _place(base, target.guid, target.mount, *_client(request))
        headers.append(("X-RSC-Request", f"{base}{request.raw_path}"))
        if viewer:
            headers.append((CREDENTIALS_HEADER, self._credentials(viewer)))
            token = self._identities.session_token(viewer, target.guid)
            headers.append((SESSION_TOKEN_HEADER, token))
        return headers

    def _credentials(self, viewer: User) -> str:
        """The viewer and their groups, by name or by GUID, in raw UTF-8 (inferred)."""
        if self._credentials_use_guid:
            who = {"user": viewer.guid, "groups": [group.guid for group in viewer.groups]}
        else:
            who = {"user": viewer.username, "groups": [group.name for group in viewer.groups]}
        return json.dumps(who, ensure_ascii=False)

    async def _connect(
        self,
        request: web.Request,
        process: ContentProcess,
        headers: list[tuple[str, str]],
        mount: str,
    ) -> web.StreamResponse:
        """Give the visitor a WebSocket to the app, if that accepts it, until either ends it."""
        launch = process.launch
        async with AsyncExitStack() as stack:
            try:
                app, answered = await stack.enter_async_context(
                    websockets.opened(
                        process.socket_path,
                        URL(f"http://content{request.raw_path}", encoded=True),
                        headers=_for_handshake(headers),
                        protocols=websockets.protocols(request),
                        connection_timeout=launch.connection_timeout,
                    )
                )
            except TimeoutError as error:
                raise _not_taken(launch) from error
            except aiohttp.WSServerHandshakeError as error:
                refused = error.status if error.status >= 400 else 502
                raise ApiError("The app does not accept this WebSocket.", status=refused) from error
            except aiohttp.ClientConnectorError:
                raise
            except aiohttp.ClientError as error:
                await process.ends()
                raise ApiError("The app ended without an answer.", status=502) from error
            visitor = web.WebSocketResponse(
                protocols=[app.protocol] if app.protocol else [],
                # one who is gone without a word does not keep the process from idling
                heartbeat=launch.read_timeout or None,
                timeout=websockets.CLOSING,
                autoclose=False,
                compress=False,
                max_msg_size=websockets.MESSAGE_BYTES,
            )
            for name, text in _answered(answered, mount):
                visitor.headers.add(name, text)
            self._sockets.add(visitor)
            await visitor.prepare(request)
            await websockets.bridge(visitor, app)
        return visitor

    async def close(self) -> None:
        """Tell every visitor with an open WebSocket that this server goes away."""
        closing = (socket.close(code=WSCloseCode.GOING_AWAY) for socket in [*self._sockets])
        await asyncio.gather(*closing, return_exceptions=True)


async def _proxy(
    request: web.Request, process: ContentProcess, headers: list[tuple[str, str]], mount: str
) -> web.StreamResponse:
    """Give the visitor the process's answer, or raise an `ApiError` that says why there is none."""
    launch = process.launch
    lines = [f"{name}: {value}" for name, value in headers]
    body = _body(request, launch.read_timeout) if request.body_exists else None
    length = request.content_length
    if body is None and request.method not in _WITHOUT_BODY:
        length = 0
    try:
        answer = await process.upstream.ask(
            request.method, request.raw_path.partition("#")[0], lines, body, length
        )
    except NotTaken as error:
        raise _not_taken(launch) from error
    except NotHttp as error:
        raise ApiError(f"The app's answer is not HTTP: {error}", status=502) from error
    except BrokenOff as error:
        did = "process ended" if await process.ends() else "server closed the connection"
        raise ApiError(
            f"The app's {did} without an answer; this server's terminal shows what it printed.",
            status=502,
        ) from error
    async with answer:
        return await _pass_on(request, answer, process, mount)


def _not_taken(launch: Launch) -> ApiError:
    return ApiError(
        f"The app did not take the connection within {launch.connection_timeout:g} "
        "seconds (its connection_timeout).",
        status=504,
    )


async def _pass_on(
    request: web.Request, answer: Answer, process: ContentProcess, mount: str
) -> web.StreamResponse:
    """Give the client the process's answer: as it comes, or in one piece if it came in one."""
    status, reason = answer.status, _printable(answer.reason)
    headers = CIMultiDict(_answered(answer.headers, mount))
    if answer.is_whole:
        whole = web.Response(
            status=status, reason=reason, headers=headers, body=await answer.read()
        )
        if "Content-Length" not in headers and request.version >= HttpVersion11:
            # the app has not said it, and the client need not see how the answer came
            whole.enable_chunked_encoding()
        return whole
    response = web.StreamResponse(status=status, reason=reason, headers=headers)
    await response.prepare(request)
    try:
        while piece := await answer.read():
            await response.write(piece)
        await response.write_eof()
    except (BrokenOff, NotHttp, ApiError) as error:
        if not isinstance(error, ApiError):
            await process.ends()
        # the answer has begun, so all that is left is to end the connection short,
        # which tells the client that it is not whole
        if request.transport:
            request.transport.abort()
    return response


def _answered(headers: MultiMapping[str], mount: str) -> Iterator[tuple[str, str]]:
    """The headers of an answer of the app's that may pass."""
    named = _named_in_connection(headers)
    for name, value in headers.items():
        folded = _folded(name)
        if folded in _NOT_PASSED_BACK or (named and name.upper() in named):
            continue
        text = _printable(value)
        if folded == "SET_COOKIE":
            text = _below(mount, text)
            if not text:
                continue
        yield name, text


def _from_client(request: web.Request, *, signed: bool) -> list[tuple[str, str]]:
    """The client's headers that may pass, cookies joined into one as HTTP/1.1 has it.

    `signed` says that headers of a signature are for this server, and not for the app.
    """
    named = _named_in_connection(request.headers)
    passed = []
    cookies = []
    for name, value in request.headers.items():
        folded = _folded(name)
        if (
            _is_ours(name)
            or (named and name.upper() in named)
            or (folded in _KEY_HEADERS and _KEY_SCHEME.match(value))
            or (signed and folded in _TOKEN_HEADERS)
        ):
            continue
        if folded == "COOKIE":
            cookies.append(value)
        else:
            passed.append((name, value))
    if cookies and (cookie := without_session("; ".join(cookies))):
        passed.append(("Cookie", cookie))
    return passed


def _remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """What a function makes of the names of headers, of which there are few; long ones are odd."""
    known = lru_cache(maxsize=1024)(function)

    @wraps(function)
    def remembering(name: str) -> T:
        return known(name) if len(name) <= _USUAL else function(name)

    return remembering


@_remembered
def _folded(name: str) -> str:
    """A header's name as WSGI folds it."""
    return name.upper().replace("-", "_")


@_remembered
def _is_ours(name: str) -> bool:
    """Whether a header of a client's is of its connection here, or says what is decided here.

    WSGI cannot tell A_B from A-B, so no name with an underscore passes.
    """
    folded = _folded(name)
    return "_" in name or folded in _NOT_PASSED_ON or bool(_DECIDED_HERE.fullmatch(folded))


@lru_cache(maxsize=1024)
def _place(
    base: str, guid: str, mount: str, address: str, port: str
) -> tuple[tuple[str, str], ...]:
    """What the process gets to know of where it is, and of where its client is."""
    origin = URL(base)
    environ = {
        "SCRIPT_NAME": mount,
        "SERVER_NAME": origin.host,
        "SERVER_PORT": str(origin.port),
        "REMOTE_ADDR": address,
        "REMOTE_HOST": address,
        "REMOTE_PORT": port,
        "wsgi.url_scheme": origin.scheme,
    }
    return (
        ("Host", base.partition("//")[2]),
        ("RStudio-Connect-App-Base-URL", f"{base}/content/{guid}"),
        (ENVIRON_HEADER, json.dumps(environ)),
    )


def _for_handshake(headers: list[tuple[str, str]]) -> CIMultiDict[str]:
    """The same for the handshake of a WebSocket, which aiohttp's client writes.

    It makes headers of its own for that. It takes two names that differ in case for two headers
    and keeps the last. And it writes text as UTF-8, so headers whose bytes are not UTF-8 go by
    another way, as WSGI has them.
    """
    written: CIMultiDict[str] = CIMultiDict()
    for name, value in headers:
        if _folded(name) not in websockets.HANDSHAKE:
            written.add(name.lower(), value)
    undecoded = {name for name, value in written.items() if _printable(value) != value}
    environ = {
        "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}": (
            ", ".join(written.popall(name)).encode("utf-8", "surrogateescape").decode("latin-1")
        )
        for name in undecoded
    }
    written[ENVIRON_HEADER] = json.dumps({**environ, **json.loads(written[ENVIRON_HEADER])})
    return written


def _client(request: web.Request) -> tuple[str, str]:
    """The address and the port of the client."""
    peer = request.get_extra_info("peername")
    return (peer[0], str(peer[1])) if isinstance(peer, tuple) else ("", "")


def _named_in_connection(headers: MultiMapping[str]) -> set[str]:
    """Further headers that are of this connection only, in upper case."""
    if "Connection" not in headers:
        return set()
    return {
        name.strip().upper() for value in headers.getall("Connection") for name in value.split(",")
    }


def _below(mount: str, cookie: str) -> str:
    """A `Set-Cookie` that reaches the content only: its path is the mount or lies below it.

    Empty for a cookie that poses as the session of a server such as this.
    """
    pair, *attributes = (part.strip() for part in cookie.split(";"))
    # a browser sends a cookie with no name, `=x=y`, back as `x=y`
    if is_session(pair.lstrip("= \t").partition("=")[0].strip()):
        return ""
    path = f"{mount}/"
    kept = []
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        if name.strip().lower() == "path":
            path = value.strip() if value.strip().startswith(f"{mount}/") else f"{mount}/"
        elif name.strip().lower() != "domain":
            kept.append(attribute)
    return "; ".join((pair, f"Path={path}", *kept))


def _printable(value: str) -> str:
    """A header's text as UTF-8: bytes that are not UTF-8 are read as Latin-1, as HTTP has it."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


async def _body(request: web.Request, seconds: float) -> AsyncIterator[bytes]:
    """The request's body as it comes, asked for first where the client waits for that."""
    if request.transport and "Expect" in request.headers and request.version >= HttpVersion11:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    while piece := await in_time(request.content.readany(), seconds):
        yield piece
