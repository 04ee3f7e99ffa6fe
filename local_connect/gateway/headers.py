"""Which headers pass between a visitor and an app, which are set here, and which are dropped.

Every copy of a header of the visitor's that could say who they are, where they are, or where the
app is mounted is dropped, and what the app is to know of these is set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from typing import TypeVar

from multidict import CIMultiDict, MultiMapping
from yarl import URL

from local_connect.access.identity import (
    KEY_HEADERS,
    is_session,
    is_with_session,
    without_session,
)
from local_connect.access.tokens import HEADERS as TOKEN_HEADERS
from local_connect.access.visitor_tokens import HEADER as SESSION_TOKEN_HEADER
from local_connect.gateway import websockets

CREDENTIALS_HEADER = "RStudio-Connect-Credentials"

#: carries what the content process puts into the WSGI environ; see content/process.py
ENVIRON_HEADER = "X-Local-Connect-Environ"

#: the headers that the app gets from the server, and what they tell it
SET = {
    "Host": "the host by which the visitor knows the server",
    "RStudio-Connect-App-Base-URL": "the content's own address",
    "X-RSC-Request": "the address that the visitor asked for",
    CREDENTIALS_HEADER: "who the visitor is",
    SESSION_TOKEN_HEADER: "the visitor's session, to be exchanged for credentials",
    "Content-Length": "how long the body is",
}

#: Names, as WSGI folds them, that say something about the visitor, the address or
#: the mount. A client's own copies are dropped.
_DECIDED_HERE = re.compile(
    r"RSTUDIO_CONNECT_.*|POSIT_CONNECT_.*|X_RSC_.*|X_LOCAL_CONNECT_.*"
    r"|X_FORWARDED(_.*)?|FORWARDED|X_REAL_IP|X_ORIGINAL_.*|X_REWRITE_URL"
    r"|X_SCRIPT_NAME|X_SCHEME|X_URL_SCHEME|X_HOST|PROXY|HOST"
)

#: of this connection only, never passed on (RFC 9110, 7.6.1)
_HOP_BY_HOP = {
    "CONNECTION",
    "KEEP_ALIVE",
    "PROXY_AUTHENTICATE",
    "PROXY_AUTHORIZATION",
    "PROXY_CONNECTION",
    "TE",
    "TRAILER",
    "TRANSFER_ENCODING",
    "UPGRADE",
    # answered here, before the body is read
    "EXPECT",
}

#: Headers of an answer that would reach beyond the content's own pages: to other content,
#: which shares its origin, or to the visitor's session here.
_TOO_FAR = {"SERVICE_WORKER_ALLOWED", "CROSS_ORIGIN_OPENER_POLICY", "CLEAR_SITE_DATA"}

#: headers of an answer that do not reach the visitor, and why
_KEPT_BACK = {
    **dict.fromkeys(_HOP_BY_HOP | websockets.HANDSHAKE, "of this connection only"),
    **dict.fromkeys(_TOO_FAR, "would reach beyond the content's own pages"),
}

#: how a request is framed is said anew, whatever of it the client has in `Connection`
_FRAMING = {"CONTENT_LENGTH", "TRANSFER_ENCODING"}

#: headers that may hold the viewer's API key; another kind of authorization is for the app
_KEY_HEADERS = {header.upper().replace("-", "_") for header in KEY_HEADERS}

_TOKEN_HEADERS = {header.upper().replace("-", "_") for header in TOKEN_HEADERS}

#: How a value that holds an API key begins, with or without the space that belongs there: one
#: is for this server, even if it is not written well enough to be taken.
_KEY_SCHEME = re.compile(r"\W*key\b", re.IGNORECASE)

#: characters of the names of headers that are remembered
_USUAL = 64

T = TypeVar("T")


def answered(headers: MultiMapping[str], mount: str) -> Iterator[tuple[str, str]]:
    """The headers of an answer of the app's that may pass."""
    named = _named_in_connection(headers)
    for name, value in headers.items():
        folded = _folded(name)
        if folded in _KEPT_BACK or (named and name.upper() in named):
            continue
        text = printable(value)
        if folded == "SET_COOKIE":
            text = _below(mount, text)
            if not text:
                continue
        yield name, text


def kept_back(headers: MultiMapping[str], mount: str) -> Iterator[tuple[str, str]]:
    """The names of the headers that `answered` leaves out or changes, and why."""
    named = _named_in_connection(headers)
    for name, value in headers.items():
        folded = _folded(name)
        if why := _KEPT_BACK.get(folded) or _why_named(name, named):
            yield name, why
        elif folded == "SET_COOKIE":
            text = _below(mount, printable(value))
            if not text:
                yield name, "poses as the session of a server such as this"
            elif text != printable(value):
                yield name, "confined to the content's own path"


def from_visitor(headers: MultiMapping[str], *, signed: bool) -> list[tuple[str, str]]:
    """The visitor's headers that may pass, cookies joined into one as HTTP/1.1 has it.

    `signed` says that headers of a signature are for this server, and not for the app.
    """
    named = _named_in_connection(headers)
    passed = []
    cookies = []
    for name, value in headers.items():
        if _why_dropped(name, value, named, signed):
            continue
        if _folded(name) == "COOKIE":
            cookies.append(value)
        else:
            passed.append((name, value))
    if cookies and (cookie := without_session("; ".join(cookies))):
        passed.append(("Cookie", cookie))
    return passed


