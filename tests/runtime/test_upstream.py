"""The client that speaks to content processes, over a fake transport, to the byte."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from local_connect.runtime.upstream import (
    BUFFER_BYTES,
    HEADER_BYTES,
    KEPT_SECONDS,
    Answer,
    BrokenOff,
    Connection,
    NotHttp,
    NotTaken,
    Unreachable,
    Upstream,
)

pytestmark = pytest.mark.quick

Result = TypeVar("Result")

HEAD = b"GET / HTTP/1.1\r\n\r\n"


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    async def in_time() -> Result:
        async with asyncio.timeout(10):
            return await coroutine

    return asyncio.run(in_time())


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and tells the protocol that the connection is over as asyncio does."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = False
        self._protocol = protocol
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closed:
            self.written += data

    def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        for piece in pieces:
            self.write(piece)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        self.end()

    def end(self, error: Exception | None = None) -> None:
        """Close it, by whichever side."""
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)


class Process:
    """The far end of a connection."""

    def __init__(self) -> None:
        self.kept: list[Connection] = []
        self.connection = Connection(self.kept.append)
        self.transport = FakeTransport(self.connection)
        self.connection.connection_made(self.transport)

    def asked(
        self,
        body: AsyncIterator[bytes] | None = None,
        length: int | None = None,
        *,
        method: str = "GET",
    ) -> asyncio.Task[Answer]:
        """A request that is under way."""
        return asyncio.create_task(
            self.connection.ask(HEAD, body, length, bodiless=method == "HEAD")
        )

    async def says(self, *pieces: bytes) -> None:
        """Answer, a piece in each turn of the loop."""
        for piece in pieces:
            await asyncio.sleep(0)
            if not self.transport.is_closing():
                self.connection.data_received(piece)
        await asyncio.sleep(0)

    async def ends(self, error: Exception | None = None) -> None:
        await asyncio.sleep(0)
        self.transport.end(error)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    @property
    def is_kept(self) -> bool:
        return self.kept == [self.connection] and not self.transport.is_closing()


async def body_of(answer: Answer) -> bytes:
    body = b""
    while piece := await answer.read():
        body += piece
    return body


@dataclass(frozen=True)
class Sample:
    """An answer in bytes, and what it says."""

    text: bytes
    body: bytes = b""
    status: int = 200
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    #: whether another request may follow on the connection
    is_last: bool = False
    #: whether only the end of the connection is the end of the answer
    ends_with_connection: bool = False


LENGTH_5 = ("Content-Length", "5")
CHUNKED = ("Transfer-Encoding", "chunked")

#: whatever follows is of its body
UNTIL_THE_END = "up to the end of the connection"

SAMPLES = {
    "of a length": Sample(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", headers=(LENGTH_5,)
    ),
    "empty": Sample(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        status=404,
        reason="Not Found",
        headers=(("Content-Length", "0"),),
    ),
    "in chunks, with an extension and a trailer": Sample(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"hello",
        headers=(CHUNKED,),
    ),
    UNTIL_THE_END: Sample(
        b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", is_last=True, ends_with_connection=True
    ),
    "after others on the way": Sample(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        headers=(LENGTH_5,),
    ),
    "to a HEAD, of a length": Sample(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        headers=(LENGTH_5,),
        method="HEAD",
        is_last=True,
    ),
    "to a HEAD, in chunks": Sample(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        headers=(CHUNKED,),
        method="HEAD",
        is_last=True,
    ),
    "to a HEAD, of no known length": Sample(
        b"HTTP/1.1 200 OK\r\n\r\n", method="HEAD", is_last=True
    ),
    "204": Sample(b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    "304 with a length": Sample(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status=304, headers=(LENGTH_5,)
    ),
    "the last": Sample(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        headers=(("Connection", "close"), LENGTH_5),
        is_last=True,
    ),
    "of HTTP/1.0": Sample(
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        headers=(LENGTH_5,),
        is_last=True,
    ),
    "with odd headers": Sample(
        b"HTTP/1.1 200\r\nSet-Cookie: a=1\r\nX-Empty:\r\nset-cookie: b=2\r\n"
        b"X-Spaces: \t a b \t \r\nX-Latin-1: \xe9\r\nX-Utf-8: \xc3\xa9\r\n"
        b"Content-Length: 0\r\n\r\n",
        headers=(
            ("Set-Cookie", "a=1"),
            ("X-Empty", ""),
            ("set-cookie", "b=2"),
            ("X-Spaces", "a b"),
            ("X-Latin-1", "\udce9"),
            ("X-Utf-8", "é"),
            ("Content-Length", "0"),
        ),
    ),
}

samples = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)


async def exchanged(sample: Sample, process: Process, *pieces: bytes) -> None:
    """Ask, be answered in these pieces, and find what the sample says."""
    asking = process.asked(method=sample.method)
    await process.says(*pieces)
    async with await asking as answer:
        if sample.ends_with_connection:
            assert not answer.is_whole
            await process.ends()
        assert answer.status == sample.status
        assert sample.reason in (None, answer.reason)
        assert tuple(answer.headers.items()) == sample.headers
        assert answer.is_whole
        assert await body_of(answer) == sample.body


class TestReading:
    @samples
    def test_an_answer_split_anywhere(self, sample: Sample) -> None:
        async def test() -> None:
            cuts = [(sample.text[:cut], sample.text[cut:]) for cut in range(1, len(sample.text))]
            single = tuple(bytes([byte]) for byte in sample.text)
            for pieces in [(sample.text,), single, *cuts]:
                process = Process()
                await exchanged(sample, process, *pieces)
                assert process.is_kept is not sample.is_last
                assert process.transport.is_closing() is sample.is_last

        run(test())

    def test_answers_one_after_another(self) -> None:
        async def test() -> None:
            process = Process()
            followed = [sample for sample in SAMPLES.values() if not sample.is_last]
            assert len(followed) > 5
            for sample in followed + followed[::-1]:
                await exchanged(sample, process, sample.text)
                assert process.is_kept
                process.kept.clear()

        run(test())

    def test_a_body_is_read_as_it_comes(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked()
            await process.says(b"HTTP/1.1 200 Fine\r\nContent-Length: 6\r\n\r\n")
            async with await asking as answer:
                assert answer.reason == "Fine"
                reading = asyncio.create_task(answer.read())
                await asyncio.sleep(0)
                assert not reading.done()
                await process.says(b"ab")
                assert await reading == b"ab"
                await process.says(b"c", b"d")
                assert await answer.read() == b"cd"
                assert not answer.is_whole
                await process.says(b"ef")
                assert answer.is_whole
                assert await answer.read() == b"ef"
                assert await answer.read() == b""
            assert process.is_kept

        run(test())

    def test_an_answer_that_is_not_read_to_its_end(self) -> None:
        async def test() -> None:
            heads = (b"Content-Length: 6\r\n\r\n", b"\r\n")
            for head in heads:
                process = Process()
                asking = process.asked()
                await process.says(b"HTTP/1.1 200 OK\r\n" + head + b"abc")
                async with await asking as answer:
                    assert await answer.read() == b"abc"
                assert process.transport.is_closing()
                assert not process.kept
            # nor does anybody else get what is left of it
            process = Process()
            asking = process.asked()
            await process.says(SAMPLES["of a length"].text)
            async with await asking:
                pass
            assert not process.kept

        run(test())

    def test_a_request_that_is_cancelled(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked()
            await process.says(b"HTTP/1.1 200 OK\r\n")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert process.transport.is_closing()

        run(test())


class TestBreakingOff:
    @samples
    @pytest.mark.parametrize("error", [None, ConnectionResetError()])
    def test_a_connection_that_ends_anywhere_in_an_answer(
        self, sample: Sample, error: Exception | None
    ) -> None:
        async def test() -> None:
            head = sample.text.rindex(b"HTTP/1.")
            head = sample.text.index(b"\r\n\r\n", head) + 4
            for cut in range(len(sample.text)):
                process = Process()
                asking = process.asked(method=sample.method)
                await process.says(sample.text[:cut])
                await process.ends(error)
                if cut < head:
                    with pytest.raises(BrokenOff):
                        await asking
                    continue
                async with await asking as answer:
                    if sample.ends_with_connection and not error:
                        assert await body_of(answer) == sample.text[head:cut]
                        continue
                    with pytest.raises(BrokenOff):
                        await body_of(answer)

        run(test())

    def test_what_came_before_the_end_can_be_read(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked()
            await process.says(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
            await process.ends()
            async with await asking as answer:
                assert await answer.read() == b"abc"
                with pytest.raises(BrokenOff):
                    await answer.read()

        run(test())

    def test_a_connection_that_ends_while_a_body_is_awaited(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked()
            await process.says(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            async with await asking as answer:
                reading = asyncio.create_task(answer.read())
                await process.ends()
                with pytest.raises(BrokenOff):
                    await reading

        run(test())

    def test_a_connection_that_ends_after_an_answer_without_a_body(self) -> None:
        async def test() -> None:
            process = Process()
            await exchanged(SAMPLES["204"], process, SAMPLES["204"].text)
            asking = process.asked()
            await process.ends()
            with pytest.raises(BrokenOff):
                await asking

        run(test())

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (b"hello\r\n", "Expected HTTP/"),
            (b"HTTP/1.1 20 Short\r\n\r\n", "status"),
            (b"HTTP/1.1 200 OK\n\n", "CR"),
            (b"HTTP/1.1 200 O\x1bK\r\n\r\n", "control characters"),
            (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header"),
            (b"HTTP/1.1 200 OK\r\nX: a\x01b\r\n\r\n", "header"),
            (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "header"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Length"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "Length"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "Length"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "Transfer-Encoding can't be present with Content-Length",
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding gzip"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer coding"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
                "transfer coding chunked, gzip",
            ),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "protocol"),
            (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
                "protocol",
            ),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEADER_BYTES, "more than"),
            (b"HTTP/1.1 100 Continue\r\n\r\n" * (HEADER_BYTES // 25 + 1), "more than"),
        ],
    )
    def test_an_answer_that_is_not_http(self, text: bytes, reason: str) -> None:
        async def test() -> None:
            middle = len(text) // 2
            for pieces in ((text,), (text[:middle], text[middle:])):
                process = Process()
                asking = process.asked()
                await process.says(*pieces)
                with pytest.raises(NotHttp, match=reason):
                    await asking
                assert process.transport.is_closing()

        run(test())

    def test_a_body_that_is_not_http(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked()
            await process.says(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", b"zz\r\n"
            )
            async with await asking as answer:
                assert await answer.read() == b"ab"
                with pytest.raises(NotHttp, match="chunk size"):
                    await answer.read()
            assert process.transport.is_closing()

        run(test())

    def test_a_long_header_below_the_limit(self) -> None:
        async def test() -> None:
            value = b"x" * (HEADER_BYTES // 2)
            text = b"HTTP/1.1 200 OK\r\nX-Long: " + value + b"\r\nContent-Length: 0\r\n\r\n"
            process = Process()
            asking = process.asked()
            await process.says(*(text[at : at + 100_000] for at in range(0, len(text), 100_000)))
            assert (await asking).headers["X-Long"] == value.decode()

        run(test())


class TestMoreThanAnAnswer:
    """Bytes that follow an answer are not taken for the answer to the next request."""

    GARBAGE = (
        b"x",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
        b"HTTP/1.1 200 OK\r\n\r\nother",
        b"HTTP/1.1 200",
        b"\0" * 1000,
    )

    @pytest.mark.parametrize("name", [name for name in SAMPLES if name != UNTIL_THE_END])
    @pytest.mark.parametrize("garbage", GARBAGE)
    def test_more_bytes_together_with_the_answer(self, name: str, garbage: bytes) -> None:
        sample = SAMPLES[name]

        async def test() -> None:
            process = Process()
            await exchanged(sample, process, sample.text + garbage)
            assert not process.kept
            assert process.transport.is_closing()

        run(test())

    @pytest.mark.parametrize("garbage", GARBAGE)
    def test_more_bytes_after_the_answer(self, garbage: bytes) -> None:
        sample = SAMPLES["of a length"]

        async def test() -> None:
            process = Process()
            await exchanged(sample, process, sample.text, garbage)
            assert not process.kept

            process = Process()
            await exchanged(sample, process, sample.text)
            assert process.is_kept
            await process.says(garbage)
            assert process.transport.is_closing()

        run(test())

    def test_bytes_before_any_request(self) -> None:
        async def test() -> None:
            process = Process()
            await process.says(b"HTTP/1.1 200 OK\r\n")
            assert process.transport.is_closing()

        run(test())


class TestFlowControl:
    def test_a_process_waits_for_the_reader(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked()
            await process.says(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n")
            async with await asking as answer:
                for _ in range(3):
                    await process.says(b"x" * BUFFER_BYTES)
                    assert not process.transport.is_paused
                    await process.says(b"x")
                    assert process.transport.is_paused
                    assert await answer.read() == b"x" * (BUFFER_BYTES + 1)
                    assert not process.transport.is_paused

        run(test())

    def test_a_body_waits_for_the_process(self) -> None:
        async def test() -> None:
            process = Process()
            taken = []

            async def body() -> AsyncIterator[bytes]:
                for piece in (b"a", b"b", b"c"):
                    taken.append(piece)
                    yield piece

            process.connection.pause_writing()
            asking = process.asked(body(), 3)
            await process.says()
            await process.says()
            assert taken == [b"a"]
            process.connection.resume_writing()
            await process.says()
            assert process.transport.written == HEAD + b"abc"
            await process.says(SAMPLES["of a length"].text)
            async with await asking as answer:
                assert await body_of(answer) == b"hello"
            assert process.is_kept

        run(test())


async def pieces(*given: bytes | Exception | asyncio.Event) -> AsyncIterator[bytes]:
    """A body that goes on when an event is set, or ends in an error."""
    for piece in given:
        if isinstance(piece, asyncio.Event):
            await piece.wait()
        elif isinstance(piece, Exception):
            raise piece
        else:
            yield piece


class Unreadable(Exception):
    pass


class TestUploads:
    def test_a_body_of_unknown_length_goes_in_chunks(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked(pieces(b"a", b"", b"x" * 17))
            await process.says(SAMPLES["of a length"].text)
            async with await asking as answer:
                assert await body_of(answer) == b"hello"
            chunks = b"1\r\na\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"
            assert process.transport.written == HEAD + chunks
            assert process.is_kept

        run(test())

    def test_a_body_that_is_sent_while_the_answer_comes(self) -> None:
        async def test() -> None:
            process = Process()
            more, rest = asyncio.Event(), asyncio.Event()
            asking = process.asked(pieces(b"a", more, b"b", rest, b"c"), 3)
            await process.says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"A")
            async with await asking as answer:
                assert await answer.read() == b"A"
                more.set()
                await process.says()
                assert process.transport.written == HEAD + b"ab"
                await process.says(b"B")
                assert await answer.read() == b"B"
                rest.set()
                await process.says()
                assert process.transport.written == HEAD + b"abc"
                await process.says(b"C")
                assert await answer.read() == b"C"
            assert process.is_kept

        run(test())

    @pytest.mark.parametrize("length", [3, None])
    def test_an_answer_before_the_whole_body(self, length: int | None) -> None:
        """The app has answered before all of it came: that is its answer."""

        async def test() -> None:
            process = Process()
            body = pieces(b"a", asyncio.Event(), b"bc")
            asking = process.asked(body, length)
            await process.says(SAMPLES["of a length"].text)
            async with await asking as answer:
                assert answer.is_whole
                assert await body_of(answer) == b"hello"
            assert not process.kept
            assert process.transport.is_closing()
            assert not process.transport.written.endswith(b"0\r\n\r\n")
            # it can be read by whoever reads what is left of it
            assert [piece async for piece in body] == []

        run(test())

    @pytest.mark.parametrize("length", [3, None])
    def test_a_body_that_cannot_be_read(self, length: int | None) -> None:
        """The app is not to take half of it for the whole."""

        async def test() -> None:
            process = Process()
            asking = process.asked(pieces(b"a", Unreadable()), length)
            with pytest.raises(Unreadable):
                await asking
            assert process.transport.is_closing()
            assert not process.transport.written.endswith(b"0\r\n\r\n")

        run(test())

    def test_a_body_that_cannot_be_read_once_the_answer_has_begun(self) -> None:
        async def test() -> None:
            process = Process()
            later = asyncio.Event()
            asking = process.asked(pieces(b"a", later, Unreadable()), 3)
            await process.says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nA")
            async with await asking as answer:
                later.set()
                await process.says()
                assert await answer.read() == b"A"
                with pytest.raises(Unreadable):
                    await answer.read()

        run(test())

    def test_a_body_that_cannot_be_read_once_the_answer_is_whole(self) -> None:
        async def test() -> None:
            process = Process()
            later = asyncio.Event()
            asking = process.asked(pieces(b"a", later, Unreadable()), 3)
            await process.says(SAMPLES["of a length"].text)
            async with await asking as answer:
                later.set()
                await process.says()
                assert await body_of(answer) == b"hello"
            assert not process.kept

        run(test())

    @pytest.mark.parametrize("body", [[b"ab"], [b"ab", b"cd"], [b"abcd"]])
    def test_a_body_of_another_length_than_announced(self, body: list[bytes]) -> None:
        """What is too much would be taken for a request of its own."""

        async def test() -> None:
            process = Process()
            with pytest.raises(ValueError, match="length"):
                await process.asked(pieces(*body), 3)
            assert process.transport.written in (HEAD, HEAD + b"ab")
            assert process.transport.is_closing()

        run(test())

    def test_a_process_that_closes_during_an_upload(self) -> None:
        async def test() -> None:
            process = Process()
            asking = process.asked(pieces(b"a", asyncio.Event()), 3)
            await process.ends(BrokenPipeError())
            with pytest.raises(BrokenOff):
                await asking

        run(test())

    def test_a_cancelled_upload_closes_its_body(self) -> None:
        async def test() -> None:
            process = Process()
            read_to = []

            async def body() -> AsyncIterator[bytes]:
                try:
                    await asyncio.Event().wait()
                    yield b""
                finally:
                    read_to.append("its end")

            asking = process.asked(body(), 3)
            await process.says()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert read_to == ["its end"]
            assert process.transport.is_closing()

        run(test())


class Listening:
    """A process at a socket that answers each request alike, and a client of it."""

    def __init__(self, at: Path, answer: bytes = SAMPLES["of a length"].text) -> None:
        self.client = Upstream(at, connection_timeout=1)
        self.requests: list[bytes] = []
        self.connections = 0
        self._at = at
        self._answer = answer
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Listening":
        self._server = await asyncio.start_unix_server(self._serve, self._at)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.close()
        await self.hang_up()
        self._server.close()

    @property
    def open(self) -> int:
        return len(self._open)

    async def asked(self, method: str = "GET", **how: Any) -> bytes:
        """Ask as the gateway does; the body of the answer."""
        async with await self.client.ask(method, "/", ["Host: a"], **how) as answer:
            return await body_of(answer)

    async def hang_up(self) -> None:
        """Close every connection, and wait until both sides know."""
        for writer in self._open:
            writer.close()
        await until(lambda: not self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._answer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self._open.discard(writer)


class TestPool:
    def test_requests_to_the_byte(self, tmp_path: Path) -> None:
        async def test() -> list[bytes]:
            async with Listening(tmp_path / "socket") as process:
                headers = ["Host: a", "X: \udce9é"]
                async with await process.client.ask("GET", "/a?b=c", headers):
                    pass
                await process.asked("POST", length=0)
                await process.asked("PUT", body=pieces())
                return process.requests

        assert run(test()) == [
            b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: \xe9\xc3\xa9\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"0\r\n\r\n",
        ]

    @pytest.mark.parametrize(
        ("target", "header"),
        [
            ("/ HTTP/1.1\r\nX: ", "X: y"),
            ("/a b", "X: y"),
            ("/", "X: y\r\nHost: b"),
            ("/", "X: y\nz"),
            ("/", "X: \0"),
            ("/\x7f", "X: y"),
        ],
    )
    def test_text_that_would_add_lines_to_a_request(
        self, tmp_path: Path, target: str, header: str
    ) -> None:
        client = Upstream(tmp_path / "nobody", connection_timeout=1)
        with pytest.raises(ValueError, match="not what HTTP has"):
            run(client.ask("GET", target, [header]))

    def test_a_connection_is_kept(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with Listening(tmp_path / "socket") as process:
                for _ in range(5):
                    assert await process.asked() == b"hello"
                assert process.connections == 1
                # as many as are needed at a time
                for _ in range(2):
                    await asyncio.gather(*(process.asked() for _ in range(3)))
                assert (process.connections, process.open) == (3, 3)
                process.client.close()
                await until(lambda: process.open == 0)

        run(test())

    @pytest.mark.parametrize("name", ["the last", "of HTTP/1.0", "to a HEAD, of a length"])
    def test_a_connection_is_not_kept_after_its_last_answer(
        self, tmp_path: Path, name: str
    ) -> None:
        sample = SAMPLES[name]

        async def test() -> None:
            async with Listening(tmp_path / "socket", sample.text) as process:
                for _ in range(3):
                    assert await process.asked(sample.method) == sample.body
                assert process.connections == 3
                await until(lambda: process.open == 0)

        run(test())

    def test_a_connection_that_the_process_closed_is_not_used(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with Listening(tmp_path / "socket") as process:
                await process.asked()
                await process.hang_up()
                assert await process.asked() == b"hello"
                assert process.connections == 2

        run(test())

    def test_an_idle_connection_is_closed(self, tmp_path: Path) -> None:
        async def test() -> None:
            pass_time = clock()
            async with Listening(tmp_path / "socket") as process:
                await asyncio.gather(*(process.asked() for _ in range(3)))
                pass_time(KEPT_SECONDS - 1)
                await asyncio.sleep(0.01)
                assert process.open == 3
                await process.asked()
                pass_time(2)
                await until(lambda: process.open == 1)
                await process.asked()
                assert process.connections == 3
                pass_time(KEPT_SECONDS + 1)
                await until(lambda: process.open == 0)

        # not within a time that the test itself lets pass
        asyncio.run(test())

    def test_a_process_that_does_not_take_a_connection_in_time(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with Listening(tmp_path / "socket") as process:
                process.client = Upstream(tmp_path / "socket", connection_timeout=1e-9)
                with pytest.raises(NotTaken):
                    await process.asked()
                await until(lambda: process.connections == 1 and not process.open)
                assert process.requests == []

        run(test())

    def test_a_process_that_does_not_listen(self, tmp_path: Path) -> None:
        client = Upstream(tmp_path / "nobody", connection_timeout=1)
        with pytest.raises(Unreachable):
            run(client.ask("GET", "/", []))


def clock() -> Callable[[float], None]:
    """A means to let time pass for whatever asks the loop for it."""
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0

    def pass_time(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    loop.time = lambda: real() + ahead  # type: ignore[method-assign]
    return pass_time


async def until(true: Callable[[], bool]) -> None:
    for _ in range(5_000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("It does not become true.")
