"""The way of a visitor's request to content: who, may they, which process, headers, proxy.

What the app sees of its visitor, its address and its mount is decided here. Every
copy of a header that could say otherwise is dropped from what the client sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple
from weakref import WeakSet

import aiohttp
from aiohttp import HttpVersion11, WSCloseCode, web
from multidict import CIMultiDict
from yarl import URL

from local_connect.access import rights
from local_connect.access.addresses import DASHBOARD
from local_connect.access.identity import Identities, wants_page
from local_connect.access.vanities import Vanities
from local_connect.access.visitor_tokens import HEADER as SESSION_TOKEN_HEADER
from local_connect.api.common import in_time
from local_connect.errors import ApiError, Locked, NotDeployed, NotFound
from local_connect.gateway import headers as rules
from local_connect.gateway import websockets
from local_connect.gateway.faults import Fault, Faults
from local_connect.gateway.recorder import Recorder, Recording
from local_connect.records.store import Bundle, Content, Store, User
from local_connect.runtime.deploys import Deploys
from local_connect.runtime.hits import Hits
from local_connect.runtime.processes import ContentProcess, Launch, ProcessFailed, ProcessTooSlow
from local_connect.runtime.upstream import Answer, BrokenOff, NotHttp, NotTaken, Unreachable

_CONTENT = re.compile(
    r"(?P<mount>/content/(?P<guid>[0-9a-f-]{36})(?:/_bundle(?P<bundle>\d{1,18}))?)(?P<rest>/.*)?",
    re.ASCII,
)

#: methods of requests that say nothing of their body where they have none
_WITHOUT_BODY = {"GET", "HEAD", "OPTIONS", "TRACE"}


#: counted as the status of an answer that its client did not wait for, as nginx has it
_WENT_AWAY = 499

#: whether a request has become a WebSocket, whose end is that its visitor went away
_ACCEPTED = web.RequestKey("accepted", bool)


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
        recorder: Recorder | None,
        faults: Faults,
    ) -> None:
        self._store = store
        self._identities = identities
        self._vanities = vanities
        self._deploys = deploys
        self._hits = hits
        self._failures = failures
        self._credentials_use_guid = credentials_use_guid
        self._recorder = recorder
        self._faults = faults
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
        status = _WENT_AWAY
        try:
            answer = await self._recorded(request, target, base)
            status = answer.status
        except ApiError as refusal:
            status = refusal.status
            raise
        except Exception:  # pragma: no cover (no fault of ours is known)
            status = 500
            raise
        finally:
            if _ACCEPTED in request:
                status = 101
            # addresses of no content are not counted, as there is no end of them
            if self._store.content(target.guid):  # pragma: no branch (deleted meanwhile)
                self._hits.answers[target.guid, status] += 1
        return answer

    async def _recorded(
        self, request: web.Request, target: Target, base: str
    ) -> web.StreamResponse:
        """The same, which the recorder is told of, if there is one."""
        if self._recorder is None:
            return await self._answer(request, target, base, None)
        recording = self._recorder.begin(
            target.guid, target.mount, request.method, request.raw_path, request.headers
        )
        try:
            response = await self._answer(request, target, base, recording)
            recording.status = response.status
            return response
        except ApiError as refusal:
            recording.status = refusal.status
            recording.error = refusal.error
            raise
        finally:
            recording.end()

    async def _answer(
        self, request: web.Request, target: Target, base: str, recording: Recording | None
    ) -> web.StreamResponse:
        """The same; what happens is noted in `recording`, if there is one."""
        if request.method == "CONNECT":
            raise ApiError("This server makes no tunnels.", status=405)
        expected = request.headers.get("Expect", "100-continue")
        if expected.lower() != "100-continue":
            raise ApiError(f"This server does not meet the expectation {expected!r}.", status=417)
        viewer = self._identities.from_request(request)
        if recording:
            recording.viewer = viewer
        content, bundle_id = self._open(request, target, viewer)
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
        faults: dict[str, Fault] = {}
        if self._faults.active:
            faults = self._faults.befall(content.guid, request.raw_path)
        if faults:
            await self._meet(faults, content.guid, bundle_id, recording)
        signed = self._identities.tokens.named_by(request)
        headers = self._headers(
            request, base, target, viewer, signed=signed, token_over="token" in faults
        )
        if recording:
            recording.headers = headers
            recording.signed = signed
        for _ in range(2):
            process = await self._process(content.guid, bundle_id)
            process.begin()
            if recording:
                recording.ask(process.launch)
            try:
                if process.launch.is_asgi and websockets.is_handshake(request):
                    return await self._connect(request, process, headers, target.mount, recording)
                return await _proxy(
                    request, process, headers, target.mount, recording, cut="cut" in faults
                )
            except (Unreachable, aiohttp.ClientConnectorError):
                # it ended in this moment and was sent nothing, so another can take over
                process.lost = True
            finally:
                process.finish()
        raise ApiError(  # pragma: no cover (two races of a moment, one after the other)
            "The app's process ends as soon as it has started.", status=502
        )

    async def _meet(
        self, faults: dict[str, Fault], guid: str, bundle_id: int, recording: Recording | None
    ) -> None:
        """Let faults befall a request before the app gets it; an `ApiError` is its answer."""
        if recording:
            recording.faults = ", ".join(fault.name for fault in faults.values())
        if delay := faults.get("delay"):
            await asyncio.sleep(delay.seconds)
        if status := faults.get("status"):
            raise ApiError("This is a fault on demand, not the app's answer.", status=status.status)
        if "idle" in faults:
            self._deploys.end_idle(bundle_id)
        if "kill" in faults:
            await (await self._process(guid, bundle_id)).kill()
            raise ApiError(
                "The app's process ended without an answer: it was killed, by a fault on demand.",
                status=502,
            )

    def _open(
        self, request: web.Request, target: Target, viewer: User | None
    ) -> tuple[Content, int]:
        """The content and the bundle that the visitor gets, if they may.

        A person in a browser does not get watched content whose newest deployment failed: they
        are told, as they may well be its author, who would otherwise look at the old version.
        """
        content = self._store.content(target.guid)
        if content is None:
            raise NotFound("There is no content at this address.")
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
        return content, bundle_id

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
        self,
        request: web.Request,
        base: str,
        target: Target,
        viewer: User | None,
        *,
        signed: bool,
        token_over: bool,
    ) -> list[tuple[str, str]]:
        """What the process gets: the client's own headers, less those that are decided here."""
        headers = rules.from_visitor(request.headers, signed=signed)
        headers += rules.place(base, target.guid, target.mount, *_client(request))
        headers.append(("X-RSC-Request", f"{base}{request.raw_path}"))
        if viewer:
            headers.append((rules.CREDENTIALS_HEADER, self._credentials(viewer)))
            token = self._identities.session_token(viewer, target.guid, over=token_over)
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
        recording: Recording | None,
    ) -> web.StreamResponse:
        """Give the visitor a WebSocket to the app, if that accepts it, until either ends it."""
        launch = process.launch
        async with AsyncExitStack() as stack:
            try:
                app, answered = await stack.enter_async_context(
                    websockets.opened(
                        process.socket_path,
                        URL(f"http://content{request.raw_path}", encoded=True),
                        headers=rules.for_handshake(headers),
                        protocols=websockets.protocols(request),
                        connection_timeout=launch.connection_timeout,
                    )
                )
            except TimeoutError as error:  # pragma: no cover (Linux refuses, and does not wait)
                raise _not_taken(launch) from error
            except aiohttp.WSServerHandshakeError as error:
                refused = error.status if error.status >= 400 else 502
                raise ApiError("The app does not accept this WebSocket.", status=refused) from error
            except aiohttp.ClientConnectorError:  # pragma: no cover (a race of a moment)
                raise
            except aiohttp.ClientError as error:  # pragma: no cover (a race with the case above)
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
            if recording:  # pragma: no branch (as for what is no WebSocket)
                recording.answer(101, answered)
            for name, text in rules.answered(answered, mount):
                visitor.headers.add(name, text)
            self._sockets.add(visitor)
            await visitor.prepare(request)
            request[_ACCEPTED] = True
            await websockets.bridge(visitor, app)
        return visitor  # pragma: no cover (aiohttp ends this with the connection)

    async def close(self) -> None:
        """Tell every visitor with an open WebSocket that this server goes away."""
        closing = (socket.close(code=WSCloseCode.GOING_AWAY) for socket in [*self._sockets])
        await asyncio.gather(*closing, return_exceptions=True)


