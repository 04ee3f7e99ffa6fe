"""HTTP/1.1 to a content process, over connections to its Unix socket that are kept for a while.

A proxy needs little of what an HTTP client does, and each visitor's request pays for all of it. So
requests are written here as they are to be, and answers are read by aiohttp's parser.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser, RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDictProxy

#: bytes of an answer that are held before its process is made to wait
_BUFFER = 1 << 18

#: bytes of one header that content may answer with
HEADER_BYTES = 1 << 20

#: Seconds that a connection which is not in use is kept: less than any server of content waits
#: for the next request, as a request that it does not take any more is not made twice.
_KEPT = 15.0

#: what would end a line of a request early
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


#: the head of an answer, and the body to come
_Head = tuple[RawResponseMessage, StreamReader]


class Unreachable(Exception):
    """No connection can be made, so nothing was sent."""


class NotTaken(Exception):
    """The connection was not taken in time."""


class Silent(Exception):
    """Nothing came for too long, before the answer or in the middle of it."""


class BrokenOff(Exception):
    """The connection ended before the answer did."""


class NotHttp(Exception):
    """The answer is not HTTP; the text says why."""


class Answer:
    """One answer, its body yet to be read. An asynchronous context manager that ends it."""

    __slots__ = ("_connection", "_upstream", "content", "headers", "reason", "status")

    def __init__(
        self,
        upstream: Upstream,
        connection: _Connection,
        message: RawResponseMessage,
        content: StreamReader,
    ) -> None:
        self.status: int = message.code
        self.reason: str = message.reason
        self.headers: CIMultiDictProxy[str] = message.headers
        #: the body; reading it raises `Silent`, `BrokenOff` or `NotHttp`
        self.content = content
        self._upstream = upstream
        self._connection = connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        try:
            await self._connection.end_upload()
        finally:
            self._upstream.give_back(self._connection)


class Upstream:
    """The connections to one process. Times are in seconds, and 0 is for ever."""

    def __init__(self, path: Path, *, connection_timeout: float, read_timeout: float) -> None:
        self._path = str(path)
        self._connection_timeout = connection_timeout
        self._read_timeout = read_timeout
        self._kept: list[_Connection] = []
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
        surrogates, as in `os.fsdecode`. Raises `ValueError` where a line would be two, and what
        this module defines; after anything but `Unreachable` and `NotTaken` the app may have seen
        the request.
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
        message, content = await connection.ask(head, body, length, bodiless=method == "HEAD")
        return Answer(self, connection, message, content)

    def give_back(self, connection: _Connection) -> None:
        """Keep a connection for the next request if its answer is over, and end it otherwise."""
        if not connection.rest():
            connection.abort()
            return
        self._kept.append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_KEPT, self._sweep)

    def close(self) -> None:
        """End the connections that are not in use."""
        if self._sweeper:
            self._sweeper.cancel()
        for connection in self._kept:
            connection.abort()
        self._kept.clear()

    def _from_kept(self) -> _Connection | None:
        while self._kept:
            connection = self._kept.pop()
            if connection.connected:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connection_timeout or None):
                _, connection = await loop.create_unix_connection(
                    lambda: _Connection(loop, self._read_timeout), self._path
                )
        except TimeoutError as error:
            raise NotTaken from error
        except OSError as error:
            raise Unreachable from error
        return connection

    def _sweep(self) -> None:
        """End what has not been in use for as long as connections are kept."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _KEPT
        for connection in self._kept:
            if connection.rests_since <= oldest:
                connection.abort()
        self._kept = [connection for connection in self._kept if connection.connected]
        self._sweeper = None
        if self._kept:
            self._sweeper = loop.call_at(self._kept[0].rests_since + _KEPT, self._sweep)


