"""What the gateway costs: the same content through it, and through nginx."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.load import CONNECTIONS, Load, by_rate, load
from benchmarks.measure import Curves, Family, Figure, Scale, Target, per_1000, ratio, side_by_side
from benchmarks.memory import NOT_HERE, can_measure, processor_seconds
from benchmarks.servers import bare, content_headers, nginx, publish, socket_of
from local_connect.log import progress
from tests.catalogue import EXAMPLES
from tests.deployed import Content
from tests.servers import LocalConnect, running_server

#: what the gallery serves: a list of greetings
LISTED = next(example for example in EXAMPLES if example.has("list"))

HOW = f"""
Two contents, each deployed, open to everyone, and with one process: bare Flask with one route that
answers a few bytes, so all that a proxy costs shows, and the list of {LISTED.directory}. Each is
asked through the gateway, and through nginx (one worker, connections to the process kept) in front
of the same process. nginx is told to send the headers that the gateway would send, and knows
nothing else of the gateway's work: who the visitor is, what they may, which process is to answer.

Requests/s are those of {CONNECTIONS} connections that stay open and ask without a pause. All
processes and the generator share the machine's cores, so what a proxy takes, the content does not
have; processor time for a request is what stays the same when others use the machine. Delays are
those of one connection that asks one request after the other, so that nothing waits but for work.
What it takes to record requests is shown by a second server, with `--no-requests`.
"""


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    contents = {
        "bare Flask": (publish(server, bare(work / "gateway"), max_processes=1), ""),
        LISTED.directory: (publish(server, LISTED.path, max_processes=1), LISTED.list or ""),
    }
    figures: list[Figure] = []
    missing: list[str] = [] if can_measure() else [NOT_HERE]
    for name, (content, path) in contents.items():
        with ExitStack() as stack:
            proxy = nginx(
                stack, work / f"nginx-{content.guid}", socket_of(content), content_headers(content)
            )
            if proxy is None:
                return Family("The gateway", HOW, (), ("nginx is not installed.",))
            figures += _compare(name, scale, content, path, proxy)
    if can_measure():
        figures.append(_recording(scale, work, contents["bare Flask"][0]))
    curves = _visitors(scale, *contents["bare Flask"])
    return Family("The gateway", HOW, tuple(figures), tuple(missing), curves)


def _visitors(scale: Scale, content: Content, path: str) -> tuple[Curves, ...]:
    """Requests/s and delays, as those who ask at a time become more."""
    here = ("127.0.0.1", content.server.client.base_url.port or 80)
    found: dict[float, list[Load]] = {}
    for visitors in scale.visitors:
        progress(f"gateway: {visitors} at a time")
        found[visitors] = [
            load(here, content.path + path, scale.seconds, connections=visitors)
            for _ in range(min(scale.rounds, 3))
        ]
    rates = {at: tuple(one.requests_per_second for one in loads) for at, loads in found.items()}
    delays = {
        part: {at: per_1000(tuple(getattr(one, part) for one in found[at])) for at in found}
        for part in ("p50", "p99")
    }
    across = "visitors that ask at a time, without a pause"
    return (
        Curves("visitors", "As visitors become more", across, "requests/s", {"bare Flask": rates}),
        Curves("delays", "How long visitors wait", across, "milliseconds", delays),
    )


class _Way:
    """One proxy under load, and the processor time that it took for a request in each round."""

    def __init__(self, address: tuple[str, int], pid: int, path: str, scale: Scale) -> None:
        self.pid = pid
        self.many = partial(load, address, path, scale.seconds)
        self.alone = partial(load, address, path, scale.seconds, connections=1)
        self.worked: list[float] = []

    def under_load(self) -> Load:
        if not can_measure():
            return self.many()
        before = processor_seconds(self.pid)
        found = self.many()
        self.worked.append(1000 * (processor_seconds(self.pid) - before) / found.requests)
        return found


def _recording(scale: Scale, work: Path, recorded: Content) -> Figure:
    """What it costs to keep the last requests: a server that does, and one that does not."""
    with running_server(work / "unrecorded", "--no-requests") as server:
        other = publish(server, bare(work / "unrecorded-app"), max_processes=1)
        ways = {}
        for name, content in {"recorded": recorded, "not recorded": other}.items():
            here = ("127.0.0.1", content.server.client.base_url.port or 80)
            ways[name] = _Way(here, content.server.process.pid, content.path, scale)
            ways[name].many()
        under_load = {name: way.under_load for name, way in ways.items()}
        side_by_side("gateway, recording", scale, under_load, by_rate)
    return ratio(
        "bare Flask: processor time of the gateway, with requests recorded over without",
        tuple(ways["recorded"].worked),
        tuple(ways["not recorded"].worked),
        Target("≤", 1.05),
    )


def _compare(
    name: str, scale: Scale, content: Content, path: str, beside: tuple[tuple[str, int], int]
) -> list[Figure]:
    """One content through the gateway and through nginx."""
    server = content.server
    here = ("127.0.0.1", server.client.base_url.port or 80)
    ways = {
        "gateway": _Way(here, server.process.pid, content.path + path, scale),
        "nginx": _Way(*beside, content.path + path, scale),
    }
    for way in ways.values():
        way.many()
    found = side_by_side(
        f"gateway, {name}",
        scale,
        {proxy: way.under_load for proxy, way in ways.items()},
        by_rate,
    )
    alone = side_by_side(
        f"delay, {name}", scale, {proxy: way.alone for proxy, way in ways.items()}, by_rate
    )
    rates = {
        proxy: tuple(one.requests_per_second for one in loads) for proxy, loads in found.items()
    }
    figures = [
        ratio(
            f"{name}: requests/s through the gateway, over nginx",
            rates["gateway"],
            rates["nginx"],
            Target("≥", 0.85),
        ),
        *(
            Figure(
                f"{name}: delay that the gateway adds over nginx, {part}",
                "ms",
                _added(alone["gateway"], alone["nginx"], part),
                Target("≤", limit),
            )
            for part, limit in (("p50", 0.5), ("p99", 2))
        ),
    ]
    for proxy, way in ways.items():
        figures.append(Figure(f"{name}: {proxy}", "requests/s", rates[proxy]))
        if way.worked:
            what = f"{name}: processor time of {proxy} for a request"
            figures.append(Figure(what, "ms", tuple(way.worked)))
    return figures


def _added(through: tuple[Load, ...], other: tuple[Load, ...], part: str) -> tuple[float, ...]:
    """Milliseconds that each round's requests took longer."""
    return per_1000(
        tuple(
            getattr(one, part) - getattr(another, part)
            for one, another in zip(through, other, strict=True)
        )
    )
