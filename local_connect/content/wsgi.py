"""Serves a WSGI app inside a content process; `process.py` loads it, with waitress at hand.

It runs on every Python that waitress runs on. Threads, locks and sockets are made only once the
app is loaded: an app may begin with gevent's or eventlet's `monkey_patch`, which then holds for
what serves it, too.
"""

from __future__ import annotations

import logging
import resource
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import is_hop_by_hop

from waitress.server import create_server

#: the answer for an app that gives none
FAILED = b"Internal Server Error: the app failed, and its log shows how.\n"

#: more than anything has: the gateway decides what comes in
UNLIMITED = 1 << 62

#: bytes of a request before its body; the gateway lets less than that in
HEADER_BYTES = 1 << 24

#: bytes read from a connection at a time
READ_BYTES = 1 << 16

#: seconds that a connection may idle; the gateway closes those that it does not need
IDLE_SECONDS = 86400


def serve(
    app: Callable[..., Any],
    show: Callable[[BaseException], None],
    *,
    path: str,
    threads: int,
    ready: Callable[[], None],
    stopping: Callable[[], bool],
) -> None:
    """Serve the app at a Unix socket that only this user can connect to.

    `show` prints an error of the app's. `ready` is called once the socket takes connections. It
    returns when `stopping` says so, which is asked once a second, or when waitress has failed.
    """
    # that a request waits for a thread is no news
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = create_server(
        answering(app, show),
        unix_socket=path,
        unix_socket_perms="600",
        threads=threads,
        connection_limit=connection_limit(),
        channel_timeout=IDLE_SECONDS,
        recv_bytes=READ_BYTES,
        max_request_header_size=HEADER_BYTES,
        max_request_body_size=UNLIMITED,
        # the gateway has dropped them
        clear_untrusted_proxy_headers=False,
        # the gateway names a server where the app does not
        ident="",
        # a visitor who goes away is no error
        log_socket_errors=False,
        # select() takes no file descriptor above 1023
        asyncore_use_poll=True,
    )
    ready()
    ended = threading.Event()

    def run() -> None:
        try:
            server.run()
        finally:
            ended.set()

    # In a thread, because in the main thread SIGTERM makes waitress wait for requests under way.
    threading.Thread(target=run, name="waitress", daemon=True).start()
    # SIGTERM ends this wait by an exception. Where gevent or eventlet has replaced threads, that
    # may be raised in a request's greenlet instead, hence the question.
    while not stopping() and not ended.wait(1):
        pass


def connection_limit() -> int:
    """How many connections may be open: they take at most half of the process's files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if files == resource.RLIM_INFINITY else files // 2


class BrokenOff(ConnectionError):
    """Raised to waitress, it closes the connection after what has been sent, and logs nothing."""


def answering(app: Callable[..., Any], show: Callable[[BaseException], None]) -> Callable[..., Any]:
    """The app, for waitress to serve: each request is answered, or its answer broken off."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        # what serves the app is not the app's concern
        environ.pop("SERVER_SOFTWARE", None)
        environ.pop("waitress.client_disconnected", None)
        return Answer(environ, start_response, show).of(app)

    return wrapped


class Answer:
    """An answer of the app's on its way to waitress.

    Left alone, waitress never answers where the app raises `SystemExit` or its like, refuses
    headers that are the server's own to set, and sends a body in answer to HEAD.
    """

    def __init__(
        self,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
        show: Callable[[BaseException], None],
    ) -> None:
        self._environ = environ
        self._start_response = start_response
        self._show = show
        self._file_wrapper = environ["wsgi.file_wrapper"]
        self._is_head = environ["REQUEST_METHOD"] == "HEAD"
        #: what sends the headers of an answer to HEAD that has no Content-Length
        self._write_head: Callable[[bytes], Any] | None = None

    def of(self, app: Callable[..., Any]) -> Any:
        """What waitress is to send for the app."""
        try:
            answer = app(self._environ, self._start)
            if type(answer) in (list, tuple):
                check_pieces(answer)
        except BaseException as error:
            return self._fail(error)
        if self._write_head:
            # waitress would send the end of a body
            self._write_head(b"")
            raise BrokenOff
        if type(answer) in (list, tuple) or isinstance(answer, self._file_wrapper):
            return answer
        return self._pieces(answer)

    def _start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], Any]:
        """WSGI's `start_response`."""
        headers = [header for header in headers if not is_hop_by_hop(header[0])]
        write: Callable[[bytes], Any] = self._start_response(status, headers, exc_info)
        if not self._is_head:
            return write
        sized = any(name.lower() == "content-length" for name, _ in headers)
        self._write_head = None if sized else write
        return lambda _: None

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        """The answer piece by piece, as the app makes them."""
        try:
            for piece in answer:
                check_pieces((piece,))
                yield piece
        except GeneratorExit:
            # the visitor has gone away
            raise
        except BaseException as error:
            yield from self._fail(error)
        finally:
            self._close(answer)

    def _fail(self, error: BaseException) -> list[bytes]:
        """The answer that says that the app failed; one that has begun is broken off."""
        self._show(error)
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(FAILED))),
        ]
        exc_info = (type(error), error, error.__traceback__)
        try:
            self._start_response("500 Internal Server Error", headers, exc_info)
        except BaseException:
            raise BrokenOff from None
        return [] if self._is_head else [FAILED]

    def _close(self, answer: Any) -> None:
        try:
            if hasattr(answer, "close"):
                answer.close()
        except BaseException as error:
            self._show(error)


def check_pieces(pieces: Iterable[Any]) -> None:
    """Refuse what is not bytes, before any of it is sent."""
    for piece in pieces:
        if not isinstance(piece, bytes):
            raise TypeError(f"The app's answer has a {type(piece).__name__} in it, not bytes only.")
