"""The server inside a content process, beside others that serve WSGI."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.load import CONNECTIONS, load
from benchmarks.measure import Family, Figure, Scale, Target, ratio, side_by_side
from benchmarks.servers import (
    APPS,
    THREADS,
    bare,
    load_content,
    peer,
    peers,
    publish,
    serving,
    socket_of,
)
from tests.servers import LocalConnect

HOW = f"""
Bare Flask under each server: one process with {THREADS} threads that listens on a Unix socket, and
{CONNECTIONS} connections that stay open and ask without a pause. The content process is one that
local Connect has started; it is asked straight, and also gets the headers that the gateway would
send it.
"""

PEERS = ("waitress", "gunicorn", "granian")


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    python = peers(work / "peers")
    content = publish(server, bare(work / "content-server"), max_processes=1)
    mount = content.path.removesuffix("/")
    ours = partial(load_content, socket_of(content), "/", scale.seconds, mount=mount)
    with ExitStack() as stack:
        ways = {"content process": ours}
        for name in PEERS:
            at = work / f"{name}.sock"
            stack.enter_context(serving(peer(name, python, at), APPS, at))
            ways[name] = partial(load, at, "/", scale.seconds)
        for way in ways.values():
            way()
        found = side_by_side("content server", scale.rounds, ways)
    rates = {way: tuple(one.requests_per_second for one in found[way]) for way in found}
    figures = [
        ratio(
            "requests/s of the content process, over waitress",
            rates["content process"],
            rates["waitress"],
            Target("≥", 1.5),
        ),
        *(
            ratio(f"requests/s of {name}, over waitress", rates[name], rates["waitress"])
            for name in PEERS[1:]
        ),
        *(Figure(way, "requests/s", values) for way, values in rates.items()),
    ]
    return Family("The server of a content process", HOW, tuple(figures))
