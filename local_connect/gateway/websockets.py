"""WebSockets between visitors and ASGI apps: two connections, and what is said on one on the other.

A close frame passes with its code and reason. Where one end goes without a word, the other is
told that it goes away (1001, to the app) or is restarting (1012, to the visitor).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from local_connect.runtime.upstream import HEADER_BYTES

#: bytes of a message of a visitor's; uvicorn takes no more
MESSAGE_BYTES = 1 << 24

#: seconds that the app may take to answer a close frame
CLOSING = 2.0

#: headers of a handshake, which are of one connection only
HANDSHAKE = {
    "SEC_WEBSOCKET_KEY",
    "SEC_WEBSOCKET_ACCEPT",
    "SEC_WEBSOCKET_VERSION",
    "SEC_WEBSOCKET_EXTENSIONS",
    "SEC_WEBSOCKET_PROTOCOL",
}

_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


def is_handshake(request: web.Request) -> bool:
    """Whether a request asks for a WebSocket, well enough to be given one."""
    socket = web.WebSocketResponse(protocols=protocols(request))
    return not request.body_exists and bool(socket.can_prepare(request))


def protocols(request: web.Request) -> list[str]:
    """The subprotocols that a visitor offers, the best first."""
    offers = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return [offer.strip() for offer in offers.split(",") if offer.strip()]


@asynccontextmanager
async def opened(
    path: Path,
    url: URL,
    *,
    headers: CIMultiDict[str],
    protocols: Iterable[str],
    connection_timeout: float,
) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, CIMultiDictProxy[str]]]:
    """A WebSocket to the app at a Unix socket, and the headers by which it was accepted.

    Raises `TimeoutError` where the connection is not taken in time, and what aiohttp does. The
    client is for this one alone: uvicorn closes the connection on which it has refused a handshake,
    but does not say so.
    """
    answers: list[aiohttp.ClientResponse] = []

    async def note(_: object, __: object, end: aiohttp.TraceRequestEndParams) -> None:
        answers.append(end.response)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(note)
    client = aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(path=str(path), force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connection_timeout or None),
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        trace_configs=[trace],
    )
    async with (
        client,
        client.ws_connect(
            url,
            headers=headers,
            protocols=protocols,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING),
            autoclose=False,
            max_msg_size=0,
        ) as app,
    ):
        yield app, answers[0].headers


async def bridge(visitor: web.WebSocketResponse, app: aiohttp.ClientWebSocketResponse) -> None:
    """Pass on what each says until one of them ends, and end the other in the same way."""
    up = asyncio.create_task(_pass_on(visitor, app))
    down = asyncio.create_task(_pass_on(app, visitor))
    code, reason = int(WSCloseCode.GOING_AWAY), b""
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        if down.done():
            code, reason = down.result() or (WSCloseCode.SERVICE_RESTART, b"")
        else:
            code, reason = up.result() or (WSCloseCode.GOING_AWAY, b"")
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        await app.close(code=code, message=reason)
        await visitor.close(code=code, message=reason)


async def _pass_on(source: _Socket, sink: _Socket) -> tuple[int, bytes] | None:
    """Pass on messages; the code and the reason by which the source ends, if it says."""
    try:
        while True:
            message = await source.receive()
            if message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            elif message.type is WSMsgType.CLOSE:
                return message.data or WSCloseCode.OK, (message.extra or "").encode()
            else:
                return None
    except ConnectionError:  # pragma: no cover (a race of a moment)
        # the sink has gone, as the other direction knows better
        await asyncio.sleep(CLOSING)
        return None
