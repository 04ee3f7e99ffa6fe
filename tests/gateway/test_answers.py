"""What the app answers is what the visitor gets, and it stays below the content's mount."""

import gzip
import zlib

import httpx
import pytest

from tests.gateway.conftest import Site

PLAIN = ("Content-Type", "text/plain")
SESSION = "local-connect-session-3939"


class TestStatus:
    @pytest.mark.parametrize(
        "status",
        [
            "200 OK",
            "201 Created",
            "202 Accepted",
            "203 Non-Authoritative Information",
            "205 Reset Content",
            "207 Multi-Status",
            "226 IM Used",
            "299 Something of Our Own",
            "300 Multiple Choices",
            "400 Bad Request",
            "401 Unauthorized",
            "402 Payment Required",
            "403 Forbidden",
            "404 Not Found",
            "418 I'm a Teapot",
            "429 Too Many Requests",
            "451 Unavailable For Legal Reasons",
            "500 Internal Server Error",
            "501 Not Implemented",
            "502 Bad Gateway",
            "503 Service Unavailable",
            "504 Gateway Timeout",
            "599 Something of Our Own",
            "799 Beyond",
            "200 Grüße",
        ],
    )
    def test_the_status_is_the_apps_own(self, probe: Site, status: str) -> None:
        answer = probe.told(status, [PLAIN, ("WWW-Authenticate", "Basic")], "body of ", "the app")
        code, _, reason = status.partition(" ")
        assert answer.status == int(code)
        assert answer.reason.encode("latin-1") in (reason.encode("latin-1"), reason.encode())
        assert answer.body == b"body of the app"
        assert answer.all("WWW-Authenticate") == [b"Basic"]

    @pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
    @pytest.mark.parametrize("headers", [[], [("Content-Length", "0")], [("Content-Length", "5")]])
    @pytest.mark.parametrize("body", ["", "hello"])
    def test_a_status_that_has_no_body(
        self, probe: Site, status: str, headers: list[tuple[str, str]], body: str
    ) -> None:
        with probe.wire() as wire:
            wire.send(probe.telling(status, [*headers, ("ETag", '"1"')], body))
            answer = wire.answer()
            assert answer.status == int(status[:3])
            assert answer.all("ETag") == [b'"1"']
            assert not answer.all("Transfer-Encoding")
            assert answer.all("Content-Length") in ([], [b"5"] if status[0] == "3" else [])
            # no stray byte of a body is taken for the next answer
            wire.send(probe.request())
            assert wire.answer().json["size"] == 0

    @pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
    def test_an_interim_status_is_no_answer(self, probe: Site, status: str) -> None:
        # WSGI has no interim answers: it never gives a final one
        answer = probe.told(status, [], "")
        assert answer.status == 502
        assert "closed the connection without an answer" in answer.error

    def test_an_invalid_status(self, probe: Site) -> None:
        answer = probe.told("20 Short", [PLAIN], "body")
        assert answer.status == 502
        assert "not HTTP" in answer.error


class TestHead:
    @pytest.mark.parametrize("headers", [[], [("Content-Length", "1234")]])
    @pytest.mark.parametrize("body", [[], ["hello"], ["hel", "lo"]])
    def test_an_answer_to_head_has_no_body(
        self, probe: Site, headers: list[tuple[str, str]], body: list[str]
    ) -> None:
        with probe.wire() as wire:
            wire.send(probe.telling("200 OK", [PLAIN, *headers], *body, method="HEAD"))
            answer = wire.answer(head=True)
            assert answer.status == 200
            assert answer.all("Content-Type") == [b"text/plain"]
            assert answer.all("Content-Length") == [value.encode() for _, value in headers]
            wire.send(probe.request())
            assert wire.answer().json["size"] == 0

    def test_head_of_an_endless_answer(self, probe: Site) -> None:
        request = probe.request(method="HEAD", path="/events?name=head")
        answer = probe.exchange(request, head=True)
        assert answer.status == 200
        assert probe.get("/closed?name=head")

    def test_head_of_a_flask_app(self, probe: Site) -> None:
        for path in ("/flask/", "/flask/file"):
            got = probe.server.get(probe.mount + path)
            head = probe.server.request("HEAD", probe.mount + path)
            assert head.headers["Content-Length"] == str(len(got.content))
            assert head.content == b""


