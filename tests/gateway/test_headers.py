"""The client's own headers reach the app; those of the server, and of the connection, do not."""

import json

import pytest

from tests.gateway.conftest import Site

SESSION = "local-connect-session-3939"

#: of one connection, by name or because `Connection` names them
HOP_BY_HOP = (
    "Connection: keep-alive",
    "Keep-Alive: timeout=5",
    "Proxy-Authenticate: Basic",
    "Proxy-Authorization: Basic eDp5",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Trailer: X-Later",
    "Upgrade: h2c",
)


def test_headers_arrive_as_they_were_sent(probe: Site) -> None:
    lines = {
        "Accept: text/html;q=0.9, */*": "HTTP_ACCEPT",
        "accept-LANGUAGE: sw": "HTTP_ACCEPT_LANGUAGE",
        'User-Agent: Mozilla/5.0 (X; "quoted")': "HTTP_USER_AGENT",
        'If-None-Match: W/"1", "2"': "HTTP_IF_NONE_MATCH",
        "Origin: https://elsewhere.test": "HTTP_ORIGIN",
        "X-Empty:": "HTTP_X_EMPTY",
        "X-Tab: a\tb": "HTTP_X_TAB",
        "X-Odd!#$%&'*+.^`|~: odd name": "HTTP_X_ODD!#$%&'*+.^`|~",
        f"X-Long: {'x' * 60_000}": "HTTP_X_LONG",
    }
    environ = probe.environ(*lines)
    for line, name in lines.items():
        assert environ[name] == line.partition(":")[2].strip(), name


def test_the_gateway_adds_no_headers_of_its_own(probe: Site) -> None:
    names = {name for name in probe.environ() if name.startswith("HTTP_")}
    assert names == {
        "HTTP_HOST",
        "HTTP_RSTUDIO_CONNECT_APP_BASE_URL",
        "HTTP_X_RSC_REQUEST",
    }


def test_every_copy_arrives(probe: Site) -> None:
    lines = ["X-Copy: 1", "x-copy:  2 ", "X-COPY: 3, 4", "X-Copy: 5"]
    environ = probe.environ(*lines, "Accept: a", "accept: b")
    assert environ["HTTP_X_COPY"].replace(" ", "") == "1,2,3,4,5"
    assert environ["HTTP_ACCEPT"].replace(" ", "") == "a,b"


@pytest.mark.parametrize(
    "value",
    ["é".encode(), b"\xe9", b"\xc3\xa9 and \xe9", b"\xff\xfe\x80", "ᏣᎳᎩ 😀".encode()],
)
def test_bytes_that_are_not_ascii(probe: Site, value: bytes) -> None:
    environ = probe.environ(b"X-Bytes: " + value, b"Cookie: a=" + value, b"Content-Type: " + value)
    for name in ("HTTP_X_BYTES", "CONTENT_TYPE"):
        assert environ[name].encode("latin-1") == value
    assert environ["HTTP_COOKIE"].encode("latin-1") == b"a=" + value
    environ = probe.environ(b"X-Bytes: plain", b"x-bytes: " + value)
    assert environ["HTTP_X_BYTES"].encode("latin-1").split(b", ") == [b"plain", value]


def test_more_headers_than_a_mebibyte(probe: Site) -> None:
    lines = [f"X-Part-{number}: {'x' * 60_000}" for number in range(20)]
    environ = probe.environ(*lines)
    assert sum(len(value) for name, value in environ.items() if "PART" in name) == 1_200_000


@pytest.mark.parametrize("lines", [[f"X-Long: {'x' * 70_000}"], ["X-Many: 1"] * 500])
def test_more_headers_than_the_server_takes(probe: Site, lines: list[str]) -> None:
    assert probe.exchange(probe.request(*lines)).status == 400


