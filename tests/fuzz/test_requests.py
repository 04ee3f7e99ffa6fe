"""No bytes on a connection make the server fail, mix requests up or run what was not asked for."""

import gzip
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.fuzz.framing import Malformed, Request, read
from tests.fuzz.profiles import JUDGED, max_examples
from tests.fuzz.site import Site, credentials_in
from tests.fuzz.wire import Answer, Silent

#: seconds to wait for a refusal of what may be the beginning of something
_BRIEF = 0.2

METHODS = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"),
    *(b"TRACE", b"PROPFIND", b"MKCOL", b"SEARCH", b"QUERY", b"PURGE", b"M-SEARCH"),
    *(b"get", b"Post", b"FOO", b"G\x00T", b"G@T", b"", b"GET ", b" GET", b"PRI", b"\x16\x03\x01"),
)

VERSIONS = (
    *(b"HTTP/1.1",) * 16,
    *(b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.10", b"HTTP/1"),
    *(b"http/1.1", b"HTTP/1.1 ", b"HTTP/ 1.1", b"HTTP/-1.1", b"HTTPS/1.1", b""),
)

#: stand for addresses of the site, which are known only once it runs
OPEN, VANITY, DRAFT, CLOSED, HIDDEN = b"<open>", b"<vanity>", b"<draft>", b"<closed>", b"<hidden>"
GUID, CLOSED_GUID, HOST = b"<guid>", b"<closed-guid>", b"<host>"

BEGINNINGS = (
    *(OPEN,) * 6,
    *(VANITY,) * 3,
    *(DRAFT, CLOSED, HIDDEN, OPEN + b"/.." + CLOSED, OPEN + b"/..%2f..", OPEN.swapcase()),
    *(b"/" + OPEN, b"/." + OPEN, b"/x/.." + OPEN, b"//x" + OPEN, b"/%63ontent/" + GUID),
    *(b"/content/" + GUID + b"%2f", b"/content/./" + GUID, b"/content//" + GUID),
    *(b"/content/" + CLOSED_GUID + b"/../" + GUID, b"/content/" + GUID + b"?/../" + CLOSED_GUID),
    *(b"/content/" + GUID + b"/_bundle1", b"/content/" + GUID + b"/_bundle99999999999999999"),
    *(b"", b"/", b"*", b"/content", b"/content/", b"/__api__", b"/__api__/v1/content/" + GUID),
    *(b"/__api__/v1/users?page_number=", b"/__api__/v1/content?name=", b"/__api__/v1/tasks/"),
    *(b"/__api__/v1/content/" + GUID + b"/bundles", b"/__api__/applications/", b"/__api__/nothing"),
    *(b"/__login__?url=", b"/__local__/health", b"/__local__/users", b"/__local__/static/"),
    *(b"http://" + HOST + OPEN, b"http://mallory.test" + OPEN, b"https:" + OPEN, HOST),
    *(b"mallory.test:80", b"http:/" + OPEN, b"http://", b"@" + OPEN, b"\\" + OPEN),
)

STEPS = (
    *(b"/", b"/x", b"//", b"/.", b"/..", b"/./", b"/../", b"/...", b"/x/../y", b"/x/y/z"),
    *(b"%2f", b"%2F..%2F", b"/%2e", b"/%2e%2e", b"/%2E%2e/", b"/..%2f", b"/.%2e", b"/%252e%252e"),
    *(b"/;x=1", b";x", b"/..;/", b"/..;x", b"/x;y=z/..", b"\\", b"/..\\", b"%5c..%5c", b"/\\.."),
    *(b"%", b"%z", b"%zz", b"%2", b"%00", b"/%0d%0aX: y", b"%0a", b"%20", b"/+", b"%ff", b"%c0%af"),
    *(
        b"/%c3%a9",
        "/\u00e9".encode(),
        b"/\xe9",
        b"\xff\xfe",
        b"/\xf0\x9f\x91\x8b",
        b"/%F0%9F%91%8B",
    ),
    *(b"?", b"??", b"?a=b&c=d", b"?a=%00", b"?\xe9", b"#", b"#x", b"?#", b"/?url=//mallory.test"),
    *(b" ", b"\t", b"\r", b"\0", b"\x01", b"\x0b", b"\x7f", b"\x85", b"\xa0", b" HTTP/1.1 "),
    *(CLOSED, b"/" + CLOSED_GUID, b"/_bundle1", b"/.." + HIDDEN, b"/%2e%2e" + CLOSED, OPEN),
    *(
        b"{}",
        b"[::1]",
        b"<script>",
        b'"',
        b"'",
        b"`",
        b"|",
        b"^",
        b"$",
        b"&",
        b"=",
        b"@",
        b":",
        b"~",
    ),
)

#: far more than is common, and than is allowed
_LONG = (b"/" + b"a" * 6_000, b"/.." * 3_000, b"%2e" * 9_000, b"/" + b"b" * 70_000)

HEADERS = (
    b"Accept: */*",
    b"Accept:",
    b"X:y",
    b"X: y\t ",
    b"X:\ty",
    b"x-tag: 1\r\nX-Tag: 2",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: Host, Content-Length, X-RSC-Request",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"Expect: 100-continue",
    b"Expect: mallory",
    b"Cookie: a=b; local-connect-session-3939=mallory",
    b"Cookie: \xff=\xfe; =; ;;;",
    b"Accept: text/html",
    b"Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document",
    b"Origin: http://mallory.test",
    b"Origin: null",
    b"Content-Type: multipart/form-data",
    b"Content-Type: \xe9/\xff; charset=mallory",
    b"If-Modified-Since: never",
    b"Range: bytes=9-1,-,a-b",
    b"Authorization: Key <key>",
    b"Authorization: Key mallory",
    b"Authorization: Basic \xff",
    b"Trailer: Host",
    b"TE: trailers, chunked",
    b"Max-Forwards: 0",
    b"X-HTTP-Method-Override: DELETE",
    b"Latin: \xe9\xe8",
    b"Utf8: \xc3\xa9",
    b"Long: " + b"x" * 9_000,
    b"\r\n".join(b"N%d: x" % number for number in range(90)),
)

BROKEN_HEADERS = (
    b"no colon",
    b": no name",
    b" folded",
    b"\tfolded",
    b"X: y\r\n folded: z",
    b"X : y",
    b"X\t: y",
    b"X\0: y",
    b"X: \0",
    b"X: a\rb",
    b"X: a\nY: b",
    b"X\xe9: y",
    b"X(y): z",
    b"Host: mallory.test",
    b"Host:",
    b"HTTP/1.1 200 OK",
    b"GET / HTTP/1.1",
    b"X: " + b"x" * 70_000,
    b"\r\n".join(b"N%d: x" % number for number in range(3_000)),
)


@pytest.fixture(scope="module")
def site(site: Site) -> Iterator[Site]:
    """With nothing on record of what other tests made it run."""
    site.open.run()
    yield site
    assert not site.closed.run()


def fill(site: Site, template: bytes) -> bytes:
    """Put the site's addresses in."""
    for name, value in (
        (OPEN, site.open.mount),
        (OPEN.swapcase(), site.open.mount.upper()),
        (VANITY, site.open.vanity),
        (DRAFT, f"{site.open.mount}/_bundle{site.open.bundle_id}"),
        (CLOSED, site.closed.mount),
        (HIDDEN, site.closed.vanity),
        (GUID, site.open.guid),
        (CLOSED_GUID, site.closed.guid),
        (HOST, site.netloc),
        # a viewer's, with which no request can take the site apart
        (b"<key>", site.key("bob")),
        (b"<alice>", site.key("alice")),
    ):
        template = template.replace(name, value.encode())
    return template


@dataclass(frozen=True)
class Message:
    """A request, or something like one."""

    method: bytes
    target: tuple[bytes, ...]
    version: bytes = b"HTTP/1.1"
    headers: tuple[bytes, ...] = ()
    body: bytes = b""

    def render(self, site: Site) -> bytes:
        line = b" ".join((self.method, b"".join(self.target), self.version))
        head = b"".join(line + b"\r\n" for line in (line, b"Host: " + HOST, *self.headers))
        return fill(site, head) + b"\r\n" + self.body


def _lines() -> st.SearchStrategy[Message]:
    steps = st.lists(
        st.one_of(
            st.sampled_from(STEPS),
            st.sampled_from(STEPS),
            st.sampled_from(STEPS * 3 + _LONG),
            st.binary(min_size=1, max_size=5),
        ),
        max_size=4,
    )
    target = st.builds(
        lambda beginning, steps: (beginning, *steps), st.sampled_from(BEGINNINGS), steps
    )
    headers = st.lists(st.sampled_from(HEADERS * 2 + BROKEN_HEADERS), max_size=2).map(tuple)
    return st.builds(
        Message,
        st.sampled_from((b"GET",) * 12 + METHODS),
        target,
        st.sampled_from(VERSIONS),
        headers,
    )


@max_examples(2_600)
@given(
    messages=st.lists(_lines(), min_size=1, max_size=3),
    after=st.sampled_from(
        (
            b"",
            b"",
            b"\r\n",
            b"\r\n\r\n",
            b"\0",
            b"\n",
            b"CONNECT <host> HTTP/1.1\r\nHost: <host>\r\n\r\n",
        )
    ),
)
def test_lines(site: Site, messages: list[Message], after: bytes) -> None:
    stream = b"".join(message.render(site) for message in messages) + fill(site, after)
    JUDGED["lines"] += 1
    exchange(site, stream)


#: as a body, this must not become a request
SMUGGLED = b"GET /open-probe/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def exchange(site: Site, stream: bytes, *, pause: int | None = None) -> None:
    """Send the stream on a connection of its own, and judge what comes of it.

    With `pause` it goes in two pieces.
    """
    reading = read(stream)
    answers = _answers(site, stream, pause)
    for answer in answers:
        assert answer.status < 500 or answer.status == 501, answer
    requests = iter(reading.requests)
    for record in site.open.run():
        assert record["content"] == site.open.guid
        for request in requests:
            if _is(record, request):
                _assert_given(site, record, request)
                break
        else:
            raise AssertionError(f"It ran what was not asked for: {record}")
    for answer, request in zip(answers, reading.requests, strict=False):
        event(f"status {answer.status}")
        _assert_answers(site, answer, request)


def _answers(site: Site, stream: bytes, pause: int | None) -> list[Answer]:
    """One for each request that there is, unless the server closes the connection before."""
    reading = read(stream)
    answers: list[Answer] = []
    connection = site.connect()
    try:
        if pause is not None:
            place = pause % (len(stream) + 1)
            connection.send(stream[:place])
            time.sleep(0.002)
            stream = stream[place:]
        connection.send(stream)
        for request in reading.requests:
            answer = connection.answer(request.method)
            # it may come before the answers to what was sent together with the fault
            if answer is None or answer.refuses_connection:
                return answers
            answers.append(answer)
        if isinstance(reading.fault, Malformed):
            try:
                # whether it has a body depends on what the server takes the method for
                refusal = connection.answer(b"HEAD", patience=_BRIEF)
            except Silent:
                event("silent")
                return answers
            if refusal:
                assert refusal.status < 500, refusal
                event(f"malformed {refusal.status}")
        return answers
    finally:
        connection.close()


def _is(record: dict[str, Any], request: Request) -> bool:
    """Whether this is what the probe has run: its method, path, query and body, to the byte."""
    environ = record["environ"]
    given = (
        environ["REQUEST_METHOD"].encode(),
        (environ["SCRIPT_NAME"] + environ["PATH_INFO"]).encode("latin-1"),
        environ["QUERY_STRING"].encode("latin-1"),
        record["length"],
        record["md5"],
    )
    return given == (
        request.method,
        unquote_to_bytes(request.path),
        request.query,
        len(request.body),
        hashlib.md5(request.body, usedforsecurity=False).hexdigest(),
    )


def _assert_given(site: Site, record: dict[str, Any], request: Request) -> None:
    environ = record["environ"]
    (host,) = request.values(b"Host")
    site.assert_decided_here(environ, request.target, host=host.decode())
    assert int(environ.get("CONTENT_LENGTH") or 0) == len(request.body)
    shown = any(site.key("bob").encode() in value for _, value in request.headers)
    assert credentials_in(environ) in (None, site.credentials("bob") if shown else None)
    assert site.key("bob") not in str(environ)


def _assert_answers(site: Site, answer: Answer, request: Request) -> None:
    """The answer is to this request and to no other, and not from content that is closed."""
    if answer.status == 501:
        assert request.path.startswith(b"/__api__")
    if b"json" not in answer.headers.get(b"content-type", b"") or request.method == b"HEAD":
        return
    if answer.status >= 400:
        assert isinstance(answer.json["code"], int), answer
        assert isinstance(answer.json["error"], str), answer
    elif not request.path.startswith((b"/__api__", b"/__local__")):
        assert _is(answer.json, request), answer
        assert answer.json["content"] == site.open.guid


def _chunked(*parts: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + (
        b"0\r\n" + trailers + b"\r\n"
    )


_SIZE = b"%d" % len(SMUGGLED)
_HEX = b"%x" % len(SMUGGLED)
_LENGTH = b"Content-Length: "
_CHUNKED = b"Transfer-Encoding: chunked"

#: headers that say how long a body is, truly or not, and in ways that servers differ about
FRAMINGS = (
    (),
    (_LENGTH + _SIZE,),
    (_LENGTH + b"0",),
    (_LENGTH + b"1",),
    (_LENGTH + b"5",),
    (_LENGTH + b"0" + _SIZE,),
    (_LENGTH + _SIZE + b"0",),
    (_LENGTH + b"+" + _SIZE,),
    (_LENGTH + b"-1",),
    (_LENGTH + b"-" + _SIZE,),
    (_LENGTH + b"0x" + _HEX,),
    (_LENGTH + _SIZE + b".0",),
    (_LENGTH + _SIZE + b" 0",),
    (_LENGTH + _SIZE + b"\x0b",),
    (_LENGTH + "\u0665".encode(),),
    (_LENGTH,),
    (_LENGTH + b"9" * 30,),
    (_LENGTH + b"18446744073709551616",),
    (_LENGTH + _SIZE + b", " + _SIZE,),
    (_LENGTH + b"0, " + _SIZE,),
    (_LENGTH + _SIZE, _LENGTH + _SIZE),
    (_LENGTH + b"0", _LENGTH + _SIZE),
    (_LENGTH + _SIZE, b"content-length: 0"),
    (b"Content_Length: " + _SIZE,),
    (b"Content_Length: " + _SIZE, _LENGTH + b"0"),
    (b"Content-Length : " + _SIZE,),
    (b" Content-Length: " + _SIZE,),
    (b"X: y\r\n Content-Length: " + _SIZE,),
    (b"X: y\rContent-Length: " + _SIZE,),
    (_LENGTH + _SIZE, b"Connection: Content-Length"),
    (_CHUNKED,),
    (_CHUNKED, _LENGTH + b"0"),
    (_LENGTH + _SIZE, _CHUNKED),
    (_CHUNKED, _CHUNKED),
    (_CHUNKED, b"Transfer-Encoding: identity"),
    (b"Transfer-Encoding: identity", _LENGTH + _SIZE),
    (b"Transfer-Encoding: CHUNKED",),
    (b"Transfer-Encoding: identity",),
    (b"Transfer-Encoding: gzip, chunked",),
    (b"Transfer-Encoding: chunked, gzip",),
    (b"Transfer-Encoding: chunked, chunked",),
    (b"Transfer-Encoding: chunked, identity",),
    (b"Transfer-Encoding: xchunked",),
    (b"Transfer-Encoding: chunkedx",),
    (b"Transfer-Encoding: \x0bchunked",),
    (b"Transfer-Encoding: chunked;q=1",),
    (b'Transfer-Encoding: "chunked"',),
    (b"Transfer-Encoding: ,chunked",),
    (b"Transfer-Encoding:",),
    (b"Transfer-Encoding:\r\n chunked",),
    (b"Transfer-Encoding : chunked",),
    (b"Transfer_Encoding: chunked",),
    (b"Transfer_Encoding: chunked", _LENGTH + _SIZE),
    (_CHUNKED, b"Connection: Transfer-Encoding"),
    (_CHUNKED, b"TE: chunked"),
    (_CHUNKED, b"Trailer: Content-Length"),
    (_LENGTH + _SIZE, b"Expect: 100-continue"),
    (_LENGTH + _SIZE, b"Content-Encoding: gzip"),
    (_LENGTH + _SIZE, b"Content-Encoding: deflate, br"),
    (_CHUNKED, b"Content-Encoding: gzip"),
    (_LENGTH + _SIZE, b"Connection: Upgrade", b"Upgrade: websocket"),
    (_LENGTH + _SIZE, b"Connection: Upgrade", b"Upgrade: h2c"),
    (_CHUNKED, b"Connection: Upgrade", b"Upgrade: websocket"),
)

BODIES = (
    b"",
    SMUGGLED,
    SMUGGLED[:-1],
    SMUGGLED + b"x",
    SMUGGLED * 2,
    b"\r\n" + SMUGGLED,
    b"hello",
    gzip.compress(b"hello" * 20, mtime=0).ljust(len(SMUGGLED), b"\0")[: len(SMUGGLED)],
    _chunked(),
    _chunked(SMUGGLED),
    _chunked(b"a", SMUGGLED, b"b"),
    _chunked(gzip.compress(b"hello", mtime=0)),
    _chunked() + SMUGGLED,
    _chunked(b"hello") + SMUGGLED,
    _chunked(b"hello", trailers=b"X: y\r\n"),
    _chunked(b"hello", trailers=b"Content-Length: 94\r\nTransfer-Encoding: chunked\r\n"),
    _chunked(b"hello", trailers=b'RStudio-Connect-Credentials: {"user": "mallory"}\r\n'),
    _chunked(b"hello", trailers=b"X\r\n"),
    _chunked(b"hello", trailers=SMUGGLED[:-2]),
    _HEX.upper() + b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"0" * 12 + _HEX + b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    _HEX + b";a=b\r\n" + SMUGGLED + b"\r\n0;c\r\n\r\n",
    _HEX + b' ;a="\r\n' + SMUGGLED + b"\r\n0\r\n\r\n",
    _HEX + b";a\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    _HEX + b";a\rb\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    _HEX + b";" + b"a" * 20_000 + b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    _HEX + b" \r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b" " + _HEX + b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"+" + _HEX + b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"-1\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"0x" + _HEX + b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"1_0\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    _HEX + b"\n" + SMUGGLED + b"\n0\n\n",
    _HEX + b"\r\n" + SMUGGLED + b"0\r\n\r\n",
    _HEX + b"\r\n" + SMUGGLED + b"xx0\r\n\r\n",
    _HEX + b"\r\n" + SMUGGLED + b"\n0\r\n\r\n",
    b"1\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFF\r\n" + SMUGGLED,
    b"10000000000000000" + _HEX + b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"0\r\n" + SMUGGLED,
    b"00\r\n\r\n" + SMUGGLED,
    b"z\r\n" + SMUGGLED,
)

#: where bodies are read by this server
API_TARGETS = (
    (b"/__api__/v1/content",),
    (b"/__api__/v1/content/" + GUID + b"/deploy",),
    (b"/__api__/v1/content/" + GUID + b"/bundles",),
    (b"/__login__",),
)

_CUTS = (b"", b"\r", b"\n", b"\r\n", b" ", b"\0", b":", b"0", b";", b"\x0b", b"\xff")


@dataclass(frozen=True)
class Flaw:
    """Some bytes put, at some place of a stream, where others were."""

    place: int
    removed: int
    put: bytes

    def apply(self, stream: bytes) -> bytes:
        place = self.place % (len(stream) + 1)
        return stream[:place] + self.put + stream[place + self.removed :]


def _bodies() -> st.SearchStrategy[Message]:
    targets = st.sampled_from(((OPEN, b"/first"), (VANITY, b"/first"), (OPEN,), (CLOSED, b"/")))
    methods = st.sampled_from((b"POST", b"POST", b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS"))
    versions = st.sampled_from((b"HTTP/1.1",) * 9 + (b"HTTP/1.0",))
    framings, bodies = st.sampled_from(FRAMINGS), st.sampled_from(BODIES)
    content = st.builds(Message, methods, targets, versions, framings, bodies)
    # the API reads a body itself, if it is from someone who may send one
    api = st.builds(
        lambda target, version, framing, body: Message(
            b"POST", target, version, (b"Authorization: Key <alice>", *framing), body
        ),
        *(st.sampled_from(API_TARGETS), versions, framings, bodies),
    )
    return st.one_of(content, content, content, content, api)


def _flaws() -> st.SearchStrategy[list[Flaw]]:
    flaw = st.builds(Flaw, st.integers(0, 999), st.integers(0, 3), st.sampled_from(_CUTS))
    return st.one_of(st.just([]), st.just([]), st.lists(flaw, max_size=2))


@max_examples(2_000)
@given(
    first=_bodies(),
    flaws=_flaws(),
    others=st.lists(_bodies(), max_size=1),
    pause=st.one_of(st.none(), st.none(), st.integers(0, 999)),
    last=st.sampled_from((b"", b"GET <open>/last HTTP/1.1\r\nHost: <host>\r\n\r\n")),
)
def test_bodies(
    site: Site,
    first: Message,
    flaws: list[Flaw],
    others: list[Message],
    pause: int | None,
    last: bytes,
) -> None:
    stream = b"".join(message.render(site) for message in (first, *others)) + fill(site, last)
    for flaw in flaws:
        stream = flaw.apply(stream)
    JUDGED["bodies"] += 1
    exchange(site, stream, pause=pause)
