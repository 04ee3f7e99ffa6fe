"""HTTP/1.1 by hand: sends any bytes, and takes only well-formed answers back."""

import json
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

#: a refusal repeats the version that it refuses
_STATUS_LINE = re.compile(rb"HTTP/(?:1\.[01] ([1-9]\d\d)|\d\.\d (400)) [\t\x20-\x7e\x80-\xff]*")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")

#: seconds in which a server answers
PATIENCE = 10.0


class NotHttp(AssertionError):
    """The server sent something that is not an answer."""


class Silent(AssertionError):
    """The server sent nothing, or not all, and did not close the connection either."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def refuses_connection(self) -> bool:
        """Whether the server could not read what came, and so says no more on this connection."""
        return self.status == 400 and self.headers.get(b"content-type", b"")[:10] == b"text/plain"

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One connection to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._ended = False

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it, or as much as the server will have before it closes."""
        with suppress(ConnectionError):
            self._socket.sendall(data)

    def answer(self, method: bytes = b"GET", *, patience: float = PATIENCE) -> Answer | None:
        """The next final answer, to a request with this method; None where there is no more."""
        until = time.monotonic() + patience
        while True:
            head = self._head(until)
            if head is None:
                return None
            status, headers = head
            if status >= 200:
                return Answer(status, headers, self._body(method, status, headers, until))

    def _head(self, until: float) -> tuple[int, dict[bytes, bytes]] | None:
        while b"\r\n\r\n" not in self._received:
            if not self._more(until):
                if self._received:
                    raise NotHttp(f"half an answer: {self._received!r}")
                return None
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        status = _STATUS_LINE.fullmatch(status_line)
        if not status:
            raise NotHttp(f"not a status line: {status_line!r}")
        headers: dict[bytes, bytes] = {}
        for line in lines:
            header = _HEADER.fullmatch(line)
            if not header:
                raise NotHttp(f"not a header: {line!r}")
            name = header[1].lower()
            if name in headers and name in (b"content-length", b"transfer-encoding"):
                raise NotHttp(f"twice: {line!r}")
            headers[name] = header[2]
        return int(status[1] or status[2]), headers

    def _body(self, method: bytes, status: int, headers: dict[bytes, bytes], until: float) -> bytes:
        length = headers.get(b"content-length")
        if length is not None and not re.fullmatch(rb"\d{1,18}", length):
            raise NotHttp(f"not a length: {length!r}")
        if method == b"HEAD" or status in (204, 304):
            return b""
        if coding := headers.get(b"transfer-encoding"):
            if coding != b"chunked" or length is not None:
                raise NotHttp(f"framing of the answer: {headers}")
            return self._chunks(until)
        if length is not None:
            return self._take(int(length), until)
        while self._more(until):
            pass
        body, self._received = self._received, b""
        return body

    def _chunks(self, until: float) -> bytes:
        body = b""
        while True:
            line = self._line(until)
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
                raise NotHttp(f"not the size of a chunk: {line!r}")
            size = int(line, 16)
            body += self._take(size, until)
            if end := self._line(until):
                raise NotHttp(f"not the end of a chunk: {end!r}")
            if not size:
                return body

    def _line(self, until: float) -> bytes:
        while b"\r\n" not in self._received:
            if not self._more(until):
                raise NotHttp(f"the answer ends early: {self._received!r}")
        line, _, self._received = self._received.partition(b"\r\n")
        return line

    def _take(self, size: int, until: float) -> bytes:
        while len(self._received) < size:
            if not self._more(until):
                raise NotHttp(f"the answer ends early: {self._received!r}")
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def _more(self, until: float) -> bool:
        """Wait for more from the server; False at its end."""
        if self._ended:
            return False
        self._socket.settimeout(max(0.001, until - time.monotonic()))
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        except TimeoutError:
            raise Silent(f"no end of the answer: {self._received!r}") from None
        self._received += data
        self._ended = not data
        return bool(data)
