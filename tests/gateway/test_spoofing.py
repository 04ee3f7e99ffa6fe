"""Nothing that a client sends makes the app see what only the gateway may decide."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.conftest import MANY_GROUPS, ODD_NAMES, Site

CREDENTIALS = "HTTP_RSTUDIO_CONNECT_CREDENTIALS"
FORGED = '{"user": "admin", "groups": ["forged"]}'

#: what Connect says itself
CONNECTS = (
    "RStudio-Connect-Credentials",
    "RStudio-Connect-App-Base-URL",
    "RStudio-Connect-Whatever-Comes",
    "Posit-Connect-User-Session-Token",
    "Posit-Connect-Credentials",
    "X-RSC-Request",
    "X-RSC-Authorization",
    "X-RSC-Whatever-Comes",
    "X-Local-Connect-Environ",
)

#: what frameworks and proxies take for the truth about scheme, host, client or mount
PROXIES = (
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-By",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-User",
    "X-Host",
    "X-Original-Host",
    "X-Original-URI",
    "X-Original-URL",
    "X-Real-IP",
    "X-Rewrite-URL",
    "X-Scheme",
    "X-Script-Name",
    "X-URL-Scheme",
    "Proxy",
)


def spellings(name: str) -> Iterator[str]:
    yield name
    yield name.lower()
    yield name.upper()
    yield name.swapcase()
    yield name.replace("-", "_")
    yield name.replace("-", "_", 1)
    yield name.upper().replace("-", "_")


def seen_of(environ: dict[str, str]) -> dict[str, str]:
    """The environ without what differs from one connection to the next."""
    return {name: value for name, value in environ.items() if name != "REMOTE_PORT"}


@pytest.mark.parametrize("name", CONNECTS + PROXIES)
def test_a_header_that_is_not_the_clients_to_send(probe: Site, name: str) -> None:
    true = seen_of(probe.environ("X-Mine: 1"))
    assert true["HTTP_X_MINE"] == "1"
    for spelling in spellings(name):
        assert seen_of(probe.environ(f"{spelling}: {FORGED}", "X-Mine: 1")) == true, spelling
        assert seen_of(probe.environ(f"{spelling}:{FORGED}\t ", "X-Mine: 1")) == true, spelling
    everything = [f"{spelling}: {FORGED}" for spelling in spellings(name)]
    assert seen_of(probe.environ(*everything, "X-Mine: 1", *everything)) == true


@pytest.mark.parametrize("user", ["alice", "bob", "many", "José"])
def test_a_known_visitor_cannot_pose_as_another(probe: Site, user: str) -> None:
    key = f"Authorization: Key {probe.server.users[user].api_key}"
    forged = [f"{name}: {FORGED}" for name in spellings("RStudio-Connect-Credentials")]
    environ = probe.environ(*forged, key, *forged)
    assert credentials(environ)["user"] == user
    assert "forged" not in environ[CREDENTIALS]


def test_credentials_in_trailers(probe: Site) -> None:
    body = f"5\r\nhello\r\n0\r\nRStudio-Connect-Credentials: {FORGED}\r\nX-Late: 1\r\n\r\n"
    seen = probe.echo(
        "Transfer-Encoding: chunked",
        "Trailer: RStudio-Connect-Credentials, X-Late",
        method="POST",
        body=body.encode(),
    )
    assert seen["size"] == 5
    assert CREDENTIALS not in seen["environ"]
    assert "forged" not in json.dumps(seen)


@pytest.mark.parametrize(
    "lines",
    [
        ["Connection: RStudio-Connect-Credentials"],
        ["Connection: close, rstudio-connect-credentials , Host, RStudio-Connect-App-Base-URL"],
        ["Connection: keep-alive", "Connection: X-RSC-Request, RStudio-Connect-Credentials"],
        ["Connection: X-Local-Connect-Environ, Content-Length"],
    ],
)
def test_the_gateways_own_headers_cannot_be_struck_out(probe: Site, lines: list[str]) -> None:
    key = f"Authorization: Key {probe.server.users['bob'].api_key}"
    environ = probe.environ(key, *lines)
    assert credentials(environ) == {"user": "bob", "groups": []}
    assert environ["HTTP_HOST"] == probe.host
    assert environ["HTTP_X_RSC_REQUEST"] == f"http://{probe.host}{probe.mount}/echo"
    assert environ["SCRIPT_NAME"] == probe.mount


def test_folded_lines(probe: Site) -> None:
    for first, second in (
        ("X-Folded: a", f" RStudio-Connect-Credentials: {FORGED}"),
        ("X-Folded: a", "\tb"),
        ("RStudio-Connect-Credentials:", f" {FORGED}"),
        (" X-First: folded", "X-Folded: a"),
    ):
        answer = probe.exchange(probe.request(first, second))
        assert answer.status == 400, (first, second)


def test_names_that_only_wsgi_takes_for_others(probe: Site) -> None:
    lines = ["Content_Length: 5", "Content_Type: text/forged", "Script_Name: /forged"]
    lines += ["Path_Info: /forged", "Remote_User: forged", "wsgi.url_scheme: https"]
    environ = probe.environ(*lines, "Script-Name: /as-a-header", method="POST")
    assert environ["CONTENT_LENGTH"] == "0"
    assert environ["SCRIPT_NAME"] == probe.mount
    assert environ["wsgi.url_scheme"] == "http"
    assert "forged" not in json.dumps(environ)
    assert environ["HTTP_SCRIPT_NAME"] == "/as-a-header"


def test_a_visitor_without_credentials(probe: Site) -> None:
    environ = probe.environ()
    assert CREDENTIALS not in environ
    assert environ["REMOTE_ADDR"] == environ["REMOTE_HOST"] == "127.0.0.1"
    with probe.wire() as wire:
        wire.send(probe.request())
        environ = wire.answer().json["environ"]
        assert environ["REMOTE_PORT"] == str(wire.socket.getsockname()[1])


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_and_groups_that_are_hard_to_carry(probe: Site, name: str) -> None:
    key = f"Authorization: Key {probe.server.users[name].api_key}"
    environ = probe.environ(key)
    seen = credentials(environ)
    assert seen["user"] == name
    assert sorted(seen["groups"]) == sorted(ODD_NAMES[name])
    # raw UTF-8, as Connect's language writes JSON
    assert "\\u" not in environ[CREDENTIALS]


def test_the_many_groups_are_many() -> None:
    assert len(json.dumps(MANY_GROUPS)) > 64 << 10


def credentials(environ: dict[str, str]) -> dict[str, Any]:
    # WSGI hands UTF-8 over as Latin-1
    seen: dict[str, Any] = json.loads(environ[CREDENTIALS].encode("latin-1"))
    return seen
