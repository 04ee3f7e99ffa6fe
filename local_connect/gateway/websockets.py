"""WebSockets between visitors and ASGI apps: two connections, and what is said on one on the other.

A close frame passes with its code and reason. Where one end goes without a word, the other is
told that it goes away (1001, to the app) or is restarting (1012, to the visitor).
"""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web

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
    except ConnectionError:
        # the sink has gone, as the other direction knows better
        await asyncio.sleep(CLOSING)
        return None