class TestHeaders:
    def test_repeated_headers(self, probe: Site) -> None:
        headers = [
            ("Set-Cookie", "a=1"),
            ("Link", "</a>; rel=next"),
            ("Set-Cookie", "b=2, 3"),
            ("Link", "</b>; rel=prev, </c>"),
            ("set-cookie", "c=4"),
            ("X-One", "1"),
            ("x-one", "2"),
        ]
        answer = probe.told("200 OK", headers, "x")
        assert [value.split(b";")[0] for value in answer.all("Set-Cookie")] == [
            b"a=1",
            b"b=2, 3",
            b"c=4",
        ]
        assert answer.all("Link") == [b"</a>; rel=next", b"</b>; rel=prev, </c>"]
        assert answer.all("X-One") == [b"1", b"2"]

    def test_headers_are_passed_on_as_they_are(self, probe: Site) -> None:
        headers = {
            "Content-Type": "application/problem+json; charset=utf-16",
            "Content-Disposition": "attachment; filename*=UTF-8''na%C3%AFve.txt",
            "Cache-Control": "no-store, max-age=0",
            "ETag": 'W/"abc"',
            "Vary": "Cookie, Accept",
            "Access-Control-Allow-Origin": "*",
            "Content-Security-Policy": "default-src 'self'; frame-ancestors *",
            "X-Frame-Options": "ALLOWALL",
            "X-Empty": "",
            "X-Tab": "a\tb",
            "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
            "Server": "the app",
            "X-Long": "x" * 500_000,
        }
        # the probe is told in a header, so the long one is said briefly
        told = [(name, value) for name, value in headers.items() if name != "X-Long"]
        answer = probe.told("200 OK", [*told, ("X-Long", 500_000)], "body")
        for name, value in headers.items():
            assert answer.all(name) == [value.encode()], name

    @pytest.mark.parametrize("text", ["José", "ᏣᎳᎩ 😀", "na\u00efve.txt"])
    def test_utf_8_in_a_header(self, probe: Site, text: str) -> None:
        # WSGI has an app write UTF-8 as if it were Latin-1
        answer = probe.told("200 OK", [("X-Text", text.encode().decode("latin-1"))], "x")
        assert answer.all("X-Text") == [text.encode()]

    @pytest.mark.parametrize("text", ["José", "ÿ", "\x80\x9f", "Ã©" + "é"])
    def test_latin_1_in_a_header(self, probe: Site, text: str) -> None:
        # aiohttp writes text only, so bytes that are not UTF-8 become it
        answer = probe.told("200 OK", [("X-Text", text)], "x")
        assert answer.all("X-Text") == [text.encode()]

    @pytest.mark.parametrize("value", ["a\x01b", "a\x7fb", "\x1b[31m"])
    def test_control_characters_in_a_header(self, probe: Site, value: str) -> None:
        # of no known length, so it would have gone in chunks, as the refusal does not
        answer = probe.told("200 OK", [("X-Control", value)], "x", "y")
        assert answer.status == 502
        assert "app's answer" in answer.error

    @pytest.mark.parametrize("value", ["a\r\nSet-Cookie: forged=1", "a\nb", "a\rb"])
    def test_a_header_in_a_header(self, probe: Site, value: str) -> None:
        answer = probe.told("200 OK", [("X-Split", value)], "x")
        assert answer.status == 500
        assert not answer.all("Set-Cookie")

    @pytest.mark.parametrize(
        "name", ["Service-Worker-Allowed", "Clear-Site-Data", "Cross-Origin-Opener-Policy"]
    )
    def test_what_reaches_beyond_the_content(self, probe: Site, name: str) -> None:
        answer = probe.told("200 OK", [(name, '"*"'), ("X-Other", "1")], "x")
        assert not answer.all(name)
        assert answer.all("X-Other") == [b"1"]


