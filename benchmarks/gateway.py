"""What the gateway costs: the same content, straight and through it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.load import CONNECTIONS, Load, load
from benchmarks.measure import Family, Figure, Scale, Target, per_1000, ratio, side_by_side
from benchmarks.memory import NOT_HERE, can_measure, processor_seconds
from benchmarks.servers import bare, load_content, nginx, publish, serving, socket_of
from tests.catalogue import EXAMPLES
from tests.deployed import Content
from tests.servers import LocalConnect, running_server

#: what the gallery serves: a list of greetings
LISTED = next(example for example in EXAMPLES if example.has("list"))

HOW = f"""
Two contents, each deployed, open to everyone, and with one process: bare Flask with one route that
answers a few bytes, so all that a proxy costs shows, and the list of {LISTED.directory}.
{CONNECTIONS} connections that stay open ask without a pause: straight at the process's Unix socket,
through the gateway, and for bare Flask through nginx (one worker) in front of the same socket. The
load comes from the benchmark's own generator on all ways, as content processes listen on
Unix sockets only, which wrk does not speak. Delays are those of the requests of the same loads, so
at 16 connections a delay is 16 requests' worth of work. All processes share the machine's cores:
what the gateway takes of them, the content does not have. The ratio can come out above 1: it is
likely that a generator which sleeps between answers costs the process more to wake than a gateway
that is busy, and which process is on which core moves a round by a third, too. The gateway's
processor time is what stays the same when others use the machine. What it takes to record requests
is that of two servers, one of them with `--no-requests`.
"""


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    content = publish(server, bare(work / "gateway"), max_processes=1)
    with ExitStack() as stack:
        at = work / "nginx.sock"
        command, missing = nginx(work / "nginx", at, socket_of(content))
        ways: dict[str, Callable[[], Load]] = {}
        if command:
            stack.enter_context(serving(command, work, at))
            mount = content.path.removesuffix("/")
            ways["nginx"] = partial(load_content, at, "/", scale.seconds, mount=mount)
        figures = _compare("bare Flask", scale, content, "", ways, scale.rounds)
    listed = publish(server, LISTED.path, max_processes=1)
    figures += _compare(
        LISTED.directory, scale, listed, LISTED.list or "", {}, min(scale.rounds, 3)
    )
    if can_measure():
        figures.append(_recording(scale, work, content))
    reasons = (missing, "" if can_measure() else NOT_HERE)
    return Family("The gateway", HOW, tuple(figures), tuple(filter(None, reasons)))


def _compare(
    name: str,
    scale: Scale,
    content: Content,
    path: str,
    others: dict[str, Callable[[], Load]],
    rounds: int,
) -> list[Figure]:
    """One content: straight, through the gateway, and by other ways."""
    server = content.server
    here = ("127.0.0.1", server.client.base_url.port or 80)
    mount = content.path.removesuffix("/")
    worked: list[float] = []

    def through_gateway() -> Load:
        before = processor_seconds(server.process.pid) if can_measure() else 0.0
        found = load(here, content.path + path, scale.seconds)
        if can_measure():
            took = processor_seconds(server.process.pid) - before
            worked.append(1000 * took / found.requests)
        return found

    upstream = socket_of(content)
    ways: dict[str, Callable[[], Load]] = {
        "straight": partial(load_content, upstream, f"/{path}", scale.seconds, mount=mount),
        "gateway": through_gateway,
        **others,
    }
    for ask in ways.values():
        ask()
    worked.clear()
    found = side_by_side(f"gateway, {name}", rounds, ways)
    rates = {way: tuple(one.requests_per_second for one in found[way]) for way in found}
    straight, through = found["straight"], found["gateway"]
    figures = [
        ratio(
            f"{name}: requests/s through the gateway, over straight",
            rates["gateway"],
            rates["straight"],
            Target("≥", 0.9),
        ),
        Figure(
            f"{name}: delay added at the median",
            "ms",
            _added(through, straight, "p50"),
            Target("≤", 1),
        ),
        Figure(
            f"{name}: delay added at the 99th percentile",
            "ms",
            _added(through, straight, "p99"),
            Target("≤", 5),
        ),
    ]
    for way in others:
        figures += [
            ratio(
                f"{name}: requests/s through {way}, over straight", rates[way], rates["straight"]
            ),
            Figure(
                f"{name}: delay that {way} adds at the median",
                "ms",
                _added(found[way], straight, "p50"),
            ),
        ]
    if worked:
        figures.append(
            Figure(f"{name}: processor time of the gateway for a request", "ms", tuple(worked))
        )
    return figures + [
        Figure(f"{name}: {way}", "requests/s", values) for way, values in rates.items()
    ]


def _recording(scale: Scale, work: Path, recorded: Content) -> Figure:
    """What it costs to keep the last requests: a server that does, and one that does not."""
    with running_server(work / "unrecorded", "--no-requests") as server:
        contents = {
            "recorded": recorded,
            "not recorded": publish(server, bare(work / "unrecorded-app"), max_processes=1),
        }

        def worked(content: Content) -> float:
            """The processor time of the gateway for a request."""
            here = ("127.0.0.1", content.server.client.base_url.port or 80)
            before = processor_seconds(content.server.process.pid)
            found = load(here, content.path, scale.seconds)
            return (processor_seconds(content.server.process.pid) - before) / found.requests

        for content in contents.values():
            worked(content)
        ways = {name: partial(worked, content) for name, content in contents.items()}
        found = side_by_side("gateway, recording", scale.rounds, ways)
    return ratio(
        "bare Flask: processor time of the gateway, with requests recorded over without",
        found["recorded"],
        found["not recorded"],
        Target("≤", 1.05),
    )


def _added(through: tuple[Load, ...], straight: tuple[Load, ...], part: str) -> tuple[float, ...]:
    """Milliseconds that each round's requests took longer."""
    return per_1000(
        tuple(
            getattr(one, part) - getattr(other, part)
            for one, other in zip(through, straight, strict=True)
        )
    )
