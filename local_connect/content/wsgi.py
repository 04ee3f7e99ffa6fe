"""Serves a WSGI app inside a content process; `process.py` loads it.

It speaks HTTP/1.1 with the gateway alone, which nobody can walk round: the gateway has
checked what comes, and it takes an answer's end by `Content-Length`, by chunks or by the
connection's end. It needs nothing but the standard library, of any Python that content may
ask for, so no version of anything is forced on an app.

A few threads answer requests. One of them leads: it waits for all connections and answers what
comes, one request after the other, because threads that take turns at the interpreter lose half of
what it can do. When an answer keeps it for more than a moment, the next thread leads on. When that
happens again and again, the app waits for something else, and for a while each thread passes the
lead on before it answers, so that as many requests are under way as there are threads. A
connection that idles, or whose request is not whole yet, holds none.
"""

from __future__ import annotations

import io
import os
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

#: bytes read from a connection at a time
_CHUNK = 1 << 16

#: bytes of a request's body that are kept in memory; a larger one is kept in a file
_IN_MEMORY = 1 << 19

#: connections that may wait to be taken
_BACKLOG = 1024

#: seconds to wait when there are no more file descriptors
_PAUSE = 0.1

#: seconds of an answer after which the next thread leads: what the interpreter gives a thread
_MOMENT = 0.005

#: seconds between two of these that show that the app waits for something else
_AGAIN = 0.02

#: seconds for which the lead is passed on early then
_EARLY = 1.0

#: moments with nothing to do after which nobody watches the leader any more
_QUIET = 20

#: of a connection, so no app may answer with them (PEP 3333)
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}

#: what is the same in each request
_ENVIRON = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    # the whole body is there before the app is called
    "wsgi.input_terminated": True,
}


class Server:
    """Calls `app` for each request that comes to a Unix socket; `show` prints an app's error."""

    def __init__(
        self, app: Callable[..., Any], show: Callable[[BaseException], None], *, threads: int
    ) -> None:
        self._app = app
        self._show = show
        self._threads = threads
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._selector = selectors.DefaultSelector()
        #: connections on which something has come, for the leader to take
        self._waiting: deque[_Connection] = deque()
        #: held by the thread that is to lead next
        self._next_leader = threading.Lock()
        #: of what follows, which says who leads and what the leader is at
        self._state = threading.Lock()
        self._leader: int | None = None
        #: whether the leader waits for connections
        self._idle = False
        #: what the leader has taken so far
        self._taken = 0
        #: when a leader was last held up, and until when the lead is passed on early
        self._held_up = 0.0
        self._early_until = 0.0
        #: whether the next leader waits to be woken; released to wake it
        self._asleep = False
        self._wake = threading.Lock()
        self._wake.acquire()

    def listen(self, path: str) -> None:
        """Take requests from now on, at a socket that only this user can connect to."""
        umask = os.umask(0o177)
        self._listener.bind(path)
        os.umask(umask)
        self._listener.listen(_BACKLOG)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        for number in range(self._threads):
            threading.Thread(target=self._work, name=f"requests-{number}", daemon=True).start()

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            with self._next_leader:
                self._await_lead(me)
            while connection := self._take(me):
                if time.monotonic() < self._early_until:
                    self._pass_on(me)
                self._serve(connection)

    def _await_lead(self, me: int) -> None:
        """Return when this thread leads: nobody else does, or the one who does is held up."""
        quiet = 0
        while True:
            with self._state:
                if self._leader is None:
                    self._leader = me
                    return
                taken = self._taken
                self._asleep = self._idle and quiet >= _QUIET
            woken = self._wake.acquire(timeout=-1 if self._asleep else _MOMENT)
            with self._state:
                self._asleep = False
                if woken or self._taken != taken:
                    quiet = 0
                elif self._idle:
                    quiet += 1
                else:
                    self._leader = me
                    self._note_held_up()
                    return

    def _note_held_up(self) -> None:
        now = time.monotonic()
        if now < self._held_up + _AGAIN:
            self._early_until = now + _EARLY
        self._held_up = now

    def _pass_on(self, me: int) -> None:
        """Let the next thread lead at once, where this one still does."""
        with self._state:
            if self._leader == me:
                self._leader = None
                self._wake_next()

    def _wake_next(self) -> None:
        """Wake the thread that is to lead next; for who holds the state."""
        if self._wake.locked():
            self._wake.release()

    def _take(self, me: int) -> _Connection | None:
        """A connection on which something has come, for the leader alone; None if another leads."""
        while True:
            with self._state:
                if self._leader != me:
                    return None
                if self._waiting:
                    self._taken += 1
                    return self._waiting.popleft()
                self._idle = True
            for key, _ in self._selector.select():
                if key.data is None:
                    self._accept()
                else:
                    self._selector.unregister(key.fileobj)
                    self._waiting.append(key.data)
            with self._state:
                self._idle = False
                if self._asleep:
                    self._wake_next()

    def _serve(self, connection: _Connection) -> None:
        try:
            open_still = self._proceed(connection)
        except Exception as error:
            self._show(error)
            open_still = False
        if open_still:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        else:
            connection.socket.close()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            self._show(error)
            time.sleep(_PAUSE)
            return
        accepted.setblocking(True)
        self._selector.register(accepted, selectors.EVENT_READ, _Connection(accepted))

    def _proceed(self, connection: _Connection) -> bool:
        """Answer what is whole of the requests; whether the connection stays open."""
        try:
            for environ in connection.requests:
                if environ is None:
                    return True
                if not self._answer(connection.socket, environ):
                    return False
        except ConnectionError:
            # the visitor is gone
            pass
        return False

    def _answer(self, client: socket.socket, environ: dict[str, Any]) -> bool:
        """Whether another request may follow."""
        answer = _Answer(client, head=environ["REQUEST_METHOD"] == "HEAD")
        try:
            body = self._app(environ, answer.start)
            try:
                answer.send(body)
            finally:
                if hasattr(body, "close"):
                    body.close()
        except BaseException as error:
            # also a `sys.exit()`: it would end a thread that others wait for
            if error is answer.broken:
                raise
            self._show(error)
            answer.fail()
        return answer.whole