class TestLength:
    def test_the_apps_content_length_is_kept(self, probe: Site) -> None:
        answer = probe.told("200 OK", [("Content-Length", "10")], "01234", "56789")
        assert answer.all("Content-Length") == [b"10"]
        assert answer.body == b"0123456789"
        assert not answer.all("Transfer-Encoding")

    def test_an_answer_of_unknown_length(self, probe: Site) -> None:
        answer = probe.told("200 OK", [PLAIN], "01234", "56789")
        assert not answer.all("Content-Length")
        assert answer.all("Transfer-Encoding") == [b"chunked"]
        assert answer.body == b"0123456789"

    def test_a_length_that_is_too_large(self, probe: Site) -> None:
        with probe.wire() as wire:
            wire.send(probe.telling("200 OK", [("Content-Length", "10")], "01234"))
            with pytest.raises(ConnectionError):
                wire.answer()

    def test_a_length_that_is_too_small(self, probe: Site) -> None:
        with probe.wire() as wire:
            wire.send(probe.telling("200 OK", [("Content-Length", "3")], "01234"))
            assert wire.answer().body == b"012"
            wire.send(probe.request())
            assert wire.answer().json["size"] == 0


class TestCompression:
    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "unheard-of"])
    @pytest.mark.parametrize("length", [True, False])
    def test_a_compressed_answer_is_left_alone(
        self, probe: Site, coding: str, length: bool
    ) -> None:
        text = b"hello " * 1000
        packed = {"gzip": gzip.compress(text), "deflate": zlib.compress(text)}.get(coding, text)
        headers = [("Content-Encoding", coding), ("Vary", "Accept-Encoding")]
        if length:
            headers.append(("Content-Length", str(len(packed))))
        half = packed.decode("latin-1")[:50], packed.decode("latin-1")[50:]
        answer = probe.told("200 OK", headers, *half)
        assert answer.body == packed
        assert answer.all("Content-Encoding") == [coding.encode()]
        assert answer.all("Content-Length") == ([str(len(packed)).encode()] if length else [])

    def test_the_gateway_compresses_nothing(self, probe: Site) -> None:
        url = f"{probe.mount}/numbers?size=100000"
        answer = probe.server.get(url, headers={"Accept-Encoding": "gzip, br, zstd"})
        assert "Content-Encoding" not in answer.headers
        assert len(answer.content) == 100_000

    def test_accept_encoding_reaches_the_app(self, probe: Site) -> None:
        environ = probe.environ("Accept-Encoding: br;q=0.9, *;q=0")
        assert environ["HTTP_ACCEPT_ENCODING"] == "br;q=0.9, *;q=0"
        assert "HTTP_ACCEPT_ENCODING" not in probe.environ()


class TestRedirects:
    def test_redirects_to_the_apps_own_pages(self, probe: Site) -> None:
        root = f"{probe.mount}/flask/"
        for kind, location in (("relative", root), ("absolute", probe.server.url + root)):
            answer = probe.server.get(f"{root}redirect/{kind}")
            assert answer.status_code == 302
            assert answer.headers["Location"] == location
            followed = probe.server.get(f"{root}redirect/{kind}", follow_redirects=True)
            assert followed.json()["root"] == probe.mount

    def test_flasks_redirect_to_the_address_with_a_slash(self, probe: Site) -> None:
        answer = probe.server.get(f"{probe.mount}/flask/slash")
        assert answer.status_code == 308
        location = httpx.URL(probe.server.url).join(answer.headers["Location"])
        assert location.path == f"{probe.mount}/flask/slash/"
        assert location.host == "127.0.0.1"

    @pytest.mark.parametrize("location", ["https://elsewhere.test/?a=b#c", "/content/", "a/../b"])
    def test_redirects_to_elsewhere(self, probe: Site, location: str) -> None:
        answer = probe.told("302 Found", [("Location", location)])
        assert answer.all("Location") == [location.encode()]

    def test_addresses_as_the_client_wrote_them(self, probe: Site) -> None:
        for host in ("localhost:1234", "[::1]:5678", probe.host):
            seen = probe.server.get(f"{probe.mount}/flask/", headers={"Host": host}).json()
            assert seen["external"] == seen["request"] == f"http://{host}{probe.mount}/flask/"
            assert seen["relative"] == f"{probe.mount}/flask/"
            assert not seen["secure"]

    def test_a_mount_without_its_slash(self, probe: Site) -> None:
        answer = probe.exchange(probe.request(path="?next=//mallory.test"))
        assert answer.status == 308
        location = f"http://{probe.host}{probe.mount}/?next=//mallory.test"
        assert answer.all("Location") == [location.encode()]


