"""Machines that are joined by a network, on this one: Linux' network namespaces, and links between.

What is started with a machine's `enter` in front of its command has that machine's network and no
other; its files are those of this machine, and so are Unix sockets.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from scripts.services.keeper import kept

#: where what all machines need is: the one in the middle
ADDRESS = "10.0.0.1"

#: where administrators' programs are, which is not on everybody's PATH
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

#: opens a port for whoever holds the other end of its standard input
LISTEN = f"""
import socket
with socket.create_server(("{ADDRESS}", 0)) as listener:
    socket.send_fds(socket.socket(fileno=0), [b"-"], [listener.fileno()])
"""


@cache
def missing() -> str | None:
    """Why there can be none here, and what to do about it; None where there can."""
    try:
        with network(1):
            return None
    except (OSError, subprocess.CalledProcessError):
        return (
            "Networks of their own need Linux, ip, and a user who may have namespaces. What brings "
            "them: apt install iproute2; sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )


class Machine:
    """One that is connected with the one in the middle, unless it is cut off."""

    def __init__(self, middle: "Middle", number: int, pid: int) -> None:
        self.enter = entering(pid)
        self._middle = middle
        self._link = f"link{number}"
        middle.ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", pid)
        middle.ip("address", "add", f"10.0.{number}.1/24", "dev", self._link)
        middle.ip("link", "set", self._link, "up")
        for command in (
            f"address add 10.0.{number}.2/24 dev eth0",
            "link set eth0 up",
            f"route add {ADDRESS} dev eth0",
        ):
            run(self.enter, "ip", *command.split())

    def cut_off(self) -> None:
        """Take its link away; its connections are not closed, and say nothing more."""
        self._middle.ip("link", "set", self._link, "down")

    def come_back(self) -> None:
        self._middle.ip("link", "set", self._link, "up")


class Middle:
    """The machine at `ADDRESS`, to which all others are connected."""

    def __init__(self, pid: int) -> None:
        self.enter = entering(pid)
        self.ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: object) -> None:
        run(self.enter, "ip", *map(str, arguments))

    def listener(self) -> socket.socket:
        """A socket of this process that listens there, on a free port."""
        ours, its = socket.socketpair()
        with ours, its:
            subprocess.run(
                [*self.enter, sys.executable, "-I", "-c", LISTEN], stdin=its.fileno(), check=True
            )
            _, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=descriptor)


@contextmanager
def network(number: int) -> Iterator[tuple[Middle, list[Machine]]]:
    """So many machines around one in the middle, which go with whatever runs on them."""
    with ExitStack() as stack:

        def namespace(*command: str) -> int:
            """A process that has a network of its own, and does nothing."""
            pid = stack.enter_context(kept([*command, "sleep", "infinity"])).pid
            deadline = time.monotonic() + 10
            while Path(f"/proc/{pid}/comm").read_text("utf-8").strip() != "sleep":
                if time.monotonic() > deadline:
                    raise OSError("there is no namespace")
                time.sleep(0.01)
            return pid

        pid = namespace("unshare", "--map-root-user", "--net")
        middle = Middle(pid)
        # as the same user, who owns the one and so may join the others to it
        owner = ("nsenter", f"--target={pid}", "--user", "--preserve-credentials")
        machines = [
            Machine(middle, each, namespace(*owner, "unshare", "--net"))
            for each in range(1, number + 1)
        ]
        yield middle, machines


def entering(pid: int) -> list[str]:
    """What runs a command in the namespaces of a process."""
    return ["nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials"]


def run(enter: Sequence[str], program: str, *arguments: str) -> None:
    found = shutil.which(program, path=PATH)
    if found is None:
        raise OSError(f"there is no {program}")
    subprocess.run([*enter, found, *arguments], check=True, capture_output=True)
