"""Each example with more processes and more visitors, and what of it is full first."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load, load
from benchmarks.measure import Family, Scale
from benchmarks.memory import NOT_HERE, can_measure, processor_seconds
from benchmarks.page import number
from benchmarks.servers import publish, python_of
from local_connect.log import progress
from scripts.services import missing as unavailable
from tests.beside import Services
from tests.catalogue import EXAMPLES, Example
from tests.deployed import Content
from tests.servers import LocalConnect

TITLE = "More processes, and more visitors"

HOW = """
Each example is deployed with 1, 2 and 4 processes that stay, and asked through the gateway by a
visitor with a key, by more and more connections at a time that ask without a pause. A process is
full where it takes nine tenths of a core, since Python runs one thread of it at a time; the machine
is full where all of its cores are used to nine tenths, by the processes, the gateway, the services
and what asks. Where neither is, time goes by in waiting: for its service, or until one of several
processes gets its turn on a core. What to do then is on
[From one machine to many](many-machines.md).
"""

#: where an example has neither a list nor something private, what it is asked for
ASKED = {"flask-cassandra-example": "animal/Vulpes"}

PROCESSES = (1, 2, 4)

#: from which share of a core, or of all, it counts as full
FULL = 0.9


@dataclass(frozen=True)
class Loaded:
    """A load, and how much of the processor was used meanwhile, in cores."""

    visitors: int
    load: Load
    processes: float
    gateway: float
    machine: float


def measure(scale: Scale, _work: Path, server: LocalConnect) -> Family:
    if not can_measure():
        return Family(TITLE, HOW, (), (NOT_HERE,))
    examples = [example for example in EXAMPLES if example.acts is None][: scale.examples]
    missing = []
    rows: list[tuple[str, ...]] = [
        (
            *("example", "processes", "requests/s at best", "by visitors", "p99 then"),
            *("p99 of the most visitors", "cores of the processes", "cores of the gateway", "full"),
        ),
        ("---",) * 9,
    ]
    with closing(Services()) as services:
        for example in examples:
            if reason := next(filter(None, map(unavailable, example.services)), None):
                missing.append(f"{example.directory}: {reason}")
                continue
            variables = services.variables(*example.services)
            for processes in PROCESSES:
                content = _deploy(server, example, variables, processes)
                found = [_load(scale, content, example, count) for count in scale.visitors]
                rows.append(_row(example, processes, found))
                server.request("DELETE", content.api).raise_for_status()
    return Family(TITLE, HOW, (), tuple(missing), rows=tuple(rows))


def _deploy(
    server: LocalConnect, example: Example, variables: dict[str, str], processes: int
) -> Content:
    """The example with so many processes, and with what it has to run before it goes live."""
    content = publish(
        server,
        example.path,
        variables,
        access_type="logged_in",
        min_processes=processes,
        max_processes=processes,
    )
    if example.release_command:
        path = f"{python_of(content).parent}{os.pathsep}{os.environ['PATH']}"
        app = server.data / "bundles" / content.bundles[0]["id"] / "app"
        subprocess.run(
            ["sh", "-c", example.release_command],
            cwd=app,
            env={**os.environ, **variables, "PATH": path},
            capture_output=True,
            check=True,
        )
    return content


def _load(scale: Scale, content: Content, example: Example, visitors: int) -> Loaded:
    server = content.server
    progress(f"scaling: {example.directory}, {visitors} visitors")
    path = ASKED.get(example.directory) or example.list or example.private or example.paths[0]
    here = ("127.0.0.1", server.client.base_url.port or 80)
    key = {"Authorization": f"Key {server.users['alice'].api_key}"}
    pids = [
        int(job["pid"])
        for job in server.get(f"{content.api}/jobs").raise_for_status().json()
        if job["end_time"] is None
    ]

    def used() -> tuple[float, ...]:
        processes = sum(map(processor_seconds, pids))
        return processes, processor_seconds(server.process.pid), _machine_seconds()

    load(here, content.path + path, scale.seconds / 4, key, connections=visitors)
    before = used()
    found = load(here, content.path + path, scale.seconds, key, connections=visitors)
    elapsed = found.requests / found.requests_per_second
    processes, gateway, machine = (
        (after - since) / elapsed for after, since in zip(used(), before, strict=True)
    )
    return Loaded(visitors, found, processes, gateway, machine)


def _machine_seconds() -> float:
    """What all processes have had of all cores, since the machine began."""
    line = Path("/proc/stat").read_text().partition("\n")[0]
    user, nice, system, _idle, _waiting, *interrupts = map(int, line.split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _row(example: Example, processes: int, found: list[Loaded]) -> tuple[str, ...]:
    best = max(found, key=lambda loaded: loaded.load.requests_per_second)
    cores = os.cpu_count() or 1
    full = (
        "the machine's cores"
        if best.machine >= FULL * cores
        else "its process" + ("es" if processes > 1 else "")
        if best.processes >= FULL * processes
        else "neither"
    )
    return (
        example.directory,
        str(processes),
        number(best.load.requests_per_second),
        str(best.visitors),
        f"{number(1000 * best.load.p99)} ms",
        f"{number(1000 * found[-1].load.p99)} ms",
        f"{best.processes:.2f}",
        f"{best.gateway:.2f}",
        full,
    )