class TestCookies:
    @pytest.mark.parametrize(
        ("attributes", "path"),
        [
            ("", "/"),
            ("; Path=/", "/"),
            ("; path=/", "/"),
            ("; PATH = / ", "/"),
            ("; Path=", "/"),
            ("; Path", "/"),
            ("; Path=/content/", "/"),
            ("; Path=/__login__", "/"),
            ("; Path={other}/", "/"),
            ("; Path={mount}", "/"),
            ("; Path={mount}/", "/"),
            ("; Path={mount}/below", "/below"),
            ("; Path={mount}/below; Path=/", "/"),
            ("; Path=/; Path={mount}/below", "/below"),
            ("; Path={mount}x/", "/"),
            ("; Path=x{mount}/", "/"),
        ],
    )
    def test_the_path_of_a_cookie(
        self, probe: Site, other: Site, attributes: str, path: str
    ) -> None:
        text = attributes.format(mount=probe.mount, other=other.mount)
        (cookie,) = probe.told("200 OK", [("Set-Cookie", f"a=1{text}; Secure")], "x").all(
            "Set-Cookie"
        )
        pair, *rest = cookie.decode().split("; ")
        assert pair == "a=1"
        assert sorted(rest) == sorted([f"Path={probe.mount}{path}", "Secure"])

    @pytest.mark.parametrize(
        "domain", ["; Domain=127.0.0.1", "; domain=.test", "; DOMAIN = x", "; Domain"]
    )
    def test_the_domain_of_a_cookie(self, probe: Site, domain: str) -> None:
        cookie = f"a=1{domain}; HttpOnly; SameSite=Lax; Max-Age=60"
        (kept,) = probe.told("200 OK", [("Set-Cookie", cookie)], "x").all("Set-Cookie")
        assert b"domain" not in kept.lower()
        for attribute in (b"HttpOnly", b"SameSite=Lax", b"Max-Age=60"):
            assert attribute in kept.split(b"; ")

    @pytest.mark.parametrize(
        "cookie",
        [
            f"{SESSION}=forged",
            f"{SESSION}=forged; Path=/",
            f" {SESSION} = forged",
            f"\t{SESSION}=forged",
            f"={SESSION}=forged",
            f" = {SESSION}=forged; Path=/",
            f"=={SESSION}=forged",
            SESSION,
        ],
    )
    def test_an_app_cannot_set_the_servers_session_cookie(self, probe: Site, cookie: str) -> None:
        headers = [("Set-Cookie", cookie), ("Set-Cookie", "mine=1")]
        answer = probe.told("200 OK", headers, "x")
        assert [value.split(b";")[0] for value in answer.all("Set-Cookie")] == [b"mine=1"]

    def test_an_app_may_have_a_session_cookie_of_its_own(self, probe: Site, other: Site) -> None:
        with httpx.Client(base_url=probe.server.url, trust_env=False) as visitor:
            visits = [visitor.get(f"{probe.mount}/flask/visits").text for _ in range(3)]
            assert visits == ["1", "2", "3"]
            # other content has its own, under the same name
            assert visitor.get(f"{other.mount}/flask/visits").text == "1"
            assert visitor.get(f"{probe.mount}/flask/visits").text == "4"

    def test_text_in_cookies(self, probe: Site) -> None:
        value = 'a="1,2 é"; Expires=Thu, 01 Jan 2099 00:00:00 GMT'
        told = value.encode().decode("latin-1")
        (cookie,) = probe.told("200 OK", [("Set-Cookie", told)], "x").all("Set-Cookie")
        assert cookie.startswith('a="1,2 é"; '.encode())
        assert b"Expires=Thu, 01 Jan 2099 00:00:00 GMT" in cookie


def test_every_byte_there_is(probe: Site) -> None:
    parts = [bytes(range(256)).decode("latin-1") * number for number in range(10)]
    answer = probe.told("200 OK", [PLAIN], *parts)
    assert answer.body == "".join(parts).encode("latin-1")
