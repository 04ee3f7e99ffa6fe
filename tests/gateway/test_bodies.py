"""Bodies of every size and kind, both ways, as they are and when they come."""

import gzip
import hashlib
import random
import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway.conftest import Site
from tests.servers import LocalConnect, eventually

MEGABYTE = 1_000_000

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY")


def megabytes(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * MEGABYTE


def digest_of(parts: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


class TestUploads:
    @pytest.mark.parametrize("length", [True, False])
    def test_large(self, probe: Site, length: bool) -> None:
        size = 200 * MEGABYTE
        headers = {"Content-Length": str(size)} if length else {}
        answer = probe.server.request(
            "POST", f"{probe.mount}/echo", content=megabytes(200), headers=headers
        )
        seen = answer.raise_for_status().json()
        assert seen["size"] == size
        assert seen["digest"] == digest_of(megabytes(200))
        assert seen["environ"]["CONTENT_LENGTH"] == str(size)

    @pytest.mark.parametrize("method", [method for method in METHODS if method != "HEAD"])
    @pytest.mark.parametrize("length", [True, False])
    def test_with_every_method(self, probe: Site, method: str, length: bool) -> None:
        body = b"hello" if length else b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
        framing = "Content-Length: 5" if length else "Transfer-Encoding: chunked"
        seen = probe.echo(framing, method=method, body=body)
        assert seen["size"] == 5
        assert seen["environ"]["REQUEST_METHOD"] == method

    @pytest.mark.parametrize("method", [method for method in METHODS if method != "HEAD"])
    def test_no_body(self, probe: Site, method: str) -> None:
        for framing in ([], ["Content-Length: 0"]):
            seen = probe.echo(*framing, method=method)
            assert seen["size"] == 0
            assert seen["environ"]["REQUEST_METHOD"] == method
        seen = probe.echo("Transfer-Encoding: chunked", method=method, body=b"0\r\n\r\n")
        assert seen["size"] == 0

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "unheard-of", "gzip, gzip"])
    def test_compressed(self, probe: Site, coding: str) -> None:
        # with or without sense: it is the app's to unpack
        for body in (gzip.compress(b"hello " * 1000), b"not compressed"):
            lines = [f"Content-Encoding: {coding}", f"Content-Length: {len(body)}"]
            seen = probe.echo(*lines, method="POST", body=body)
            assert seen["digest"] == hashlib.sha256(body).hexdigest()
            assert seen["environ"]["HTTP_CONTENT_ENCODING"] == coding

    def test_a_form_with_a_file(self, probe: Site) -> None:
        files = {"file": ("naïve.bin", bytes(range(256)) * 1000)}
        request = probe.server.client.build_request("POST", f"{probe.mount}/echo", files=files)
        body = request.read()
        seen = probe.server.client.send(request).json()
        assert seen["digest"] == hashlib.sha256(body).hexdigest()
        assert seen["environ"]["CONTENT_TYPE"] == request.headers["Content-Type"]

    def test_a_slow_client(self, own: Site) -> None:
        # slower than read_timeout in all, but never silent for as long
        own.change(read_timeout=1)
        with own.wire() as wire:
            wire.send(own.request("Content-Length: 3", method="POST"))
            for byte in (b"a", b"b", b"c"):
                time.sleep(0.6)
                wire.send(byte)
            assert wire.answer().json["size"] == 3

    def test_an_upload_that_breaks_off(self, own: Site) -> None:
        for framing in ("Content-Length: 100", "Transfer-Encoding: chunked"):
            with own.wire() as wire:
                wire.send(
                    own.request(framing, method="POST", path="/count", body=b"5\r\nhello\r\n")
                )
                time.sleep(0.2)
        # the app is not asked to take half for the whole
        assert own.get("/count") == 1


