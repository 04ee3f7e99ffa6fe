"""The strict reading of what a client sends: where each request ends, by RFC 9112.

It is written against the standard and not against any server, for the tests to hold a
server to: whatever it runs must be a request in this reading, or be none.
"""

import re
from dataclasses import dataclass

# more than one space may be read as one (RFC 9112, 3)
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([\x21-\x7e]+) +HTTP/(\d)\.(\d)")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
#: its extensions without the white space that a recipient may refuse (RFC 9112, 7.1.1)
_CHUNK = re.compile(
    rb"""([0-9A-Fa-f]{1,15})(?:;(?!$)[!#$%&'*+.^_`|~0-9A-Za-z-]*"""
    rb"""(?:=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]*|"(?:\\.|[\t\x20!\x23-\x5b\x5d-\x7e\x80-\xff])*"))?)*"""
)


class Malformed(Exception):
    """The bytes from here on are no request."""


class Incomplete(Exception):
    """The bytes end before the request does."""


@dataclass(frozen=True)
class Request:
    method: bytes
    target: bytes
    version: tuple[int, int]
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def path(self) -> bytes:
        return re.split(rb"[?#]", self.target, maxsplit=1)[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"#")[0].partition(b"?")[2]

    def values(self, name: bytes) -> list[bytes]:
        return [value for known, value in self.headers if known.lower() == name.lower()]


@dataclass(frozen=True)
class Reading:
    """What a stream of bytes says, and what is the matter where it stops saying it."""

    requests: list[Request]
    fault: Malformed | Incomplete | None


def read(stream: bytes) -> Reading:
    requests: list[Request] = []
    reader = _Reader(stream)
    while not reader.at_end:
        try:
            requests.append(reader.request())
            if requests[-1].version < (1, 1) and requests[-1].values(b"transfer-encoding"):
                raise Malformed("nothing can follow it safely (RFC 9112, 6.1)")
        except (Malformed, Incomplete) as fault:
            return Reading(requests, fault)
    return Reading(requests, None)


class _Reader:
    def __init__(self, stream: bytes) -> None:
        self._rest = stream

    @property
    def at_end(self) -> bool:
        # empty lines before a request are passed over, however they end
        self._rest = self._rest.lstrip(b"\r\n")
        return not self._rest

    def request(self) -> Request:
        line = _REQUEST_LINE.fullmatch(self._line())
        if not line or line[3] != b"1":
            raise Malformed("request line")
        version = int(line[3]), int(line[4])
        headers = self._headers()
        return Request(line[1], line[2], version, headers, self._body(headers))

    def _body(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        lengths = [value for name, value in headers if name.lower() == b"content-length"]
        if any(name.lower() == b"transfer-encoding" for name, _ in headers):
            codings = _elements(headers, b"transfer-encoding")
            if lengths or codings not in ([], [b"chunked"]):
                raise Malformed("transfer coding")
            return self._chunks() if codings else b""
        if not lengths:
            return b""
        # the same length may be said twice (RFC 9110, 8.6)
        if len({*lengths}) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            raise Malformed("content length")
        return self._take(int(lengths[0]))

    def _chunks(self) -> bytes:
        body = b""
        while True:
            chunk = _CHUNK.fullmatch(self._line())
            if not chunk:
                raise Malformed("size of a chunk")
            size = int(chunk[1], 16)
            if not size:
                self._headers()
                return body
            body += self._take(size)
            if self._take(2) != b"\r\n":
                raise Malformed("end of a chunk")

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = []
        while line := self._line():
            header = _HEADER.fullmatch(line)
            if not header:
                raise Malformed("header")
            headers.append((header[1], header[2]))
        return headers

    def _line(self) -> bytes:
        line, end, rest = self._rest.partition(b"\n")
        if not end:
            raise Incomplete("a line")
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise Malformed("end of a line")
        self._rest = rest
        return line[:-1]

    def _take(self, size: int) -> bytes:
        if len(self._rest) < size:
            raise Incomplete("a body")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _elements(headers: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The elements of a list, in one header or in several; empty ones do not count."""
    values = b",".join(value for known, value in headers if known.lower() == name)
    return [element.strip().lower() for element in values.split(b",") if element.strip()]
