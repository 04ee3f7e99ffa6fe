"""Hosts, targets and paths: no client can change the address that the app is told."""

from urllib.parse import unquote_to_bytes

import pytest

from tests.gateway.conftest import Site

ELSEWHERE = "00000000-0000-4000-8000-000000000000"


class TestHosts:
    @pytest.mark.parametrize(
        ("host", "name", "port"),
        [
            ("localhost", "localhost", "80"),
            ("LocalHost:8080", "localhost", "8080"),
            ("127.0.0.1:1", "127.0.0.1", "1"),
            ("192.168.1.20:3939", "192.168.1.20", "3939"),
            ("[::1]", "::1", "80"),
            ("[::1]:3939", "::1", "3939"),
            ("[FE80::1]:3939", "fe80::1", "3939"),
        ],
    )
    def test_the_host_is_the_one_that_the_client_used(
        self, probe: Site, host: str, name: str, port: str
    ) -> None:
        environ = probe.environ(f"Host: {host}", host=False)
        base = f"http://{host.lower()}"
        assert environ["HTTP_HOST"] == host.lower()
        assert environ["SERVER_NAME"] == name
        assert environ["SERVER_PORT"] == port
        assert environ["wsgi.url_scheme"] == "http"
        assert environ["HTTP_X_RSC_REQUEST"] == f"{base}{probe.mount}/echo"
        assert environ["HTTP_RSTUDIO_CONNECT_APP_BASE_URL"] == f"{base}{probe.mount}"

    @pytest.mark.parametrize(
        "host",
        [
            b"mallory.test",
            b"mallory.test:3939",
            b"localhost.mallory.test",
            b"127.0.0.1.mallory.test",
            b"localhost@mallory.test",
            b"mallory.test@127.0.0.1",
            b"user:password@localhost",
            b"localhost, mallory.test",
            b"localhost mallory.test",
            b"localhost/",
            b"localhost/../x",
            b"localhost?x",
            b"localhost#x",
            b"localhost\\x",
            b"http://localhost",
            b"localhost:",
            b"localhost:-1",
            b"localhost:65536",
            b"localhost:99999",
            b"localhost:80:80",
            b"localhost:\xb2",
            b"localhost:8o",
            b":3939",
            b"",
            b".",
            b"*",
            b"127.1",
            b"127.0.0.01",
            b"0x7f000001",
            b"2130706433",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[:::]",
            b"[127.0.0.1]",
            b"[localhost]",
            b"[]",
            b"loc%61lhost",
            b"loc\xc3\xa9lhost",
            b"\xff",
            "\uff4cocalhost".encode(),
            b"loc<script>alhost",
            b'loc"alhost',
        ],
    )
    def test_a_host_that_the_server_does_not_answer_to(self, probe: Site, host: bytes) -> None:
        for path in (probe.mount.encode() + b"/echo", b"/__api__/v1/user", b"/__login__", b"/"):
            answer = probe.exchange(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host))
            assert answer.status == 400
            assert "host" in answer.error or "name" in answer.error

    @pytest.mark.parametrize(
        "lines",
        [
            [],
            ["Host: localhost", "Host: mallory.test"],
            ["Host: localhost", "Host: localhost"],
            ["Host: localhost", "host: mallory.test"],
            ["Host : localhost"],
            ["Host:", " localhost"],
        ],
    )
    def test_no_host_or_several(self, probe: Site, lines: list[str]) -> None:
        answer = probe.exchange(probe.request(*lines, host=False))
        assert answer.status == 400
        assert answer.body

    def test_a_client_of_http_1_0_without_a_host(self, probe: Site) -> None:
        request = probe.request(host=False).replace(b"HTTP/1.1", b"HTTP/1.0")
        answer = probe.exchange(request)
        assert answer.status == 400
        assert "host" in answer.error

    @pytest.mark.parametrize(
        "target",
        [
            "http://{host}{mount}/echo",
            "http://mallory.test{mount}/echo",
            "https://{host}{mount}/echo",
            "//mallory.test{mount}/echo",
            "{host}{mount}/echo",
            "*",
            "?{mount}",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
    def test_targets_that_are_not_paths(self, probe: Site, target: str, method: str) -> None:
        line = f"{method} {target.format(host=probe.host, mount=probe.mount)} HTTP/1.1"
        answer = probe.exchange(f"{line}\r\nHost: {probe.host}\r\n\r\n".encode())
        assert answer.status in (400, 404)
        assert b"environ" not in answer.body

    def test_connect_opens_no_tunnel(self, probe: Site) -> None:
        answer = probe.exchange(probe.request(method="CONNECT"))
        assert answer.status == 405
        assert "tunnel" in answer.error


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/a/b/",
            "//",
            "//a//b",
            "/./a",
            "/../a",
            "/a/../../b",
            "/..;/a",
            "/%2e%2e/a",
            "/%2E./a",
            "/..%2fa",
            "/%2F%2f/a",
            "/\\..\\a",
            "/%5c..%5ca",
            "/;a=1;b",
            "/a;b=c/d",
            "/%00",
            "/%0d%0aX-Injected:%201",
            "/%20 "[:-1],
            "/%",
            "/%zz",
            "/%2",
            "/%252e%252e",
            "/caf%c3%a9",
            "/%e9",
            "/+",
            "/:80",
            "/@mallory.test",
            "/a:b@c",
            "/[a]",
            "/{a}|^`<>\"'",
            "/http://mallory.test/",
            "/_bundle",
            "/_bundle1x",
            "/_bundle%31/",
            "/_bundle-1/",
            "/_bundle9999999999999999999/",
        ],
    )
    def test_the_path_below_the_mount_is_the_apps(self, probe: Site, path: str) -> None:
        environ = probe.environ(path=path)
        assert environ["SCRIPT_NAME"] == probe.mount
        assert environ["PATH_INFO"].encode("latin-1") == unquote_to_bytes(path)
        assert environ["QUERY_STRING"] == ""
        assert environ["REQUEST_URI"] == probe.mount + path
        assert environ["HTTP_X_RSC_REQUEST"] == f"http://{probe.host}{probe.mount}{path}"
        assert "HTTP_X_INJECTED" not in environ

    @pytest.mark.parametrize("up", ["..", "%2e%2e", ".%2E", "x/../..", "\\..", "..\\", "%2e%2e%2f"])
    def test_no_path_leads_to_other_content(self, probe: Site, other: Site, up: str) -> None:
        path = f"/{up}/{other.guid}/echo"
        environ = probe.environ(path=path)
        assert environ["SCRIPT_NAME"] == probe.mount
        assert environ["PATH_INFO"].encode("latin-1") == unquote_to_bytes(path)

    @pytest.mark.parametrize(
        "target",
        [
            "/content/{elsewhere}/../{guid}/echo",
            "/content/./{guid}/echo",
            "/content//{guid}/echo",
            "//content/{guid}/echo",
            "/./content/{guid}/echo",
            "/x/../content/{guid}/echo",
            "/content/{GUID}/echo",
            "/Content/{guid}/echo",
            "/%63ontent/{guid}/echo",
            "/content%2f{guid}/echo",
            "/content/{encoded}/echo",
            "/content/{guid}%2fecho",
            "/content/{guid};x/echo",
            "/content/{guid}\\echo",
            "/content/{guid}.",
            "/content/{guid}%00/echo",
            "/content/{guid}%20/echo",
            "/content/{shorter}/echo",
            "/content/{{{guid}}}/echo",
            "/content/{guid}#/echo",
            "/content",
            "/content/",
        ],
    )
    def test_an_address_that_is_written_in_another_way(self, probe: Site, target: str) -> None:
        guid = probe.guid
        path = target.format(
            guid=guid,
            GUID=guid.upper(),
            encoded=f"%{ord(guid[0]):02x}{guid[1:]}",
            shorter=guid.replace("-", ""),
            elsewhere=ELSEWHERE,
        )
        answer = probe.exchange(f"GET {path} HTTP/1.1\r\nHost: {probe.host}\r\n\r\n".encode())
        assert answer.status == 404
        assert answer.error

    @pytest.mark.parametrize(
        "query",
        [
            "a=1&b=2&a=3",
            "",
            "?",
            "a=b?c=d",
            "a=%0d%0a%00%zz%",
            "a=b+c%20d",
            ";a=1;b=2",
            "%61=%62",
            "a=é".encode().decode("latin-1").replace("Ã©", "%C3%A9"),
            "a=[]{}|\\^`<>\"'",
            "/../../",
            "http://mallory.test/?x=y",
            "x" * 30_000,
        ],
    )
    def test_the_query_is_untouched(self, probe: Site, query: str) -> None:
        environ = probe.environ(path=f"/echo?{query}")
        assert environ["PATH_INFO"] == "/echo"
        assert environ["QUERY_STRING"] == query
        assert environ["HTTP_X_RSC_REQUEST"].partition("?")[2] == query

    def test_a_fragment_is_not_for_servers(self, probe: Site) -> None:
        environ = probe.environ(path="/echo?a=1#/../x?b=2")
        assert environ["PATH_INFO"] == "/echo"
        assert environ["QUERY_STRING"] == "a=1"

    @pytest.mark.parametrize("path", [b"/\xff", "/é".encode(), b"/a b", b"/\x01", b"/\x7f", b"/\0"])
    def test_bytes_that_no_address_has(self, probe: Site, path: bytes) -> None:
        assert probe.exchange(probe.request(path=path)).status == 400

    def test_a_target_that_is_too_long(self, probe: Site) -> None:
        assert probe.exchange(probe.request(path=f"/{'x' * 70_000}")).status == 400

    def test_a_draft_has_a_mount_of_its_own(self, probe: Site) -> None:
        bundle = probe.content.item["bundle_id"]
        key = f"Authorization: Key {probe.server.users['alice'].api_key}"
        environ = probe.environ(key, path=f"/_bundle{bundle}/echo?x=1")
        assert environ["SCRIPT_NAME"] == f"{probe.mount}/_bundle{bundle}"
        assert environ["PATH_INFO"] == "/echo"
        answer = probe.exchange(probe.request(path=f"/_bundle{bundle}/echo"))
        assert answer.status == 404