def dropped(headers: MultiMapping[str], *, signed: bool) -> Iterator[tuple[str, str]]:
    """The names of the headers that `from_visitor` leaves out or changes, and why."""
    named = _named_in_connection(headers)
    for name, value in headers.items():
        if why := _why_dropped(name, value, named, signed):
            yield name, why
        elif _folded(name) == "COOKIE" and is_with_session(value):
            yield name, "less the session of a server such as this"


def _why_dropped(name: str, value: str, named: set[str], signed: bool) -> str:
    """Why a header of the visitor's does not reach the app; empty for one that does."""
    if why := _why_ours(name):
        return why
    if named and name.upper() in named:
        return _why_named(name, named)
    folded = _folded(name)
    if folded in _KEY_HEADERS and _KEY_SCHEME.match(value):
        return "the visitor's API key is for the server"
    if signed and folded in _TOKEN_HEADERS:
        return "the visitor's signature is for the server"
    return ""


def _why_named(name: str, named: set[str]) -> str:
    return "of this connection only, as Connection says" if name.upper() in named else ""


def _remembered(function: Callable[[str], T]) -> Callable[[str], T]:
    """What a function makes of the names of headers, of which there are few; long ones are odd."""
    known = lru_cache(maxsize=1024)(function)

    @wraps(function)
    def remembering(name: str) -> T:
        return known(name) if len(name) <= _USUAL else function(name)

    return remembering


@_remembered
def _folded(name: str) -> str:
    """A header's name as WSGI folds it."""
    return name.upper().replace("-", "_")


@_remembered
def _why_ours(name: str) -> str:
    """Why a header of that name is never the visitor's to send; empty where it may be."""
    folded = _folded(name)
    if "_" in name:
        return "WSGI cannot tell an underscore from a hyphen"
    if folded in _FRAMING:
        return "how the body is framed is said anew"
    if folded in _HOP_BY_HOP:
        return "of this connection only"
    return "only the server says this" if _DECIDED_HERE.fullmatch(folded) else ""


@lru_cache(maxsize=1024)
def place(base: str, guid: str, mount: str, address: str, port: str) -> tuple[tuple[str, str], ...]:
    """What the process gets to know of where it is, and of where its client is."""
    origin = URL(base)
    environ = {
        "SCRIPT_NAME": mount,
        "SERVER_NAME": origin.host,
        "SERVER_PORT": str(origin.port),
        "REMOTE_ADDR": address,
        "REMOTE_HOST": address,
        "REMOTE_PORT": port,
        "wsgi.url_scheme": origin.scheme,
    }
    return (
        ("Host", base.partition("//")[2]),
        ("RStudio-Connect-App-Base-URL", f"{base}/content/{guid}"),
        (ENVIRON_HEADER, json.dumps(environ)),
    )


def for_handshake(headers: list[tuple[str, str]]) -> CIMultiDict[str]:
    """The same for the handshake of a WebSocket, which aiohttp's client writes.

    It makes headers of its own for that. It takes two names that differ in case for two headers
    and keeps the last. And it writes text as UTF-8, so headers whose bytes are not UTF-8 go by
    another way, as WSGI has them.
    """
    written: CIMultiDict[str] = CIMultiDict()
    for name, value in headers:
        if _folded(name) not in websockets.HANDSHAKE:
            written.add(name.lower(), value)
    undecoded = {name for name, value in written.items() if printable(value) != value}
    environ = {
        "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}": (
            ", ".join(written.popall(name)).encode("utf-8", "surrogateescape").decode("latin-1")
        )
        for name in undecoded
    }
    written[ENVIRON_HEADER] = json.dumps({**environ, **json.loads(written[ENVIRON_HEADER])})
    return written


def _named_in_connection(headers: MultiMapping[str]) -> set[str]:
    """Further headers that are of this connection only, in upper case."""
    if "Connection" not in headers:
        return set()
    return {
        name.strip().upper() for value in headers.getall("Connection") for name in value.split(",")
    }


def _below(mount: str, cookie: str) -> str:
    """A `Set-Cookie` that reaches the content only: its path is the mount or lies below it.

    Empty for a cookie that poses as the session of a server such as this.
    """
    pair, *attributes = (part.strip() for part in cookie.split(";"))
    # a browser sends a cookie with no name, `=x=y`, back as `x=y`
    if is_session(pair.lstrip("= \t").partition("=")[0].strip()):
        return ""
    path = f"{mount}/"
    kept = []
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        if name.strip().lower() == "path":
            path = value.strip() if value.strip().startswith(f"{mount}/") else f"{mount}/"
        elif name.strip().lower() != "domain":
            kept.append(attribute)
    return "; ".join((pair, f"Path={path}", *kept))


def printable(value: str) -> str:
    """A header's text as UTF-8: bytes that are not UTF-8 are read as Latin-1, as HTTP has it."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value
