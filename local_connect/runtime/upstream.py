"""HTTP/1.1 to a content process, over connections to its Unix socket that are kept for a while.

A proxy needs little of what an HTTP client does, and each visitor's request pays for all of it. So
requests are written here as they are to be, and answers are read by httptools, which is the parser
of Node.js. How long a process may take to answer is not limited here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from multidict import CIMultiDict

#: bytes of an answer's body that are held before its process is made to wait
BUFFER_BYTES = 1 << 18

#: bytes that content may answer before the body begins
HEADER_BYTES = 1 << 20

#: Seconds that a connection which is not in use is kept: less than any server of content waits
#: for the next request, as a request that it does not take any more is not made twice.
KEPT_SECONDS = 15.0

#: what no line of a request or of an answer may have
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Unreachable(Exception):
    """No connection can be made, so nothing was sent."""


class NotTaken(Exception):
    """The connection was not taken in time."""


class BrokenOff(Exception):
    """The connection ended before the answer did."""


class NotHttp(Exception):
    """The answer is not HTTP; the text says why."""


class Answer:
    """One answer: its head, and its body as it comes. An asynchronous context manager that ends it.

    Text that is not UTF-8 has surrogates in it, as of `os.fsdecode`.
    """

    def __init__(
        self, connection: Connection, status: int, reason: str, headers: CIMultiDict[str]
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self._connection = connection

    @property
    def is_whole(self) -> bool:
        """Whether `read` gives all of the body that is left, at once."""
        return self._connection.is_over

    async def read(self) -> bytes:
        """What has come of the body since the last time, or else comes next; empty at its end.

        Raises `BrokenOff`, `NotHttp`, or what reading the request's body has raised.
        """
        return await self._connection.read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.release()


class Upstream:
    """The connections to one process; `connection_timeout` is in seconds, and 0 is for ever."""

    def __init__(self, path: Path, *, connection_timeout: float) -> None:
        self._path = str(path)
        self._connection_timeout = connection_timeout
        #: in the order of their last use, with the time of it
        self._kept: list[tuple[Connection, float]] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def ask(
        self,
        method: str,
        target: str,
        headers: list[str],
        body: AsyncIterator[bytes] | None = None,
        length: int | None = None,
    ) -> Answer:
        """Make a request, once; the body, if there is one, goes out while the answer comes in.

        `headers` are whole lines without line ends, and none of them says how the body is framed:
        it goes in chunks where its `length` in bytes is not known. Bytes that are not UTF-8 are
        surrogates, as in `os.fsdecode`. Raises `ValueError` where a line would be two, what this
        module defines, and what reading the body raises; after anything but `Unreachable` and
        `NotTaken` the app may have seen the request.
        """
        lines = [f"{method} {target} HTTP/1.1", *headers]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        text = "".join(lines)
        if " " in target or (not text.isprintable() and _CONTROL.search(text)):
            raise ValueError("A request is not what HTTP has for one.")
        lines += ("", "")
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
        connection = self._from_kept() or await self._connect()
        return await connection.ask(head, body, length, bodiless=method == "HEAD")

    def close(self) -> None:
        """End the connections that are not in use."""
        if self._sweeper:
            self._sweeper.cancel()
        for connection, _ in self._kept:
            connection.abort()
        self._kept.clear()

    def _from_kept(self) -> Connection | None:
        while self._kept:
            connection, _ = self._kept.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connection_timeout or None):
                _, connection = await loop.create_unix_connection(
                    lambda: Connection(self._keep), self._path
                )
        except TimeoutError as error:
            raise NotTaken from error
        except OSError as error:
            raise Unreachable from error
        return connection

    def _keep(self, connection: Connection) -> None:
        """Take a connection back, for the next request."""
        loop = asyncio.get_running_loop()
        self._kept.append((connection, loop.time()))
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEPT_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """End what has not been in use for as long as connections are kept."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEPT_SECONDS
        for connection, since in self._kept:
            if since <= oldest:
                connection.abort()
        self._kept = [kept for kept in self._kept if kept[0].is_open]
        self._sweeper = None
        if self._kept:
            self._sweeper = loop.call_at(self._kept[0][1] + KEPT_SECONDS, self._sweep)


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way.

    `keep` is called with it when that is over and another may follow.
    """

    def __init__(self, keep: Callable[[Connection], None]) -> None:
        # of the connection
        self._keep = keep
        self._transport: asyncio.Transport
        self._http_parser = HttpResponseParser(self)
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading_paused = False
        #: whoever waits for more of an answer
        self._waiter: asyncio.Future[None] | None = None
        # of the request under way
        self._bodiless = False
        self._upload: asyncio.Task[None] | None = None
        # of its answer
        self._head_bytes = 0
        self._reason = b""
        self._headers: list[tuple[str, str]] = []
        self._answer: Answer | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        #: whether all of it has come, or nothing was asked for yet
        self.is_over = True
        self._error: Exception | None = None
        self._ends_with_connection = False
        #: whether another request may follow, as far as is known
        self._may_follow = True

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    async def ask(
        self,
        head: bytes,
        body: AsyncIterator[bytes] | None,
        length: int | None,
        *,
        bodiless: bool,
    ) -> Answer:
        """Send a request; return with the head of its answer. `bodiless` is for one to a HEAD."""
        self._bodiless = bodiless
        self._answer = None
        self._head_bytes = 0
        self._ends_with_connection = False
        self.is_over = False
        self._transport.write(head)
        if body is not None:
            self._upload = asyncio.create_task(self._send(body, length))
        try:
            while self._answer is None:
                await self._change()
        except BaseException:
            self.abort()
            await self._end_upload()
            raise
        return self._answer

    async def read(self) -> bytes:
        """What `Answer.read` gives."""
        while not self._pieces and not self.is_over:
            await self._change()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def release(self) -> None:
        """Be done with the request, in whatever state it is."""
        try:
            await self._end_upload()
        finally:
            if self.is_over and not self._pieces and self._may_follow and self.is_open:
                self._keep(self)
            else:
                self.abort()

    def abort(self) -> None:
        """End the connection at once, and whatever is under way on it."""
        if self._upload:
            self._upload.cancel()
        self._transport.abort()

    async def _send(self, body: AsyncIterator[bytes], length: int | None) -> None:
        """Send a request's body. Where it cannot be read, the app is not to take half for whole."""
        left = length
        try:
            async for piece in body:
                if left is not None:
                    left -= len(piece)
                    if left < 0:
                        break
                    self._transport.write(piece)
                elif piece:
                    self._transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
                await self._writable.wait()
            if left:
                raise ValueError("The request's body does not have the length that was said.")
            if left is None:
                self._transport.write(b"0\r\n\r\n")
        except Exception as error:
            self._fail(error)

    async def _end_upload(self) -> None:
        """Send no more of a request's body, and leave it to others to read."""
        upload, self._upload = self._upload, None
        if upload and not upload.done():
            self._may_follow = False
            upload.cancel()
            await asyncio.wait((upload,))

    async def _change(self) -> None:
        """Return when more has come; raise what has happened where nothing more will."""
        if self._error:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        """Tell whoever waits for the answer that no more of it comes, and end the connection."""
        if not self.is_over and self._error is None:
            self._error = error
            self._wake()
        self.abort()

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            # nobody has asked for it
            self.abort()
            return
        if self._answer is None:
            self._head_bytes += len(data)
        try:
            self._http_parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(NotHttp(str(error)))
        if self._answer is None and self._head_bytes > HEADER_BYTES:
            self._fail(NotHttp(f"its headers have more than {HEADER_BYTES:,} bytes"))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self._ends_with_connection and error is None and self._error is None:
            self.is_over = True
            self._wake()
        self._fail(BrokenOff())

    # what httptools finds

    def on_message_begin(self) -> None:
        if self._answer:
            # it answers more than it was asked
            self._may_follow = False
        self._reason = b""
        self._headers = []

    def on_status(self, piece: bytes) -> None:
        self._reason += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        text = value.rstrip(b" \t").decode("utf-8", "surrogateescape")
        self._headers.append((name.decode("ascii"), text))

    def on_headers_complete(self) -> None:
        status = self._http_parser.get_status_code()
        if self._answer or (status < 200 and status != 101):
            return
        headers = CIMultiDict(self._headers)
        reason = self._reason.decode("utf-8", "surrogateescape")
        coding = ", ".join(headers.getall("Transfer-Encoding", ["chunked"]))
        if status == 101:
            self._fail(NotHttp("it changes the protocol, which nobody asked for"))
        elif coding.lower() != "chunked":
            self._fail(NotHttp(f"its body has the transfer coding {coding}"))
        elif _CONTROL.search(reason):
            self._fail(NotHttp("its status line has control characters"))
        else:
            self._may_follow = self._http_parser.should_keep_alive() and not self._bodiless
            self._ends_with_connection = not (
                "Content-Length" in headers or "Transfer-Encoding" in headers
            )
            # The parser does not know what was asked, so it waits for the body. None comes, or
            # one that must not: nothing follows on this connection.
            self.is_over = self._bodiless
            self._answer = Answer(self, status, reason, headers)
            self._wake()

    def on_body(self, piece: bytes) -> None:
        if self.is_over:
            return
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > BUFFER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._answer:
            self.is_over = True
            self._wake()