class TestKeys:
    @pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
    @pytest.mark.parametrize("scheme", ["Key", "key", "KEY", "kEy"])
    def test_a_key_identifies_the_viewer_and_does_not_reach_the_app(
        self, probe: Site, name: str, scheme: str
    ) -> None:
        self.assert_kept(probe, f"{name}: {scheme} {{key}}", user="bob")

    @pytest.mark.parametrize("name", ["X-RSC-Authorization", "x-rsc-authorization"])
    def test_a_key_in_x_rsc_authorization(self, probe: Site, name: str) -> None:
        self.assert_kept(probe, f"{name}: Key {{key}}", user="bob")
        environ = probe.environ(f"{name}: Bearer other")
        assert "other" not in json.dumps(environ)

    @pytest.mark.parametrize(
        "line",
        [
            "Authorization: Key\t{key}",
            "Authorization: Key={key}",
            "Authorization: Key:{key}",
            'Authorization: "Key {key}"',
            "authorization_: Key {key}",
            "X_RSC_Authorization: Key {key}",
        ],
    )
    def test_a_malformed_key_identifies_nobody(self, probe: Site, line: str) -> None:
        self.assert_kept(probe, line, user=None)

    def test_a_key_in_both_headers(self, probe: Site) -> None:
        users = probe.server.users
        lines = [
            f"{name}: Key {users['bob'].api_key}"
            for name in ("X-RSC-Authorization", "Authorization")
        ]
        environ = probe.environ(*lines)
        assert users["bob"].api_key not in json.dumps(environ)
        assert '"bob"' in environ["HTTP_RSTUDIO_CONNECT_CREDENTIALS"]

    @pytest.mark.parametrize("value", ["Bearer abc", "Basic eDp5", "Negotiate x", "Keyless x", ""])
    def test_other_authorization_reaches_the_app(self, probe: Site, value: str) -> None:
        key = probe.server.users["bob"].api_key
        assert probe.environ(f"Authorization: {value}")["HTTP_AUTHORIZATION"] == value
        environ = probe.environ(f"Authorization: {value}", f"X-RSC-Authorization: Key {key}")
        assert environ["HTTP_AUTHORIZATION"] == value
        assert '"bob"' in environ["HTTP_RSTUDIO_CONNECT_CREDENTIALS"]
        assert key not in json.dumps(environ)

    def test_a_key_that_nobody_has(self, probe: Site) -> None:
        answer = probe.exchange(probe.request("Authorization: Key 0123456789abcdef"))
        assert answer.status == 401
        assert answer.error

    @staticmethod
    def assert_kept(probe: Site, line: str, *, user: str | None) -> None:
        key = probe.server.users["bob"].api_key
        environ = probe.environ(line.format(key=key))
        assert key not in json.dumps(environ)
        assert "HTTP_AUTHORIZATION" not in environ
        seen = environ.get("HTTP_RSTUDIO_CONNECT_CREDENTIALS")
        assert (seen and json.loads(seen)["user"]) == user


class TestCookies:
    def test_cookies_reach_the_app(self, probe: Site) -> None:
        lines = ['Cookie: a=1; b="2; 3"', "Cookie: c=4", "cookie: a=5=6"]
        assert probe.environ(*lines)["HTTP_COOKIE"] == 'a=1; b="2; 3"; c=4; a=5=6'

    @pytest.mark.parametrize(
        "line",
        [
            "{session}",
            "a=1; {session}",
            "{session}; a=1",
            "a=1;{session};b=2",
            "a=1; \t {session} ; b=2",
            "{session}; {session}",
        ],
    )
    def test_the_session_cookie_does_not_reach_the_app(self, probe: Site, line: str) -> None:
        cookie = line.format(session=f"{SESSION}=secret")
        environ = probe.environ(f"Cookie: {cookie}", "Cookie: z=26")
        assert "secret" not in json.dumps(environ)
        expected = [pair.strip() for pair in cookie.split(";") if "secret" not in pair]
        assert environ["HTTP_COOKIE"].split("; ") == [*expected, "z=26"]

    def test_no_cookie_header_is_left_of_the_session_cookie_alone(self, probe: Site) -> None:
        assert "HTTP_COOKIE" not in probe.environ(f"Cookie: {SESSION}=secret")

    def test_cookies_of_similar_names_reach_the_app(self, probe: Site) -> None:
        cookie = f"x{SESSION}=1; {SESSION}x=2; {SESSION.upper()}=3"
        assert probe.environ(f"Cookie: {cookie}")["HTTP_COOKIE"] == cookie


class TestHopByHop:
    @pytest.mark.parametrize("line", HOP_BY_HOP)
    def test_hop_by_hop_headers_do_not_reach_the_app(self, probe: Site, line: str) -> None:
        environ = probe.environ(line, "X-Mine: 1")
        name = f"HTTP_{line.partition(':')[0].upper().replace('-', '_')}"
        assert name not in environ
        assert environ["HTTP_X_MINE"] == "1"

    @pytest.mark.parametrize(
        "lines",
        [
            ["Connection: X-Hop, close"],
            ["Connection: keep-alive", "Connection: x-hop"],
            ["connection: a,,  X-HOP  ,b"],
        ],
    )
    def test_headers_that_connection_names_do_not_reach_the_app(
        self, probe: Site, lines: list[str]
    ) -> None:
        environ = probe.environ(*lines, "X-Hop: 1", "X-Mine: 1")
        assert "HTTP_X_HOP" not in environ
        assert environ["HTTP_X_MINE"] == "1"

    def test_framing_is_the_gateways(self, probe: Site) -> None:
        seen = probe.echo(
            "Transfer-Encoding: chunked", method="POST", body=b"5\r\nhello\r\n0\r\n\r\n"
        )
        assert seen["size"] == 5
        assert "HTTP_TRANSFER_ENCODING" not in seen["environ"]
        seen = probe.echo("Content-Length: 5", "Expect: 100-continue", method="POST", body=b"hello")
        assert seen["environ"]["CONTENT_LENGTH"] == "5"
        assert "HTTP_EXPECT" not in seen["environ"]

    @pytest.mark.parametrize("name", ["Connection", "Keep-Alive", "Proxy-Authenticate", "Upgrade"])
    def test_hop_by_hop_headers_do_not_reach_the_client(self, probe: Site, name: str) -> None:
        # PEP 3333 forbids an app to set these, and some do by habit
        answer = probe.told("200 OK", [(name, "x"), ("X-Other", "1")], "body")
        assert (answer.status, answer.body) == (200, b"body")
        assert not answer.all(name)
        assert answer.all("X-Other") == [b"1"]
