"""Serves an ASGI app inside a content process; `process.py` loads it, with uvicorn at hand.

It runs on every Python that uvicorn runs on.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

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
        self._reading: Any = None
        self._show: Any = None
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

    def run(
        self,
        load: Callable[[], Any],
        fit: Callable[[Any], Any],
        show: Callable[[BaseException], None],
        path: str,
    ) -> None:
        """Serve what `load` gives, at a socket that only this user can connect to.

        `fit` says how a scope must read for that app, see `mounts.py`; `show` prints an error of
        it.
        """
        umask = os.umask(0o177)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        os.umask(umask)

        async def serve() -> None:
            # in the loop that it will run in, as uvicorn does it
            self._app = load()
            self._reading = fit(self._app)
            self._show = show
            await self._server.serve([listener])

        with listener:
            asyncio.run(serve())

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, partial(self._tell, send))
            return
        mount = decide(scope)
        below = scope["path"][len(mount) :]
        self._reading.put(scope, mount, below, scope["raw_path"][len(mount) :])
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") and below == "/":
            await self._lead_to_console(mount, scope, receive, send)
        else:
            await self._app(scope, receive, keep_below(mount, scope, below, send))

    async def _tell(self, send: Any, message: Any) -> None:
        """Show the error for which an app does not start, which it may not say itself."""
        error = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and error:
            self._show(error)
            message = {**message, "message": ""}
        await send(message)

    async def _lead_to_console(
        self, mount: str, scope: dict[str, Any], receive: Any, send: Any
    ) -> None:
        """Lead a visitor of an app without a `GET /` to its docs, as Connect does (documented)."""
        visit = {**scope, "headers": [*scope["headers"]]}
        replaced = False

        async def answer(message: Any) -> None:
            nonlocal replaced
            missing = message["type"] == "http.response.start" and message["status"] in (404, 405)
            if missing and await self._has_console(mount, visit):
                replaced = True
                headers = [
                    (b"location", f"{mount}{CONSOLE}".encode()),
                    (b"content-length", b"0"),
                ]
                await send({"type": "http.response.start", "status": 307, "headers": headers})
                await send({"type": "http.response.body"})
            elif not replaced:
                await send(message)

        await self._app(scope, receive, answer)

    async def _has_console(self, mount: str, visit: dict[str, Any]) -> bool:
        """Whether this visitor would find a console there."""
        scope = {**visit, "method": "GET", "query_string": b""}
        self._reading.put(scope, mount, CONSOLE, CONSOLE.encode())
        statuses = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self._app(scope, receive, send)
        return statuses == [200]


class _Listening(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def decide(scope: dict[str, Any]) -> str:
    """Put into the scope what the gateway decided on: host, scheme, client. The mount is returned.

    The path holds the mount.
    """
    decided = json.loads(dict(scope["headers"])[ENVIRON_HEADER])
    headers = [(name, value) for name, value in scope["headers"] if name != ENVIRON_HEADER]
    # those whose bytes are no UTF-8 come by their names in WSGI
    for name, value in decided.items():
        if name == "CONTENT_TYPE" or name.startswith("HTTP_"):
            plain = name.replace("HTTP_", "", 1).replace("_", "-").lower()
            headers.append((plain.encode(), value.encode("latin-1")))
    scope["headers"] = headers
    secure = decided["wsgi.url_scheme"] == "https"
    scope["scheme"] = ("ws" if scope["type"] == "websocket" else "http") + ("s" if secure else "")
    scope["server"] = (decided["SERVER_NAME"], int(decided["SERVER_PORT"]))
    scope["client"] = (decided["REMOTE_ADDR"], int(decided["REMOTE_PORT"] or 0))
    return str(decided["SCRIPT_NAME"])


def keep_below(mount: str, scope: dict[str, Any], below: str, send: Any) -> Any:
    """Give the mount to a redirect that only adds a slash to the path.

    An app that knows no mount, and some frameworks, would lead their visitors out of the content.
    """

    def placed(name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name.lower() == b"location":
            url = urlsplit(value.decode("latin-1"))
            host = dict(scope["headers"])[b"host"].decode("latin-1")
            if url.netloc in ("", host) and unquote(url.path) == f"{below}/":
                value = url._replace(path=mount + url.path).geturl().encode("latin-1")
        return name, value

    async def answer(message: Any) -> None:
        if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
            headers = [placed(*header) for header in message.get("headers", ())]
            message = {**message, "headers": headers}
        await send(message)

    return answer
