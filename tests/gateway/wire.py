"""HTTP as bytes, for what no well-behaved client would send."""

import json
import socket
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Self

#: seconds that an answer may take
PATIENCE = 20


@dataclass(frozen=True)
class Answer:
    """One answer as it came. `headers` are as they stand, in order, names in lower case."""

    status: int
    reason: str
    headers: list[tuple[str, bytes]]
    body: bytes
    #: the statuses that came before the final one, such as 100
    interim: list[int] = field(default_factory=list)

    def all(self, name: str) -> list[bytes]:
        """The values of every header of that name."""
        return [value for known, value in self.headers if known == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The words of a refusal in the one shape that refusals have."""
        assert set(self.json) == {"code", "error"}, self.body
        return str(self.json["error"])


class Wire:
    """One connection to a server, to which anything can be written."""

    def __init__(self, url: str) -> None:
        host, _, port = url.partition("//")[2].rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.file: BinaryIO = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def answer(self, *, head: bool = False) -> Answer:
        """Read one answer to its end; `head` says that the request was a HEAD."""
        interim = []
        while True:
            status, reason, headers = self._start()
            if status >= 200 or status == 101:
                break
            interim.append(status)
        body = b"" if head or status in (204, 304) else self._body(headers)
        return Answer(status, reason, headers, body, interim)

    def start(self) -> int:
        """The status of the next answer, final or not; its headers are read and dropped."""
        return self._start()[0]

    @property
    def ended(self) -> bool:
        """Whether the server closes the connection without a further byte."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def _start(self) -> tuple[int, str, list[tuple[str, bytes]]]:
        line = self.file.readline().decode("latin-1")
        if not line:
            raise ConnectionError("The server closed the connection without an answer.")
        version, status, reason = line.rstrip("\r\n").split(" ", 2)
        assert version == "HTTP/1.1" or version == "HTTP/1.0", line
        headers = []
        while (header := self.file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = header.partition(b":")
            headers.append((name.decode("latin-1").lower(), value.strip()))
        return int(status), reason, headers

    def _body(self, headers: list[tuple[str, bytes]]) -> bytes:
        values = dict(headers)
        if values.get("transfer-encoding", b"").lower() == b"chunked":
            return b"".join(self._chunks())
        if "content-length" in values:
            size = int(values["content-length"])
            body = self.file.read(size)
            if len(body) != size:
                raise ConnectionError(f"The answer ended after {len(body)} of {size} bytes.")
            return body
        return self.file.read()

    def _chunks(self) -> list[bytes]:
        chunks = []
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("The answer ended in the middle of its chunks.")
            size = int(line.split(b";")[0], 16)
            chunks.append(self.file.read(size))
            self.file.readline()
            if not size:
                return chunks


def exchange(url: str, request: bytes, *, head: bool = False) -> Answer:
    """Send these bytes on a connection of their own; the first answer."""
    with Wire(url) as wire:
        wire.send(request)
        return wire.answer(head=head)
