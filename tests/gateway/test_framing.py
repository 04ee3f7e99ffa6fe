"""Where a request ends and the next begins is never in doubt: smuggling is refused or harmless."""

import time
from contextlib import ExitStack

import pytest

from tests.gateway.conftest import Site
from tests.gateway.wire import Answer

#: what a smuggler would have the app take for a request of somebody else's
HIDDEN = b"GET /content/hidden HTTP/1.1\r\nHost: localhost\r\nX-Hidden: 1\r\n\r\n"

CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"


def post(probe: Site, *lines: str | bytes, body: bytes = b"") -> Answer:
    return probe.exchange(probe.request(*lines, method="POST", body=body))


@pytest.mark.parametrize(
    "lines",
    [
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 15", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: -5"],
        ["Content-Length: 0x5"],
        ["Content-Length: 5 5"],
        ["Content-Length: 5e0"],
        ["Content-Length:"],
        ["Content-Length: \u0665"],
        ["Content-Length: 99999999999999999999999999"],
        ["Content-Length : 5"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: chunked, chunked"],
        ['Transfer-Encoding: "chunked"'],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding:", " chunked"],
        ["Transfer-Encoding\0: chunked"],
    ],
)
def test_two_readings_of_one_length(probe: Site, lines: list[str]) -> None:
    with probe.wire() as wire:
        wire.send(probe.request(*lines, method="POST", body=CHUNKED + HIDDEN))
        assert wire.answer().status == 400
        assert wire.ended


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\rhello\r0\r\r",
        b"5\r\nhelloXX0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
        b"5;\nx\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    ],
)
def test_chunks_that_are_none(probe: Site, body: bytes) -> None:
    with probe.wire() as wire:
        wire.send(probe.request("Transfer-Encoding: chunked", method="POST", body=body + HIDDEN))
        assert wire.answer().status == 400
        assert wire.ended


@pytest.mark.parametrize(
    "body",
    [
        CHUNKED,
        b"5;a\r\nhello\r\n0;b=c\r\n\r\n",
        b'5;a="b;c";d\r\nhello\r\n0\r\n\r\n',
        b"0005\r\nhello\r\n000\r\n\r\n",
        b"1\r\nh\r\n4\r\nello\r\n0\r\nX-Trailer: 1\r\n\r\n",
    ],
)
def test_chunks(probe: Site, body: bytes) -> None:
    with probe.wire() as wire:
        first = probe.request("transfer-encoding: CHUNKED", method="POST", body=body)
        wire.send(first + probe.request("X-Second: 1"))
        seen = wire.answer().json
        assert seen["size"] == 5
        assert seen["environ"]["CONTENT_LENGTH"] == "5"
        assert "HTTP_X_TRAILER" not in seen["environ"]
        assert wire.answer().json["environ"]["HTTP_X_SECOND"] == "1"


def test_a_request_in_a_body(probe: Site) -> None:
    for method in ("POST", "GET", "DELETE", "OPTIONS"):
        with probe.wire() as wire:
            length = f"Content-Length: {len(HIDDEN)}"
            first = probe.request(length, method=method, body=HIDDEN)
            wire.send(first + probe.request("X-Second: 1"))
            assert wire.answer().json["size"] == len(HIDDEN)
            seen = wire.answer().json
            assert seen["environ"]["HTTP_X_SECOND"] == "1"
            assert "HTTP_X_HIDDEN" not in seen["environ"]


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Content-Length, close"])
def test_a_framing_that_is_of_the_connection(probe: Site, name: str) -> None:
    """`Connection` may name any header, but where a body ends is not lost by that."""
    size = len(HIDDEN)
    for framing, body in (
        (f"Content-Length: {size}", HIDDEN),
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (size, HIDDEN)),
    ):
        seen = probe.echo(framing, f"Connection: {name}", method="POST", body=body)
        assert seen["size"] == size
        # nor does the app find a request of its own in what was left
        assert "HTTP_X_HIDDEN" not in probe.environ()


def test_a_request_behind_one_without_a_body(probe: Site) -> None:
    # it has an answer of its own, so nobody else gets that
    with probe.wire() as wire:
        wire.send(probe.request(method="POST") + HIDDEN)
        assert wire.answer().json["size"] == 0
        assert wire.answer().status == 404


@pytest.mark.parametrize(
    "header",
    [
        b"X-A: b\nRStudio-Connect-Credentials: {}",
        b"X-A: b\rRStudio-Connect-Credentials: {}",
        b"X-A: b\0c",
        b"X-A: b\x01c",
        b"X-A: b\x7fc",
        b"X A: b",
        b"X-A : b",
        b"X\x01A: b",
        b"X\xe9: b",
        b"X(A): b",
        b": b",
        b"X-A",
    ],
)
def test_header_lines_that_are_none(probe: Site, header: bytes) -> None:
    assert probe.exchange(probe.request(header)).status == 400


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n", b"\n"),
        (b"\r\n", b"\r"),
        (b"HTTP/1.1", b"HTTP/1.1 "),
        (b"HTTP/1.1", b"http/1.1"),
        (b"HTTP/1.1", b"HTTP/2.0"),
        (b"HTTP/1.1", b"HTTP/1.2"),
        (b" HTTP/1.1", b""),
        (b"GET", b"get"),
        (b"GET", b"G@T"),
        (b"GET", b"BREW"),
        (b"GET ", b"GET\t"),
    ],
)
def test_request_lines_that_are_none(probe: Site, old: bytes, new: bytes) -> None:
    with probe.wire() as wire:
        wire.send(probe.request().replace(old, new))
        line = wire.file.readline()
        assert b" 400 " in line, line


def test_other_protocols(probe: Site) -> None:
    with probe.wire() as wire:
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert wire.answer().status == 400
    with probe.wire() as wire:
        wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert wire.answer().status == 400


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("framing", "body"), [("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", CHUNKED)]
)
def test_an_upgrade_is_a_request_like_any_other(
    probe: Site, protocol: str, method: str, framing: str, body: bytes
) -> None:
    lines = ["Connection: Upgrade", f"Upgrade: {protocol}", framing]
    with probe.wire() as wire:
        wire.send(probe.request(*lines, method=method, body=body))
        answer = wire.answer()
        assert answer.json["size"] == 5
        assert answer.all("Connection") == [b"close"]
        assert wire.ended


@pytest.mark.parametrize("upgrade", [[], ["Connection: Upgrade", "Upgrade: websocket"]])
@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhelloXX0\r\n\r\n",
        # a trailer that a server might take for a header
        b"5\r\nhello\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_body_that_breaks(impatient: Site, upgrade: list[str], body: bytes) -> None:
    """Wherever the bytes are parted, there is an answer in time, and an end of the connection."""
    head = impatient.request(*upgrade, "Transfer-Encoding: chunked", method="POST")
    with ExitStack() as stack:
        wires = [stack.enter_context(impatient.wire()) for _ in body]
        for cut, wire in enumerate(wires):
            wire.send(head + body[:cut])
        # until those who read the body wait for the rest of it
        time.sleep(0.2)
        for cut, wire in enumerate(wires):
            # less than aiohttp waits for the rest of a body that nobody reads
            wire.socket.settimeout(8)
            wire.send(body[cut:])
        for cut, wire in enumerate(wires):
            assert wire.answer().status in (400, 408), cut
            assert wire.ended, cut