class TestContinue:
    """`Expect: 100-continue`: a client sends its body only when it is asked for it."""

    LINES = ("Expect: 100-continue", "Content-Length: 5")

    def test_the_client_is_asked_for_the_body(self, probe: Site) -> None:
        with probe.wire() as wire:
            wire.send(probe.request(*self.LINES, method="POST"))
            assert wire.start() == 100
            wire.send(b"hello")
            answer = wire.answer()
            assert answer.json["size"] == 5
            assert not answer.interim
            wire.send(probe.request())
            assert wire.answer().status == 200

    def test_a_body_in_chunks(self, probe: Site) -> None:
        with probe.wire() as wire:
            lines = ("expect: 100-Continue", "Transfer-Encoding: chunked")
            wire.send(probe.request(*lines, method="PUT"))
            assert wire.start() == 100
            wire.send(b"5\r\nhello\r\n0\r\n\r\n")
            assert wire.answer().json["size"] == 5

    def test_a_client_that_does_not_wait_to_be_asked(self, probe: Site) -> None:
        answer = probe.exchange(probe.request(*self.LINES, method="POST", body=b"hello"))
        assert answer.json["size"] == 5

    def test_a_request_without_a_body(self, probe: Site) -> None:
        answer = probe.exchange(probe.request("Expect: 100-continue"))
        assert answer.status == 200
        assert not answer.interim

    def test_a_client_that_is_refused_is_not_asked(self, probe: Site, own: Site) -> None:
        own.content.open_to("acl")
        missing = probe.request(*self.LINES, method="POST").replace(
            probe.guid.encode(), b"00000000-0000-4000-8000-000000000000"
        )
        key = f"Authorization: Key {own.server.users['bob'].api_key}"
        for request, status in (
            (own.request(*self.LINES, method="POST"), 401),
            (own.request(*self.LINES, key, method="POST"), 403),
            (probe.request(*self.LINES, "Authorization: Key wrong", method="POST"), 401),
            (missing, 404),
            (probe.request(*self.LINES, "Host: mallory.test", method="POST", host=False), 400),
        ):
            with probe.wire() as wire:
                wire.send(request)
                answer = wire.answer()
                assert (answer.status, answer.interim) == (status, [])

    def test_other_expectations(self, probe: Site) -> None:
        lines = ("Expect: tea", "Content-Length: 5")
        answer = probe.exchange(probe.request(*lines, method="POST", body=b"hello"))
        assert answer.status == 417
        assert "tea" in answer.error

    def test_a_client_of_http_1_0(self, probe: Site) -> None:
        # HTTP/1.0 knows no interim answers
        request = probe.request(*self.LINES, method="POST", body=b"hello")
        answer = probe.exchange(request.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert answer.json["size"] == 5
        assert not answer.interim


class TestDownloads:
    @pytest.mark.parametrize("length", [True, False])
    def test_large(self, probe: Site, length: bool) -> None:
        size = 100 * MEGABYTE + 1
        digest = hashlib.sha256()
        path = f"{probe.mount}/numbers?size={size}&length={'1' if length else ''}"
        with probe.server.client.stream("GET", path) as answer:
            assert answer.headers.get("Content-Length") == (str(size) if length else None)
            for part in answer.iter_raw():
                digest.update(part)
            assert answer.num_bytes_downloaded == size
        assert digest.hexdigest() == digest_of(numbers(size))

    def test_a_slow_client(self, own: Site) -> None:
        # more than all buffers hold
        own.change(read_timeout=1)
        size = 40 * MEGABYTE
        digest = hashlib.sha256()
        with own.server.client.stream("GET", f"{own.mount}/numbers?size={size}") as answer:
            for number, part in enumerate(answer.iter_raw(10 * MEGABYTE)):
                digest.update(part)
                time.sleep(1.5 if number < 2 else 0)
        assert digest.hexdigest() == digest_of(numbers(size))

    def test_a_client_of_http_1_0(self, probe: Site) -> None:
        # HTTP/1.0 knows no chunks: the end of the connection is the end of the answer
        request = probe.request(path="/numbers?size=100000").replace(b"HTTP/1.1", b"HTTP/1.0")
        with probe.wire() as wire:
            wire.send(request)
            answer = wire.answer()
            assert not answer.all("Transfer-Encoding")
            assert hashlib.sha256(answer.body).hexdigest() == digest_of(numbers(100_000))
            assert wire.ended

    def test_a_range(self, probe: Site) -> None:
        url = f"{probe.mount}/flask/file"
        whole = probe.server.get(url)
        assert whole.headers["Accept-Ranges"] == "bytes"
        for asked, part in (("0-9", whole.content[:10]), ("-7", whole.content[-7:])):
            answer = probe.server.get(url, headers={"Range": f"bytes={asked}"})
            assert answer.status_code == 206
            assert answer.content == part
            assert answer.headers["Content-Range"].endswith(f"/{len(whole.content)}")
            assert answer.headers["Content-Length"] == str(len(part))
        answer = probe.server.get(url, headers={"Range": "bytes=9999999-"})
        assert answer.status_code == 416
        unchanged = probe.server.get(url, headers={"If-None-Match": whole.headers["ETag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["ETag"] == whole.headers["ETag"]


def numbers(size: int) -> Iterator[bytes]:
    """The bytes that the probe's view of this name sends."""
    block = random.Random(1).randbytes(1 << 16)  # noqa: S311
    for start in range(0, size, len(block)):
        yield block[: size - start]


class Stream:
    """An event stream of the probe's, and the means to say when it goes on."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.name = uuid.uuid4().hex

    @property
    def path(self) -> str:
        return f"{self.site.mount}/events?name={self.name}"

    def say(self, text: str) -> None:
        self.site.get(f"/say?name={self.name}", params={"text": text, "name": self.name})

    def is_closed(self) -> bool:
        closed: bool = self.site.get(f"/closed?name={self.name}")
        return closed


class TestEventStreams:
    def test_each_event_arrives_before_the_next_is_sent(self, probe: Site) -> None:
        stream = Stream(probe)
        with probe.server.client.stream("GET", stream.path) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            parts = answer.iter_raw()
            for number in range(20):
                event = f"data: {number}\n\n"
                stream.say(event)
                assert next(part for part in parts if b"still here" not in part) == event.encode()
            stream.say("")
            assert all(b"still here" in part for part in parts)
        assert stream.is_closed()

    def test_a_client_that_goes_away_frees_the_app(self, probe: Site) -> None:
        stream = Stream(probe)
        with probe.server.client.stream("GET", stream.path) as answer:
            next(answer.iter_raw())
        assert stream.is_closed()

    def test_clients_that_go_away_leave_room(self, own: Site) -> None:
        own.change(max_conns_per_process=2)
        for _ in range(6):
            stream = Stream(own)
            with own.server.client.stream("GET", stream.path) as answer:
                next(answer.iter_raw())
            # asks a thread of the same process, so one of the two is free
            assert stream.is_closed()

    def test_a_client_that_does_not_wait_for_an_answer(self, own: Site) -> None:
        own.change(max_conns_per_process=1)
        for _ in range(3):
            with own.wire() as wire:
                wire.send(own.request(path="/sleep?seconds=0.3"))
        assert own.get("/count") == 1


class TestConnections:
    def test_requests_one_after_another(self, probe: Site) -> None:
        with probe.wire() as wire:
            for number in range(20):
                wire.send(probe.request(f"X-Number: {number}"))
                assert wire.answer().json["environ"]["HTTP_X_NUMBER"] == str(number)

    def test_pipelined_requests(self, probe: Site) -> None:
        requests = [
            probe.request(f"X-Number: {number}", "Content-Length: 2", method="POST", body=b"ab")
            for number in range(20)
        ]
        with probe.wire() as wire:
            wire.send(b"".join(requests))
            for number in range(20):
                seen = wire.answer().json
                assert seen["environ"]["HTTP_X_NUMBER"] == str(number)
                assert seen["size"] == 2

    def test_different_visitors_on_one_connection(self, probe: Site) -> None:
        with probe.wire() as wire:
            for name in ("alice", None, "bob", None):
                key = [f"Authorization: Key {probe.server.users[name].api_key}"] if name else []
                wire.send(probe.request(*key))
                seen = wire.answer().json["environ"].get("HTTP_RSTUDIO_CONNECT_CREDENTIALS", "")
                assert (name or "nobody") in (seen or "nobody")

    def test_closed_where_the_client_asks(self, probe: Site) -> None:
        for request in (
            probe.request("Connection: close"),
            probe.request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        ):
            with probe.wire() as wire:
                wire.send(request)
                assert wire.answer().status == 200
                assert wire.ended

    def test_kept_where_an_old_client_asks(self, probe: Site) -> None:
        request = probe.request("Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
        with probe.wire() as wire:
            for _ in range(2):
                wire.send(request)
                assert wire.answer().status == 200

    def test_kept_after_a_refusal(self, probe: Site) -> None:
        with probe.wire() as wire:
            for _ in range(2):
                wire.send(probe.request("Authorization: Key wrong"))
                assert wire.answer().status == 401
            wire.send(probe.request())
            assert wire.answer().status == 200

    def test_many_connections_at_a_time(self, server: LocalConnect, own: Site) -> None:
        own.change(max_conns_per_process=4, max_processes=1)
        answers: list[int] = []

        def visit() -> None:
            with httpx.Client(trust_env=False, timeout=60) as client:
                answers.extend(
                    client.get(f"{server.url}{own.mount}/echo").status_code for _ in "12345"
                )

        visitors = [threading.Thread(target=visit) for _ in range(40)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        assert answers == [200] * 200
        assert len(own.process["starts"]) <= 2
        assert eventually(lambda: own.get("/echo")["pid"] > 0)
