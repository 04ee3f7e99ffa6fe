"""How the server bears many content items: at rest, in a list, and when one more is deployed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

from benchmarks.load import load
from benchmarks.measure import (
    Curves,
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
from tests.deployed import Content
from tests.publishing import archive_of, create
from tests.servers import LocalConnect, running_server

HOW = """
Servers side by side, from a small one to a large one. Every deployed content of the first and the
last has had its process, which has ended for want of visitors, before memory is read, so what is
left is what idle content costs. The other content items are made without a bundle. The list is
`GET v1/content` of all items as an administrator gets it; a deployment is a new bundle of a small
app, environment cached, to its activation; a request to content goes to that app, whose process
runs.
"""

APP = b"""
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

#: seconds that idle processes may take to end
PATIENCE = 60


def measure(scale: Scale, work: Path, _shared: LocalConnect) -> Family:
    few, *more = scale.items
    bundle = archive_of({"app.py": APP})
    with ExitStack() as stack:
        servers = {
            count: stack.enter_context(running_server(work / f"items-{count}"))
            for count in scale.items
        }
        deployed = {scale.items[0]: scale.few_deployed, scale.items[-1]: scale.many_deployed}
        for count, number in deployed.items():
            _deploy(servers[count], number, bundle)
        figures = _memory(servers, deployed) if can_measure() else []
        for count, server in servers.items():
            for number in range(deployed.get(count, 0), count):
                progress(f"many contents: {number} of {count}")
                create(server)
        one_more = {
            count: create(server, idle_timeout=3600, access_type="all")
            for count, server in servers.items()
        }
        for content in one_more.values():
            redeploy(content, bundle)
        lists = side_by_side(
            "list", scale, {str(count): partial(_list, servers[count]) for count in scale.items}
        )
        deployments = side_by_side(
            "a deployment among others",
            scale,
            {
                str(count): partial(seconds, partial(redeploy, content, bundle))
                for count, content in one_more.items()
            },
        )
        requests = side_by_side(
            "a request among others",
            scale,
            {
                str(count): partial(_ask, content, scale.seconds)
                for count, content in one_more.items()
            },
        )
    for less, count in pairwise(scale.items):
        figures.append(
            ratio(
                f"GET v1/content of {count:,} items over {less:,}, divided by {count / less:g}",
                lists[str(count)],
                lists[str(less)],
                Target("≤", 1),
                by=count / less,
            )
        )
    for what, found, limit in (
        ("a deployment", deployments, 1.2),
        ("a request to content", requests, 1.1),
    ):
        figures += [
            ratio(
                f"{what} among {count:,} items, over one among {few}",
                found[str(count)],
                found[str(few)],
                Target("≤", limit),
            )
            for count in more
        ]
    for count in scale.items:
        figures += [
            Figure(f"GET v1/content of {count:,} items", "ms", per_1000(lists[str(count)])),
            Figure(f"a deployment among {count:,} items", "ms", per_1000(deployments[str(count)])),
            Figure(
                f"a request to content among {count:,} items", "ms", per_1000(requests[str(count)])
            ),
        ]
    curves = Curves(
        "contents",
        "As contents become more",
        "content items on the server",
        "milliseconds",
        {
            what: {float(count): per_1000(found[str(count)]) for count in scale.items}
            for what, found in (
                ("GET v1/content of all", lists),
                ("a deployment", deployments),
                ("a request to one", requests),
            )
        },
    )
    missing = () if can_measure() else (NOT_HERE,)
    return Family("Many contents", HOW, tuple(figures), missing, (curves,))


def _memory(servers: dict[int, LocalConnect], deployed: dict[int, int]) -> list[Figure]:
    """What idle content costs, on the servers that have some."""
    held = {number: _idle_memory(servers[count]) for count, number in deployed.items()}
    (few, less), (many, more) = held.items()
    return [
        Figure(
            f"memory of the server with {many} idle contents, over {few}",
            "",
            (more / less,),
            Target("≤", 1.1),
        ),
        *(
            Figure(f"memory with {number} idle contents", "MiB", (size / MIB,))
            for number, size in held.items()
        ),
    ]


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


def _ask(content: Content, time: float) -> float:
    """Seconds of a request to the content, one after the other, at the median."""
    here = ("127.0.0.1", content.server.client.base_url.port or 80)
    return load(here, content.path, time, connections=1).p50
