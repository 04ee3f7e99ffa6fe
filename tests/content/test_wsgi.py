"""What serves an app inside its process: WSGI as it is written, and apps that do not keep to it."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import httpx
import pytest

from tests.deployed import Content
from tests.gateway.wire import Wire
from tests.publishing import publish
from tests.servers import LocalConnect, eventually

#: of the requests that the process answers at a time
THREADS = 2

APP = """
import os
import resource
import sys
import tempfile
import threading
import time
from wsgiref.validate import validator

PLAIN = [("Content-Type", "text/plain")]
lock = threading.Lock()
now = most = 0


@validator
def sound(environ, start_response):
    body = environ["wsgi.input"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    text = body.readline(length) + body.read(length)
    start_response("200 OK", PLAIN)
    return [text]


def fails(environ, start_response):
    raise RuntimeError("failed on purpose")


def exits(environ, start_response):
    sys.exit("exited on purpose")


def fails_late(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"begun"
    raise RuntimeError("failed late")


def changes_its_mind(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise RuntimeError("caught")
    except RuntimeError:
        start_response("503 Not Now", [("X-Second", "2")], sys.exc_info())
    return [b"not ", b"now"]


def changes_its_mind_late(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"begun")
    try:
        raise RuntimeError("too late")
    except RuntimeError:
        start_response("503 Not Now", [], sys.exc_info())
    return [b"not now"]


def twice(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("200 OK", PLAIN)
    return []


def never(environ, start_response):
    return [b"unasked"]


def nothing(environ, start_response):
    start_response("200 OK", PLAIN)


def text(environ, start_response):
    start_response("200 OK", PLAIN)
    return ["text"]


def of_the_connection(environ, start_response):
    names = ["Connection", "keep-alive", "TE", "Trailers", "Transfer-Encoding", "Upgrade"]
    start_response("200 OK", [*((name, "by-habit") for name in names), *PLAIN])
    return [b"whole"]


def two_lines(environ, start_response):
    start_response("200 OK", [("X-A", "1\\r\\nX-B: 2")])
    return []


def short(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    return [b"short"]


def long(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"lon", b"ger", b"still"]


def closes(environ, start_response):
    start_response("200 OK", PLAIN)

    class Body(list):
        def close(self):
            raise RuntimeError("failed at the end")

    return Body([b"whole"])


def counts(environ, start_response):
    global now, most
    with lock:
        now += 1
        most = max(most, now)
    time.sleep(0.1)
    with lock:
        now -= 1
    start_response("200 OK", PLAIN)
    return [str(most).encode()]


def pid(environ, start_response):
    start_response("200 OK", PLAIN)
    return [str(os.getpid()).encode()]


def seen(environ, start_response):
    start_response("200 OK", PLAIN)
    return [repr(environ).encode()]


def peak(environ, start_response):
    start_response("200 OK", PLAIN)
    unit = 1 if sys.platform == "darwin" else 1024
    return [str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit).encode()]


def large(environ, start_response):
    start_response("200 OK", PLAIN)
    for _ in range(256):
        yield bytes(1 << 20)


def medium(environ, start_response):
    start_response("200 OK", [("Content-Length", str(1 << 23))])
    return [bytes(1 << 23)]


def file(environ, start_response):
    start_response("200 OK", [("Content-Length", str(1 << 25))])
    file = tempfile.TemporaryFile()
    file.truncate(1 << 25)
    return environ["wsgi.file_wrapper"](file)


def kept(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        size = os.fstat(environ["wsgi.input"].fileno()).st_size
    except OSError:
        return [b"in memory"]
    return [f"{size} bytes in a file".encode()]


def app(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
"""


@pytest.fixture(scope="module")
def site(server: LocalConnect) -> Content:
    return publish(server, APP, max_processes=1, max_conns_per_process=THREADS, read_timeout=20)


def ask(site: Content, path: str, *, method: str = "GET", body: bytes = b"") -> httpx.Response:
    return site.server.request(method, site.path + path, user=None, content=body)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("body", [b"", b"one line\nand more"])
def test_wsgi_as_it_is_written(site: Content, method: str, body: bytes) -> None:
    answer = ask(site, "sound", method=method, body=body)
    assert answer.status_code == 200
    assert answer.content == (b"" if method == "HEAD" else body)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("fails", "RuntimeError: failed on purpose"),
        ("exits", "SystemExit: exited on purpose"),
        ("twice", "start_response called a second time"),
        ("nothing", "TypeError"),
        ("text", "TypeError"),
        ("two_lines", "line feed character present in header value"),
    ],
)
def test_an_app_that_fails(site: Content, path: str, said: str) -> None:
    before, seen = ask(site, "pid").text, len(site.server.output)
    # more often than there are threads that could end of it
    for _ in range(THREADS + 1):
        answer = ask(site, path)
        assert answer.status_code == 500
        assert answer.text == "Internal Server Error: the app failed, and its log shows how.\n"
    assert ask(site, "pid").text == before
    assert eventually(lambda: said in site.server.output[seen:])


def test_a_body_without_a_status(site: Content) -> None:
    seen = len(site.server.output)
    assert ask(site, "never").status_code == 500
    assert eventually(lambda: "start_response was not called" in site.server.output[seen:])


def test_headers_that_are_the_servers_own_to_set(site: Content) -> None:
    answer = ask(site, "of_the_connection")
    assert (answer.status_code, answer.content) == (200, b"whole")
    assert answer.headers["Content-Type"] == "text/plain"
    assert "by-habit" not in answer.headers.values()


def test_what_serves_it_is_not_to_be_seen(site: Content) -> None:
    assert "waitress.client" not in ask(site, "seen").text
    assert "SERVER_SOFTWARE" not in ask(site, "seen").text


@pytest.mark.parametrize("path", ["fails", "fails_late"])
def test_a_traceback_begins_in_the_app(site: Content, path: str) -> None:
    seen = len(site.server.output)
    with suppress(httpx.RemoteProtocolError):
        ask(site, path)
    assert eventually(lambda: "RuntimeError: failed" in site.server.output[seen:])
    _, first, second, *_ = site.server.output[seen:].splitlines()
    assert "app.py" in first + second


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("fails_late", "RuntimeError: failed late"),
        ("changes_its_mind_late", "RuntimeError: too late"),
        ("short", "too few bytes (5) for specified Content-Length (10)"),
    ],
)
def test_an_answer_that_is_not_whole(site: Content, path: str, said: str) -> None:
    before, seen = ask(site, "pid").text, len(site.server.output)
    for _ in range(THREADS + 1):
        with pytest.raises(httpx.RemoteProtocolError):
            ask(site, path)
    assert ask(site, "pid").text == before
    assert eventually(lambda: said in site.server.output[seen:])


def test_an_answer_that_is_longer_than_it_says(site: Content) -> None:
    for _ in range(THREADS + 1):
        assert ask(site, "long").content == b"long"
    said = "exceeded the number of bytes specified by Content-Length header (4)"
    assert eventually(lambda: said in site.server.output)


def test_another_answer_in_place_of_one_that_has_not_begun(site: Content) -> None:
    answer = ask(site, "changes_its_mind")
    assert (answer.status_code, answer.content) == (503, b"not now")
    assert "X-First" not in answer.headers
    assert answer.headers["X-Second"] == "2"


def test_an_answer_that_fails_when_it_is_whole(site: Content) -> None:
    for _ in range(THREADS + 1):
        assert ask(site, "closes").content == b"whole"
    assert eventually(lambda: "failed at the end" in site.server.output)


def test_requests_at_a_time(site: Content) -> None:
    with ThreadPoolExecutor(4 * THREADS) as pool:
        answers = list(pool.map(lambda _: ask(site, "counts"), range(4 * THREADS)))
    assert max(int(answer.text) for answer in answers) == THREADS


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
def test_a_large_body_is_not_kept_in_memory(site: Content, length: bool) -> None:
    for size, kept in ((1 << 16, "in memory"), (1 << 24, f"{1 << 24} bytes in a file")):
        body = bytes(size)
        sent = body if length else iter([body])
        assert site.server.request("POST", f"{site.path}kept", content=sent).text == kept


def test_a_large_answer_that_is_read_slowly_is_not_kept_in_memory(site: Content) -> None:
    before, size = int(ask(site, "peak").text), 0
    with site.server.client.stream("GET", f"{site.path}large") as answer:
        parts = answer.iter_raw()
        size += len(next(parts))
        time.sleep(1)
        size += sum(map(len, parts))
    assert size == 1 << 28
    assert int(ask(site, "peak").text) - before < 1 << 26


def test_requests_that_come_slowly_keep_none_out(site: Content) -> None:
    host = site.server.url.removeprefix("http://")
    head = f"POST {site.path}sound HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\n".encode()
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(site.server.url)) for _ in range(2 * THREADS)]
        for wire in wires:
            wire.send(head + b"ab")
        assert ask(site, "sound", method="POST", body=b"whole").content == b"whole"
        for wire in wires:
            wire.send(b"cd")
            assert wire.answer().body == b"abcd"


@pytest.mark.parametrize(("path", "size"), [("medium", 1 << 23), ("file", 1 << 25)])
def test_answers_that_are_read_slowly_keep_none_out(site: Content, path: str, size: int) -> None:
    host = site.server.url.removeprefix("http://")
    head = f"GET {site.path}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(site.server.url)) for _ in range(2 * THREADS)]
        for wire in wires:
            wire.send(head)
        assert ask(site, "sound", method="POST", body=b"whole").content == b"whole"
        for wire in wires:
            assert len(wire.answer().body) == size