async def _proxy(
    request: web.Request,
    process: ContentProcess,
    headers: list[tuple[str, str]],
    mount: str,
    recording: Recording | None,
    *,
    cut: bool,
) -> web.StreamResponse:
    """Give the visitor the process's answer, or raise an `ApiError` that says why there is none.

    With `cut` they get the beginning of it.
    """
    launch = process.launch
    lines = [f"{name}: {value}" for name, value in headers]
    body = _body(request, launch.read_timeout, recording) if request.body_exists else None
    length = request.content_length
    if body is None and request.method not in _WITHOUT_BODY:
        length = 0
    if recording:
        recording.length = length
    try:
        answer = await process.upstream.ask(
            request.method, request.raw_path.partition("#")[0], lines, body, length
        )
    except NotTaken as error:  # pragma: no cover (Linux refuses, and does not wait)
        raise _not_taken(launch) from error
    except NotHttp as error:
        raise ApiError(f"The app's answer is not HTTP: {error}", status=502) from error
    except BrokenOff as error:
        did = "process ended" if await process.ends() else "server closed the connection"
        raise ApiError(
            f"The app's {did} without an answer; this server's terminal shows what it printed.",
            status=502,
        ) from error
    if recording:
        recording.answer(answer.status, answer.headers)
    async with answer:
        if cut:
            return await _cut(request, answer, mount, recording)
        return await _pass_on(request, answer, process, mount, recording)


