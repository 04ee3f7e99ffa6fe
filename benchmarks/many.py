"""How the server bears many content items: at rest, in a list, and when one more is deployed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.measure import (
    Family,
    Figure,
    Scale,
    Target,
    per_1000,
    ratio,
    seconds,
    side_by_side,
)
from benchmarks.memory import MIB, NOT_HERE, can_measure, resident
from benchmarks.servers import redeploy
from local_connect.log import progress
from tests.publishing import archive_of, create
from tests.servers import LocalConnect, running_server

HOW = """
Two servers side by side, a small one and a large one. Every deployed content has had its process,
which has ended for want of visitors, before memory is read, so what is left is what idle content
costs. The other content items are made without a bundle. The list is `GET v1/content` of all items
as an administrator gets it; a deployment is a new bundle of a small app, environment cached, to its
activation.
"""

APP = b"""
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

#: seconds that idle processes may take to end
PATIENCE = 60


def measure(scale: Scale, work: Path, _shared: LocalConnect) -> Family:
    with running_server(work / "few") as small, running_server(work / "many") as large:
        bundle = archive_of({"app.py": APP})
        pairs = ((small, scale.few_deployed, scale.few), (large, scale.many_deployed, scale.many))
        for server, deployed, _ in pairs:
            _deploy(server, deployed, bundle)
        memory = [_idle_memory(server) for server, _, _ in pairs] if can_measure() else []
        for server, deployed, count in pairs:
            for number in range(deployed, count):
                progress(f"many contents: {number} of {count}")
                create(server)
        one_more = {server: create(server, idle_timeout=1) for server, _, _ in pairs}
        for content in one_more.values():
            redeploy(content, bundle)
        lists = side_by_side(
            "list", scale.rounds, {"few": partial(_list, small), "many": partial(_list, large)}
        )
        deployments = side_by_side(
            "a deployment among others",
            2 * scale.rounds,
            {
                "few": partial(seconds, partial(redeploy, one_more[small], bundle)),
                "many": partial(seconds, partial(redeploy, one_more[large], bundle)),
            },
        )
    growth = scale.many / scale.few
    figures = [
        ratio(
            f"GET v1/content of {scale.many:,} items over {scale.few}, divided by {growth:g}",
            lists["many"],
            lists["few"],
            Target("≤", 1),
            by=growth,
        ),
        ratio(
            f"a deployment among {scale.many:,} items, over one among {scale.few}",
            deployments["many"],
            deployments["few"],
            Target("≤", 1.2),
        ),
        Figure(f"GET v1/content of {scale.few} items", "ms", per_1000(lists["few"])),
        Figure(f"GET v1/content of {scale.many:,} items", "ms", per_1000(lists["many"])),
        Figure(f"a deployment among {scale.few} items", "ms", per_1000(deployments["few"])),
        Figure(f"a deployment among {scale.many:,} items", "ms", per_1000(deployments["many"])),
    ]
    if memory:
        few, many = memory
        counts = (scale.few_deployed, scale.many_deployed)
        figures = [
            Figure(
                f"memory of the server with {counts[1]} idle contents, over {counts[0]}",
                "",
                (many / few,),
                Target("≤", 1.2),
            ),
            *figures,
            Figure(f"memory with {counts[0]} idle contents", "MiB", (few / MIB,)),
            Figure(f"memory with {counts[1]} idle contents", "MiB", (many / MIB,)),
        ]
    return Family("Many contents", HOW, tuple(figures), () if memory else (NOT_HERE,))


def _deploy(server: LocalConnect, count: int, bundle: bytes) -> None:
    """Deploy so many contents whose processes end soon."""

    def publish(number: int) -> None:
        progress(f"many contents: {number} of {count} deployed")
        redeploy(create(server, idle_timeout=1), bundle)

    publish(0)
    with ThreadPoolExecutor(2) as publishers:
        list(publishers.map(publish, range(1, count)))


def _idle_memory(server: LocalConnect) -> int:
    """Bytes that the server holds once no content has a process."""
    deadline = time.monotonic() + PATIENCE
    while list((server.data / "sockets").resolve().iterdir()):
        if time.monotonic() > deadline:
            raise RuntimeError("A process of idle content does not end.")
        time.sleep(0.1)
    return resident(server.process.pid)


def _list(server: LocalConnect) -> float:
    def get() -> None:
        server.get("/__api__/v1/content", user="admin").raise_for_status()

    return seconds(get)
