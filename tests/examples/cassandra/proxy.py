"""Stands between an app and Cassandra: counts what is asked, and is slow or gone when told so.

It reads the frames of version 4 of Cassandra's protocol, which the example speaks.
"""

import socket
import threading
from collections import Counter
from contextlib import suppress

HEADER = 9

#: the kinds of frames that tests ask about
RESULT, PREPARE, EXECUTE, REGISTER = 0x08, 0x09, 0x0A, 0x0B

#: the first word of a result that has rows
ROWS = 2


class Proxy:
    """Listens on a port of its own, and passes on what comes to the node's `upstream` port."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.counted: Counter[int] = Counter()
        #: how many pages of more than a few rows may still pass; None for any number
        self.pages: int | None = None
        self.opened = threading.Event()
        self.opened.set()
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()
        self.away = True
        self.breaks = False
        self.listener = bound(0)
        self.port: int = self.listener.getsockname()[1]
        self.come_back()

    @property
    def variables(self) -> dict[str, str]:
        return {"CASSANDRA_CONTACT_POINTS": "127.0.0.1", "CASSANDRA_PORT": str(self.port)}

    def forget(self) -> None:
        """Count from nothing."""
        self.counted.clear()

    def hold(self, *, pages: int) -> None:
        """Let so many long pages pass, and hold back whatever comes from the node after them."""
        self.pages = pages

    def stall(self) -> None:
        """Hold back whatever comes from the node: it is slow."""
        self.opened.clear()

    def break_after(self, *, pages: int) -> None:
        """Let so many long pages pass, and then be away."""
        self.breaks = True
        self.pages = pages

    def leave(self) -> None:
        """Be away: end all connections, and refuse new ones."""
        with self.lock:
            if self.away:
                return
            self.away = True
            self._stop_listening()
            # it keeps the port, and does not listen
            self.listener = bound(self.port)
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        """Pass everything on again."""
        self.breaks = False
        self.pages = None
        self.opened.set()
        with self.lock:
            if self.away:
                self.away = False
                self.listener.listen()
                threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self) -> None:
        self.leave()
        self.opened.set()
        self.listener.close()

    def _stop_listening(self) -> None:
        # wakes whoever waits in accept
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                node = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                client.close()
                continue
            with self.lock:
                if self.away:
                    client.close()
                    node.close()
                    return
                self.connections |= {client, node}
            for source, sink, answers in ((client, node, False), (node, client, True)):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, answers), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError), source.makefile("rb") as frames:
            while len(header := frames.read(HEADER)) == HEADER:
                body = frames.read(int.from_bytes(header[5:]))
                kind = header[4]
                if answers:
                    self._wait_for_leave(kind, body)
                else:
                    self.counted[kind] += 1
                sink.sendall(header + body)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if answers:
            with self.lock:
                self.connections -= {source, sink}
            source.close()
            sink.close()

    def _wait_for_leave(self, kind: int, body: bytes) -> None:
        """Return when an answer may pass."""
        if self.pages is not None and is_long(kind, body):
            if self.pages:
                self.pages -= 1
            elif self.breaks:
                self.leave()
            else:
                self.stall()
        self.opened.wait()


def bound(port: int) -> socket.socket:
    """A socket with that port, or a free one for 0. Connections are refused until it listens."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    return found


def is_long(kind: int, body: bytes) -> bool:
    """Whether it is a page of many rows."""
    return kind == RESULT and int.from_bytes(body[:4]) == ROWS and len(body) > 10_000
