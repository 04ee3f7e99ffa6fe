"""The server inside a content process, compared to waitress without our wrapping."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.load import CONNECTIONS, by_rate, load
from benchmarks.measure import Family, Figure, Scale, Target, ratio, side_by_side
from benchmarks.servers import (
    APPS,
    THREADS,
    bare,
    content_headers,
    load_content,
    peers,
    publish,
    serving,
    waitress,
)
from tests.servers import LocalConnect

HOW = f"""
Bare Flask in a content process, which waitress serves, and by `waitress-serve` alone, in the same
version: one process with {THREADS} threads that listens on a Unix socket, and {CONNECTIONS}
connections that stay open and ask without a pause. The content process is one that local Connect
has started; it is asked straight. Both get the headers that the gateway would send. So the ratio is
what our wrapping costs: the viewer's environ, the console at the root, and an answer for each
request whatever the app does.
"""


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    python = peers(work / "peers")
    content = publish(server, bare(work / "content-server"), max_processes=1)
    at = work / "waitress.sock"
    with serving(waitress(python, at), APPS, at):
        ways = {
            "content process": partial(load_content, content, "", scale.seconds),
            "waitress alone": partial(load, at, "/", scale.seconds, content_headers(content)),
        }
        for way in ways.values():
            way()
        found = side_by_side("content server", scale, ways, by_rate)
    rates = {way: tuple(one.requests_per_second for one in found[way]) for way in found}
    figures = (
        ratio(
            "requests/s of the content process, over waitress alone",
            rates["content process"],
            rates["waitress alone"],
            Target("≥", 0.9),
        ),
        *(Figure(way, "requests/s", values) for way, values in rates.items()),
    )
    return Family("The server of a content process", HOW, figures)
