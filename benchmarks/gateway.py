"""What the gateway costs: the same content, straight and through it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.load import CONNECTIONS, Load, load
from benchmarks.measure import Family, Figure, Scale, Target, per_1000, ratios, side_by_side
from benchmarks.memory import NOT_HERE, can_measure, processor_seconds
from benchmarks.servers import bare, load_content, nginx, publish, serving, socket_of
from tests.servers import LocalConnect

HOW = f"""
The content is bare Flask with one route that answers a few bytes, so all that a proxy costs shows;
it is deployed, open to everyone, and has one process. {CONNECTIONS} connections that stay open ask
without a pause: straight at the process's Unix socket, through the gateway, and through nginx (one
worker) in front of the same socket. The load comes from the benchmark's own generator on all
three ways, as content processes listen on Unix sockets only, which wrk does not speak. Delays are
those of the requests of the same loads, so at 16 connections a delay is 16 requests' worth of work.
All processes share the machine's cores: what the gateway takes of them, the content does not have.
Its processor time is what stays the same when others use the machine, too.
"""


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    content = publish(server, bare(work / "gateway"), max_processes=1)
    with ExitStack() as stack:
        upstream = socket_of(content)
        mount = content.path.removesuffix("/")
        here = ("127.0.0.1", server.client.base_url.port or 80)
        worked: list[float] = []

        def through_gateway() -> Load:
            before = processor_seconds(server.process.pid) if can_measure() else 0.0
            found = load(here, content.path, scale.seconds)
            if can_measure():
                took = processor_seconds(server.process.pid) - before
                worked.append(1000 * took / found.requests)
            return found

        ways: dict[str, Callable[[], Load]] = {
            "straight": partial(load_content, upstream, "/", scale.seconds, mount=mount),
            "gateway": through_gateway,
        }
        at = work / "nginx.sock"
        command, missing = nginx(work / "nginx", at, upstream)
        if command:
            stack.enter_context(serving(command, work, at))
            ways["nginx"] = partial(load_content, at, "/", scale.seconds, mount=mount)
        for way in ways.values():
            way()
        worked.clear()
        found = side_by_side("gateway", scale.rounds, ways)
    rates = {way: tuple(one.requests_per_second for one in found[way]) for way in found}
    straight, through = found["straight"], found["gateway"]
    figures = [
        Figure(
            "requests/s through the gateway, over straight",
            "",
            ratios(rates["gateway"], rates["straight"]),
            Target("≥", 0.9),
        ),
        Figure("delay added at the median", "ms", _added(through, straight, "p50"), Target("≤", 1)),
        Figure(
            "delay added at the 99th percentile",
            "ms",
            _added(through, straight, "p99"),
            Target("≤", 5),
        ),
    ]
    if command:
        figures += [
            Figure(
                "requests/s through nginx, over straight",
                "",
                ratios(rates["nginx"], rates["straight"]),
            ),
            Figure(
                "delay that nginx adds at the median", "ms", _added(found["nginx"], straight, "p50")
            ),
        ]
    if worked:
        figures.append(Figure("processor time of the gateway for a request", "ms", tuple(worked)))
    figures += [Figure(way, "requests/s", values) for way, values in rates.items()]
    reasons = (missing, "" if worked else NOT_HERE)
    return Family("The gateway", HOW, tuple(figures), tuple(filter(None, reasons)))


def _added(through: tuple[Load, ...], straight: tuple[Load, ...], part: str) -> tuple[float, ...]:
    """Milliseconds that each round's requests took longer."""
    return per_1000(
        tuple(
            getattr(one, part) - getattr(other, part)
            for one, other in zip(through, straight, strict=True)
        )
    )
