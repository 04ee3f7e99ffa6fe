"""Sends the same request over and over on a few connections, by TCP or to a Unix socket.

One generator for both sides of every comparison: content processes listen on Unix sockets,
which the usual tools do not speak.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 16

#: a host and port, or a Unix socket
Address = tuple[str, int] | Path

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What a load of some seconds came to."""

    requests: int
    requests_per_second: float
    #: seconds within which half, and 99 of 100 requests, were answered
    p50: float
    p99: float


def load(
    address: Address, path: str, seconds: float, headers: Mapping[str, str] | None = None
) -> Load:
    """Ask for the path on every connection as soon as the last answer is whole.

    Raises `RuntimeError` for an answer that is not a 200 of known length.
    """
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    request = "\r\n".join((*lines, "", "")).encode()
    return asyncio.run(_load(address, request, seconds))


async def _load(address: Address, request: bytes, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    deadline = time.perf_counter() + seconds
    visitors = []
    begun = time.perf_counter()
    for _ in range(CONNECTIONS):
        visitor = _Visitor(request, deadline, loop.create_future())
        visitors.append(visitor)
        if isinstance(address, Path):
            await loop.create_unix_connection(lambda v=visitor: v, str(address))  # type: ignore[misc]
        else:
            await loop.create_connection(lambda v=visitor: v, *address)  # type: ignore[misc]
    await asyncio.gather(*(visitor.done for visitor in visitors))
    elapsed = time.perf_counter() - begun
    delays = sorted(delay for visitor in visitors for delay in visitor.delays)
    return Load(
        len(delays),
        len(delays) / elapsed,
        delays[len(delays) // 2],
        delays[len(delays) * 99 // 100],
    )


class _Visitor(asyncio.Protocol):
    """One connection; at least one request, then until the deadline."""

    def __init__(self, request: bytes, deadline: float, done: asyncio.Future[None]) -> None:
        self.delays: list[float] = []
        self.done = done
        self._request = request
        self._deadline = deadline
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (it is of a stream)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head + b"\r\n")
        if not length or not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
            self._fail(f"An answer that cannot be counted: {head.decode('latin-1')}")
        elif len(body) >= int(length[1]):
            now = time.perf_counter()
            self.delays.append(now - self._asked)
            if now < self._deadline:
                self._ask()
            else:
                self._transport.close()
                self.done.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        self._fail("The server closed a connection under load.")

    def _ask(self) -> None:
        self._answer = b""
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def _fail(self, why: str) -> None:
        self._transport.close()
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))
