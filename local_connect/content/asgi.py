"""Serves an ASGI app inside a content process; `process.py` loads it, with uvicorn at hand.

It runs on every Python that uvicorn runs on.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

#: set by the gateway on each request, and by nobody else
ENVIRON_HEADER = b"x-local-connect-environ"

#: where FastAPI has its console
CONSOLE = "/docs"


class Server:
    """Made while uvicorn can be imported, and run when it cannot any more."""

    def __init__(self, ready: Callable[[], None]) -> None:
        self._app: Any = None
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            http=H11Protocol,
            ws=WSProtocol,
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            # the gateway keeps a connection for as long as it likes
            timeout_keep_alive=3600,
            timeout_graceful_shutdown=3,
            ws_ping_interval=None,
            # what the gateway has let in
            h11_max_incomplete_event_size=1 << 24,
        )
        # it imports what it names, which later would be the app's own
        config.load()
        self._server = _Listening(config, ready)

    def run(self, load: Callable[[], Any], path: str) -> None:
        """Serve what `load` gives, at a socket that only this user can connect to."""
        umask = os.umask(0o177)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        os.umask(umask)

        async def serve() -> None:
            # in the loop that it will run in, as uvicorn does it
            self._app = load()
            await self._server.serve([listener])

        with listener:
            asyncio.run(serve())

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            decide(scope)
        if scope["type"] == "http" and is_root(scope):
            await lead_to_console(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Listening(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def decide(scope: dict[str, Any]) -> None:
    """Put into the scope what the gateway decided on: mount, host, scheme, client.

    The path holds the mount, as ASGI has it, and Starlette since 0.33.
    """
    decided = json.loads(dict(scope["headers"])[ENVIRON_HEADER])
    headers = [(name, value) for name, value in scope["headers"] if name != ENVIRON_HEADER]
    # those whose bytes are no UTF-8 come by their names in WSGI
    for name, value in decided.items():
        if name == "CONTENT_TYPE" or name.startswith("HTTP_"):
            plain = name.replace("HTTP_", "", 1).replace("_", "-").lower()
            headers.append((plain.encode(), value.encode("latin-1")))
    scope["headers"] = headers
    scope["root_path"] = decided["SCRIPT_NAME"]
    secure = decided["wsgi.url_scheme"] == "https"
    scope["scheme"] = ("ws" if scope["type"] == "websocket" else "http") + ("s" if secure else "")
    scope["server"] = (decided["SERVER_NAME"], int(decided["SERVER_PORT"]))
    scope["client"] = (decided["REMOTE_ADDR"], int(decided["REMOTE_PORT"] or 0))


def is_root(scope: dict[str, Any]) -> bool:
    return scope["method"] in ("GET", "HEAD") and scope["path"] == f"{scope['root_path']}/"


async def lead_to_console(app: Any, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Lead a visitor of an app without a `GET /` to its console, as Connect does (documented)."""
    visit = {**scope, "headers": [*scope["headers"]]}
    replaced = False

    async def answer(message: Any) -> None:
        nonlocal replaced
        missing = message["type"] == "http.response.start" and message["status"] in (404, 405)
        if missing and await has_console(app, visit):
            replaced = True
            location = (visit["root_path"] + CONSOLE).encode()
            headers = [(b"location", location), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 307, "headers": headers})
            await send({"type": "http.response.body"})
        elif not replaced:
            await send(message)

    await app(scope, receive, answer)


async def has_console(app: Any, visit: dict[str, Any]) -> bool:
    """Whether this visitor would find a console there."""
    path = visit["root_path"] + CONSOLE
    scope = {**visit, "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    statuses = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses == [200]
