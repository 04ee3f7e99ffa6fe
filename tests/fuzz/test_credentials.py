"""No header that a client can write makes content believe anything about its visitor."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.fuzz.profiles import JUDGED, max_examples
from tests.fuzz.site import DECIDED, DRAFT, MOUNT, VANITY, Site, credentials_in
from tests.fuzz.wire import Connection

Header = tuple[bytes, bytes]

#: stands in each value that is made up
FORGED = b"mallory"

#: headers that this server, or one like it, decides; and those that a careless one takes for them
NAMES = (
    b"RStudio-Connect-Credentials",
    b"RStudio-Connect-App-Base-URL",
    b"RStudio-Connect-Anything",
    b"Posit-Connect-Credentials",
    b"Posit-Connect-User-Session-Token",
    b"X-RSC-Request",
    b"X-RSC-Authorization",
    b"X-Local-Connect-Environ",
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Host",
    b"X-Forwarded-Prefix",
    b"X-Forwarded-Port",
    b"X-Forwarded",
    b"Forwarded",
    b"X-Real-IP",
    b"X-Script-Name",
    b"X-Original-URL",
    b"X-Rewrite-URL",
    b"X-Scheme",
    b"X-Host",
    b"Script-Name",
    b"Path-Info",
    b"Remote-Addr",
    b"Remote-User",
    b"Host",
    b"Proxy",
)


def _unevenly(name: bytes) -> bytes:
    return bytes(byte ^ 0x20 if place % 3 == 0 else byte for place, byte in enumerate(name.upper()))


#: what may be made of a name that an app, or a server on the way, folds back into it
DISGUISES: tuple[Callable[[bytes], bytes], ...] = (
    lambda name: name,
    bytes.upper,
    bytes.lower,
    bytes.swapcase,
    _unevenly,
    lambda name: name.replace(b"-", b"_"),
    lambda name: name.replace(b"-", b"_").lower(),
    lambda name: name.replace(b"-", b"_", 1),
    lambda name: b"_".join(name.rsplit(b"-", 1)),
    lambda name: name.replace(b"-", b""),
    lambda name: name.replace(b"-", b"."),
    lambda name: name.replace(b"-", b"--"),
    lambda name: name.replace(b"-", b"-_"),
    lambda name: b"HTTP_" + name,
    lambda name: b"HTTP-" + name,
    lambda name: b"HTTP_" + name.replace(b"-", b"_").upper(),
    lambda name: b"X-" + name,
    lambda name: b"-" + name,
    lambda name: b"_" + name,
    lambda name: name + b"-",
    lambda name: name + b"_",
    lambda name: b"wsgi." + name,
    lambda name: name.replace(b"-", b"%2D"),
)

#: what is no name at all, and must not become one on the way
BREAKAGES: tuple[Callable[[bytes], bytes], ...] = (
    lambda name: name + b" ",
    lambda name: name + b"\t",
    lambda name: b" " + name,
    lambda name: b"\t" + name,
    lambda name: name + b"\0",
    lambda name: b"\0" + name,
    lambda name: name + b"\r",
    lambda name: name + b":",
    lambda name: name.replace(b"-", b" "),
    lambda name: name.replace(b"-", b"\xe2\x80\x90"),
    # letters that fold into S, K and I
    lambda name: name.replace(b"s", b"\xc5\xbf").replace(b"S", b"\xc5\xbf"),
    lambda name: name.replace(b"k", b"\xe2\x84\xaa"),
    lambda name: name.replace(b"i", b"\xc4\xb1"),
    lambda name: name + b"\xae",
    lambda name: b'"' + name + b'"',
)

#: lies that would do harm where they were believed, and bytes that are hard to read
LIES = (
    b'{"user": "mallory", "groups": ["admins"]}',
    b'{"user": "mallory", "groups": null}',
    b'{"user": "mallory"}',
    '{"user": "malloryé", "groups": ["Übermallory"]}'.encode(),
    b'{"user": "mallory\\u0000", "groups": []}',
    b'{"user": "mallory\xff\xfe"}',
    b'{"SCRIPT_NAME": "/mallory", "wsgi.url_scheme": "https", "REMOTE_USER": "mallory"}',
    b'{"HTTP_RSTUDIO_CONNECT_CREDENTIALS": "{\\"user\\": \\"mallory\\"}"}',
    b"mallory",
    b"mallory, mallory",
    b"http://mallory.test/content/",
    b"mallory.test",
    b"/mallory",
    # of this machine, though not what the client asked for
    b"localhost",
    b"127.0.0.1:1",
    b'for=mallory;host=mallory.test;proto=https;by="mallory"',
    b"\xe9mallory",
    b"mallory\t \tmallory",
    b"\xc2\xa0mallory\xc2\xa0",
    b"mallory" * 1_000,
    b"mallory" * 9_000,
)

#: values that a server refuses, or takes for two headers
UNWELCOME = (
    b"Key mallory",
    b"mallory\r\n RStudio-Connect-Credentials: mallory",
    b"mallory\r\n\tmallory",
    b"mallory\rX-RSC-Request: mallory",
    b"mallory\nX-RSC-Request: mallory",
    b"mallory\0",
    b"mallory\x0b",
    b"mallory\x7f",
    b"mallory" * 10_000,
)


def forged() -> st.SearchStrategy[Header]:
    def disguised(parts: tuple[bytes, int, bytes]) -> Header:
        name, number, value = parts
        ways = DISGUISES * 3 + BREAKAGES[:5]
        return ways[number % len(ways)](name), value

    lies = st.one_of(
        st.sampled_from(LIES * 8 + UNWELCOME),
        st.binary(max_size=20).map(lambda noise: FORGED + noise.translate(None, b"\r\n\0")),
    )
    return st.tuples(st.sampled_from(NAMES), st.integers(0, 999), lies).map(disguised)


#: how a key may be written; the first are as it should be
_SCHEMES = (b"Key ", b"key ", b"KEY ", b"Key  ", b"Key\t", b"Key=", b"Key:", b"Key, ", b"\tKey \t")
_PROPER = 4
_KEY_HEADERS = (b"Authorization", b"X-RSC-Authorization", b"authorization", b"x-RSC-authorization")
_MISNAMED = (
    b"X_RSC_Authorization",
    b"HTTP_Authorization",
    b"_Authorization",
    b"X-RSC_Authorization",
)
_COOKIES = (b"", b"a=1; ", b"a=1;", b"a; ; b==2; ", b'x="mallory"; ')


@dataclass(frozen=True)
class Shown:
    """How a visitor shows who they are: by key, by session, or in a way that is not one."""

    user: str
    #: the header's name, and what stands before the key or the session
    name: bytes
    before: bytes
    proper: bool

    def header(self, site: Site, secret: str) -> Header:
        before = self.before.replace(b"<session>", site.server.session_cookie.encode())
        return self.name, before + secret.encode()


SHOWN = [
    Shown(user, name, before, proper)
    for user in ("alice", "bob")
    for names, befores, proper in (
        (_KEY_HEADERS, _SCHEMES[:_PROPER], True),
        (_KEY_HEADERS, _SCHEMES[_PROPER:], False),
        (_MISNAMED, _SCHEMES[:_PROPER], False),
        ((b"Cookie",), tuple(before + b"<session>=" for before in _COOKIES * 2), True),
    )
    for name in names
    for before in befores
]


@dataclass(frozen=True)
class Visit:
    headers: list[Header | Shown]
    #: which of the addresses of the content
    mount: int
    path: bytes

    @property
    def shown(self) -> list[Shown]:
        return [header for header in self.headers if isinstance(header, Shown)]


def visits() -> st.SearchStrategy[Visit]:
    named = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)
    # what a client names here is of this connection only, and dropped on the way
    connection = named.map(lambda names: (b"Connection", b", ".join((b"keep-alive", *names))))
    header: st.SearchStrategy[Header | Shown] = st.one_of(
        forged(), forged(), st.sampled_from(SHOWN), connection
    )
    # a draft is for alice alone
    mounts = st.sampled_from((MOUNT, MOUNT, VANITY, VANITY, DRAFT))
    paths = st.sampled_from((b"/", b"/x", b"/x?user=admin"))
    return st.builds(Visit, st.lists(header, min_size=1, max_size=6), mounts, paths)


class PersistentConnection:
    """A connection that is opened again whenever the server has closed it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._connection: Connection | None = None

    def send(self, request: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        for _ in range(2):
            connection = self._connection or self._site.connect()
            self._connection = None
            connection.send(request)
            answer = connection.answer()
            if answer is None:
                # closed between two requests, or at once in place of an answer
                connection.close()
                continue
            if answer.headers.get(b"connection", b"").lower() == b"close":
                connection.close()
            else:
                self._connection = connection
            return answer.status, answer.body
        return 0, b""

    def close(self) -> None:
        if self._connection:
            self._connection.close()


@pytest.fixture(scope="module")
def connection(site: Site) -> Iterator[PersistentConnection]:
    connection = PersistentConnection(site)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def sessions(site: Site) -> dict[str, str]:
    """Of alice and bob, as their browsers keep them."""
    return {user: _sign_in(site, user) for user in ("alice", "bob")}


def _sign_in(site: Site, user: str) -> str:
    with httpx.Client(base_url=site.server.url, trust_env=False) as browser:
        page = browser.get("/__login__").raise_for_status().text
        token = page.partition('name="token" value="')[2].partition('"')[0]
        browser.post("/__login__", data={"token": token, "username": user})
        return browser.cookies[site.server.session_cookie]


@max_examples(5_000)
@given(visit=visits())
def test_headers(
    site: Site, connection: PersistentConnection, sessions: dict[str, str], visit: Visit
) -> None:
    secrets: Callable[[Shown], str] = lambda shown: (  # noqa: E731
        sessions[shown.user] if shown.name == b"Cookie" else site.key(shown.user)
    )
    headers = [
        header.header(site, secrets(header)) if isinstance(header, Shown) else header
        for header in visit.headers
    ]
    target = site.open.mounts[visit.mount].encode() + visit.path
    status, body = connection.send(
        b"GET %s HTTP/1.1\r\nHost: %s\r\n" % (target, site.netloc.encode())
        + b"".join(b"%s: %s\r\n" % header for header in headers)
        + b"\r\n"
    )
    JUDGED["headers"] += 1
    event(f"status {status}")
    assert status < 500, body
    if status != 200:
        assert status >= 400 or status == 0
        return
    environ = json.loads(body)["environ"]
    site.assert_decided_here(environ, target)
    assert credentials_in(environ) in _may_be(site, visit)
    for secret in map(secrets, visit.shown):
        assert secret not in json.dumps(environ)
    for name, value in environ.items():
        if not name.startswith("HTTP_") or name in DECIDED:
            assert FORGED.decode() not in value, name


def _may_be(site: Site, visit: Visit) -> list[Any]:
    """Whom content may be told of: who showed it, or nobody where it was not shown properly."""
    users = {header.user for header in visit.shown}
    written = [
        (header.name if isinstance(header, Shown) else header[0]).lower()
        for header in visit.headers
    ]
    if len(visit.shown) == 1 and visit.shown[0].proper:
        name = visit.shown[0].name.lower()
        if written.count(name) == 1:
            return [site.credentials(user) for user in users]
    return [None, *map(site.credentials, users)]
