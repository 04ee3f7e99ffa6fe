"""Sends the same request over and over on a few connections, by TCP or to a Unix socket.

One generator for both sides of every comparison: content processes listen on Unix sockets,
which the usual tools do not speak. What it takes of the processor, they do not have, so it does
little more than to send, to receive and to compare.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 16

#: a host and port, or a Unix socket
Address = tuple[str, int] | Path

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

#: bytes received at a time
_PIECE = 1 << 16

#: seconds that an answer may take
_PATIENCE = 60.0


@dataclass(frozen=True)
class Load:
    """What a load of some seconds came to."""

    requests: int
    requests_per_second: float
    #: seconds within which half, and 99 of 100 requests, were answered
    p50: float
    p99: float


def by_rate(one: Load, other: Load) -> float:
    """How many requests one load had answered for each of another's."""
    return one.requests_per_second / other.requests_per_second


def load(
    address: Address,
    path: str,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    *,
    connections: int = CONNECTIONS,
) -> Load:
    """Ask for the path on every connection as soon as the last answer is whole.

    Raises `RuntimeError` for an answer that is not a 200 of known length.
    """
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    request = "\r\n".join((*lines, "", "")).encode()
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        visitors = [_Visitor(stack.enter_context(connect(address))) for _ in range(connections)]
        for visitor in visitors:
            selector.register(visitor.socket, selectors.EVENT_READ, visitor)
        begun = time.perf_counter()
        delays = sorted(_ask(selector, visitors, request, begun + seconds))
        elapsed = time.perf_counter() - begun
    return Load(
        len(delays),
        len(delays) / elapsed,
        delays[len(delays) // 2],
        delays[len(delays) * 99 // 100],
    )


class _Visitor:
    """One connection, and what has come of its answer."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.asked = 0.0
        self.answer = b""


def connect(address: Address) -> socket.socket:
    """A new connection; raises `OSError` where nobody listens."""
    if isinstance(address, Path):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(address))
        return connection
    connection = socket.create_connection(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _ask(
    selector: selectors.BaseSelector, visitors: list[_Visitor], request: bytes, deadline: float
) -> list[float]:
    """How long each answer took: at least one a connection, then until the deadline."""
    delays = []
    waiting = len(visitors)
    end: bytes | None = None
    for visitor in visitors:
        visitor.asked = time.perf_counter()
        visitor.socket.sendall(request)
    while waiting:
        ready = selector.select(_PATIENCE)
        if not ready:
            raise RuntimeError(f"No answer came within {_PATIENCE:.0f} seconds.")
        for key, _ in ready:
            visitor = key.data
            piece = visitor.socket.recv(_PIECE)
            if not piece:
                raise RuntimeError("The server closed a connection under load.")
            visitor.answer += piece
            # answers are alike, so one that ends like the last needs no closer look
            if end is None or not (
                visitor.answer.startswith(b"HTTP/1.1 200 ") and visitor.answer.endswith(end)
            ):
                body = _body(visitor.answer)
                if body is None:
                    continue
                end = b"\r\n\r\n" + body
            now = time.perf_counter()
            delays.append(now - visitor.asked)
            if now < deadline:
                visitor.answer = b""
                visitor.asked = now
                visitor.socket.sendall(request)
            else:
                selector.unregister(visitor.socket)
                waiting -= 1
    return delays


def _body(answer: bytes) -> bytes | None:
    """The body of an answer that is whole; None as long as it is not."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    length = _LENGTH.search(head + b"\r\n")
    if not length or not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
        raise RuntimeError(f"An answer that cannot be counted: {head.decode('latin-1')}")
    return body if len(body) >= int(length[1]) else None