def _not_taken(launch: Launch) -> ApiError:  # pragma: no cover (Linux refuses, and does not wait)
    return ApiError(
        f"The app did not take the connection within {launch.connection_timeout:g} "
        "seconds (its connection_timeout).",
        status=504,
    )


async def _pass_on(
    request: web.Request,
    answer: Answer,
    process: ContentProcess,
    mount: str,
    recording: Recording | None,
) -> web.StreamResponse:
    """Give the client the process's answer: as it comes, or in one piece if it came in one."""
    status, reason = answer.status, rules.printable(answer.reason)
    headers = CIMultiDict(rules.answered(answer.headers, mount))
    if answer.is_whole:
        body = await answer.read()
        if recording:
            recording.keep_answer(body)
        whole = web.Response(status=status, reason=reason, headers=headers, body=body)
        if "Content-Length" not in headers and request.version >= HttpVersion11:
            # the app has not said it, and the client need not see how the answer came
            whole.enable_chunked_encoding()
        return whole
    response = web.StreamResponse(status=status, reason=reason, headers=headers)
    await response.prepare(request)
    try:
        while piece := await answer.read():
            if recording:
                recording.keep_answer(piece)
            await response.write(piece)
        await response.write_eof()
    except (BrokenOff, NotHttp, ApiError) as error:
        if recording:
            recording.error = "The answer was broken off."
        if not isinstance(error, ApiError):  # pragma: no branch (the visitor broke off as well)
            await process.ends()
        # the answer has begun, so all that is left is to end the connection short,
        # which tells the client that it is not whole
        if request.transport:  # pragma: no branch (closed meanwhile)
            request.transport.abort()
    return response


async def _cut(
    request: web.Request, answer: Answer, mount: str, recording: Recording | None
) -> web.StreamResponse:
    """Give the client half of what comes first of an answer's body, and end the connection."""
    headers = CIMultiDict(rules.answered(answer.headers, mount))
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    piece = await answer.read()
    if recording:
        recording.error = "The answer was cut off, by a fault on demand."
        recording.keep_answer(piece[: len(piece) // 2])
    await response.write(piece[: len(piece) // 2])
    if request.transport:  # pragma: no branch (closed meanwhile)
        request.transport.abort()
    return response


def _client(request: web.Request) -> tuple[str, str]:
    """The address and the port of the client."""
    peer = request.get_extra_info("peername")
    return (peer[0], str(peer[1])) if isinstance(peer, tuple) else ("", "")


async def _body(
    request: web.Request, seconds: float, recording: Recording | None
) -> AsyncIterator[bytes]:
    """The request's body as it comes, asked for first where the client waits for that."""
    if request.transport and "Expect" in request.headers and request.version >= HttpVersion11:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    while piece := await in_time(request.content.readany(), seconds):
        if recording:
            recording.keep_body(piece)
        yield piece