class _Ended(ConnectionError):
    """The gateway has closed the connection."""


class _Connection:
    """One connection of the gateway's, and what has come on it so far."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self._buffer = b""
        #: the environ of each request that is whole, or None while more must come
        self.requests = self._requests()

    def _requests(self) -> Generator[dict[str, Any] | None, None, None]:
        while True:
            while b"\r\n\r\n" not in self._buffer:
                yield from self._receive()
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            environ = _environ(head.decode("latin-1"))
            if environ.pop("HTTP_TRANSFER_ENCODING", "") == "chunked":
                body = yield from self._chunks()
                environ["CONTENT_LENGTH"] = str(body.tell())
            else:
                body = io.BytesIO()
                if length := int(environ.get("CONTENT_LENGTH") or 0):
                    body = yield from self._take(length, body)
            body.seek(0)
            environ["wsgi.input"] = body
            environ["wsgi.errors"] = sys.stderr
            with body:
                yield environ

    def _receive(self) -> Generator[None, None, None]:
        """Have more in the buffer."""
        while True:
            try:
                data = self.socket.recv(_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                yield
                continue
            if not data:
                raise _Ended
            self._buffer += data
            return

    def _take(self, length: int, body: BinaryIO) -> Generator[None, None, BinaryIO]:
        """Move as many bytes to the body, which is a file if it gets large."""
        while length:
            if not self._buffer:
                yield from self._receive()
            data, self._buffer = self._buffer[:length], self._buffer[length:]
            length -= len(data)
            if isinstance(body, io.BytesIO) and body.tell() + len(data) > _IN_MEMORY:
                body = _file(body.getvalue())
            body.write(data)
        return body

    def _line(self) -> Generator[None, None, bytes]:
        while b"\r\n" not in self._buffer:
            yield from self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _chunks(self) -> Generator[None, None, BinaryIO]:
        body: BinaryIO = io.BytesIO()
        while length := int((yield from self._line()), 16):
            body = yield from self._take(length, body)
            yield from self._line()
        yield from self._line()
        return body


def _file(begun: bytes) -> BinaryIO:
    """A file without a name that begins like this."""
    # most processes never need it
    import tempfile

    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (whoever takes the body closes it)
    file.write(begun)
    return file


def _environ(head: str) -> dict[str, Any]:
    """A request as WSGI has it, less its body."""
    line, *fields = head.split("\r\n")
    method, target, protocol = line.split(" ")
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        **_ENVIRON,
        "REQUEST_METHOD": method,
        "REQUEST_URI": target,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1") if "%" in path else path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": protocol,
    }
    for field in fields:
        name, _, value = field.partition(":")
        key = _key(name)
        value = value.strip(" \t")
        environ[key] = f"{environ[key]}, {value}" if key in environ else value
    return environ


@lru_cache(maxsize=512)
def _key(name: str) -> str:
    """The key of a header."""
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


class _Answer:
    """An app's answer to one request, on its way."""

    def __init__(self, client: socket.socket, *, head: bool) -> None:
        self._client = client
        self._is_head = head
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._begun = False
        self._chunked = False
        self._has_body = True
        #: bytes that are still to come; None where nobody knows
        self._missing: int | None = None
        #: whether the gateway knows where it ended
        self.whole = False
        #: what showed that the visitor is gone
        self.broken: OSError | None = None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """WSGI's `start_response`."""
        try:
            if exc_info and self._begun:
                raise exc_info[1]
            if self._status and not exc_info:
                raise RuntimeError("start_response was called twice, the second without exc_info.")
        finally:
            exc_info = None
        length = None
        for text in (status, *(text for header in headers for text in header)):
            if not isinstance(text, str):
                raise TypeError(f"In the status or a header, {text!r} is no str.")
            if "\r" in text or "\n" in text:
                raise ValueError(f"In the status or a header, {text!r} has more than one line.")
        for name, value in headers:
            lower = name.lower()
            if lower == "content-length":
                length = int(value)
                if length < 0:
                    raise ValueError(f"The app answers with a Content-Length of {length}.")
            elif lower in _HOP_BY_HOP:
                raise ValueError(f"The header {name} is the server's own to set (PEP 3333).")
        self._status, self._headers, self._missing = status, [*headers], length
        return self.write

    def send(self, body: Any) -> None:
        """Send what the app returned, piece by piece as it comes."""
        for piece in body:
            if self._missing is None and not self._begun and hasattr(body, "__len__"):
                # the only piece is the whole
                self._missing = len(piece) if len(body) == 1 else None
            if piece:
                self.write(piece)
        if not self._begun:
            self.write(b"")
        if self._chunked:
            self._send(b"0\r\n\r\n")
        # whoever gets an interim answer waits for another, which WSGI does not have
        self.whole = self._status[:1] != "1"
        if self._missing and self._has_body:
            self.whole = False
            print(
                f"The app's answer ended {self._missing} bytes before its Content-Length.",
                file=sys.stderr,
            )

    def write(self, data: bytes) -> None:
        """Send a piece; also what `start_response` returns."""
        if not self._status:
            raise RuntimeError("The app returned a body without calling start_response.")
        out = b"" if self._begun else self._head()
        if self._has_body and data:
            if self._chunked:
                out += b"%x\r\n%b\r\n" % (len(data), data)
            else:
                out += self._within_length(data)
        self._begun = True
        if out:
            self._send(out)

    def fail(self) -> None:
        """Answer for an app that did not."""
        if self._begun:
            return
        text = b"Internal Server Error: the app failed, and its log shows how.\n"
        self._status = "500 Internal Server Error"
        self._headers = [("Content-Type", "text/plain; charset=utf-8")]
        self._missing = len(text)
        self.write(text)
        self.whole = True

    def _head(self) -> bytes:
        """The head of the answer, which decides how its end is known."""
        self._has_body = not (
            self._is_head or self._status[:1] == "1" or self._status[:3] in ("204", "304")
        )
        headers = self._headers
        if not self._has_body and not self._is_head:
            headers = [header for header in headers if header[0].lower() != "content-length"]
        lines = [f"HTTP/1.1 {self._status}", *(f"{name}: {value}" for name, value in headers)]
        if self._has_body and self._missing is None:
            self._chunked = True
            lines.append("Transfer-Encoding: chunked")
        elif self._has_body and not any(name.lower() == "content-length" for name, _ in headers):
            lines.append(f"Content-Length: {self._missing}")
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _within_length(self, data: bytes) -> bytes:
        """As much of the data as the app said that there would be."""
        assert self._missing is not None  # noqa: S101 (or it would go in chunks)
        if len(data) > self._missing:
            print("The app's answer goes on after its Content-Length.", file=sys.stderr)
            data = data[: self._missing]
        self._missing -= len(data)
        return data

    def _send(self, data: bytes) -> None:
        try:
            self._client.sendall(data)
        except OSError as error:
            self.broken = error
            raise