class _Connection(BaseProtocol):
    """One connection, with at most one request under way."""

    _parser: HttpResponseParser

    def __init__(self, loop: asyncio.AbstractEventLoop, read_timeout: float) -> None:
        super().__init__(loop)
        self.rests_since = 0.0
        self._read_timeout = read_timeout
        self._bodiless = False
        self._parser = self._new_parser()
        #: whoever waits for the head of an answer, and then its body
        self._waiter: asyncio.Future[_Head] | None = None
        self._content: StreamReader | None = None
        self._upload: asyncio.Task[None] | None = None
        self._last = False
        #: when to give up, while something is expected; one timer looks after that at its leisure
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def ask(
        self, head: bytes, body: AsyncIterator[bytes] | None, length: int | None, *, bodiless: bool
    ) -> _Head:
        """Send a request; return with the head of its answer. `bodiless` is for one to a HEAD."""
        if bodiless is not self._bodiless:
            self._bodiless = bodiless
            self._parser = self._new_parser()
        if self.transport is None:
            raise Unreachable
        waiter: asyncio.Future[_Head] = self._loop.create_future()
        self._waiter = waiter
        self.transport.write(head)
        if body is None:
            self._expect()
        else:
            self._upload = asyncio.create_task(self._send(body, length))
        try:
            return await waiter
        except BaseException:
            self.abort()
            await self.end_upload()
            raise

    async def end_upload(self) -> None:
        """Send no more of a request's body, and leave it to others to read."""
        upload, self._upload = self._upload, None
        if upload and not upload.done():
            self._last = True
            upload.cancel()
            await asyncio.wait((upload,))

    def rest(self) -> bool:
        """Whether the answer is over and another may follow; nothing is expected from now on."""
        self._deadline = 0.0
        content, self._content = self._content, None
        self.rests_since = self._loop.time()
        return not self._last and self.connected and content is not None and content.is_eof()

    def abort(self) -> None:
        """End the connection at once, and whatever is under way on it."""
        self._deadline = 0.0
        if self._timer:
            self._timer.cancel()
        if self._upload:
            self._upload.cancel()
        if self.transport:
            self.transport.abort()
            self.transport = None

    def data_received(self, data: bytes) -> None:
        if data:
            if self._waiter is None and (self._content is None or self._content.is_eof()):
                # nobody has asked for it
                self.abort()
                return
            self._expect()
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._fail(NotHttp(error.message))
            return
        for message, content in messages:
            if 100 <= message.code < 200 and message.code != 101:
                continue
            if message.should_close or upgraded or self._waiter is None:
                self._last = True
            if self._waiter is None:
                return
            waiter, self._waiter = self._waiter, None
            if message.code in (101, 204, 304):
                content = EMPTY_PAYLOAD
            self._content = content
            if not waiter.done():
                waiter.set_result((message, content))
        if self._content is not None and self._content.is_eof():
            self._deadline = 0.0

    def pause_reading(self) -> None:
        """Wait for the visitor, who may take longer than the app."""
        super().pause_reading()
        self._deadline = 0.0

    def resume_reading(self, resume_parser: bool = True) -> None:
        if not self._reading_paused:
            return
        super().resume_reading(resume_parser)
        if not self._reading_paused and self._content and not self._content.is_eof():
            self._expect()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._content is not None and not self._content.is_eof():
            # an answer of no known length ends with its connection
            with suppress(HttpProcessingError):
                self._parser.feed_eof()
        self._fail(BrokenOff())

    async def _send(self, body: AsyncIterator[bytes], length: int | None) -> None:
        writer = StreamWriter(self, self._loop)
        writer.length = length
        if length is None:
            writer.enable_chunking()
        try:
            async for piece in body:
                await writer.write(piece)
            if writer.length:
                raise EOFError
            await writer.write_eof()
        except Exception:
            # whoever gave the body knows more; the app is not asked to take half for the whole
            self._last = True
            if self._waiter:
                self._fail(BrokenOff())
        else:
            self._expect()

    def _expect(self) -> None:
        """Wait for the app from now on, for as long as it may take."""
        if self._read_timeout:
            self._deadline = self._loop.time() + self._read_timeout
            if self._timer is None:
                self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline > self._loop.time():
            self._timer = self._loop.call_at(self._deadline, self._look)
        elif self._deadline:
            self._fail(Silent())

    def _fail(self, error: Exception) -> None:
        """Tell whoever waits, and end the connection."""
        waiter, self._waiter = self._waiter, None
        if waiter and not waiter.done():
            waiter.set_exception(error)
        if self._content and not self._content.is_eof():
            self._content.set_exception(error)
        self.abort()

    def _new_parser(self) -> HttpResponseParser:
        return HttpResponseParser(
            self,
            self._loop,
            _BUFFER,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            response_with_body=not self._bodiless,
            read_until_eof=True,
            auto_decompress=False,
        )
