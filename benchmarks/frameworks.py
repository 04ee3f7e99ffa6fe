"""Each example beside bare Flask, and where the time of a start on demand goes."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.load import CONNECTIONS
from benchmarks.measure import (
    Family,
    Figure,
    Scale,
    Target,
    per_1000,
    ratios,
    seconds,
    side_by_side,
)
from benchmarks.memory import MIB, NOT_HERE, can_measure, resident
from benchmarks.servers import bare, job_of, load_content, publish, socket_of
from tests.catalogue import EXAMPLES, Example
from tests.deploy.conftest import Content
from tests.servers import LocalConnect

HOW = f"""
Each example and bare Flask are deployed, each in its own environment, and {CONNECTIONS} connections
ask each one's process straight, without the gateway: for the list of greetings, for one item, and
bare Flask for its few bytes. Memory is what the process holds (resident) after that. Imports are
timed inside a new interpreter in the same environment, with bytecode cached: Flask, then the
framework, then the rest of the app; the interpreter's own start is timed from outside. A start on
demand is the first request, through the gateway, after the process was ended; its target is held
against the imports alone.
"""

#: prints the seconds to import Flask, the framework, and the app
IMPORTS = """
import time
begun = time.perf_counter()
for name in {names!r}:
    __import__(name)
    print(time.perf_counter() - begun)
    begun = time.perf_counter()
"""


@dataclass(frozen=True)
class Deployed:
    """An example, and the environment and directory that it runs with."""

    example: Example
    content: Content
    python: Path
    app: Path

    def imports(self) -> tuple[float, ...]:
        """Seconds to import Flask, the framework, and the rest of the app."""
        module = self.example.framework.lower().replace("-", "_")
        done = subprocess.run(
            [self.python, "-c", IMPORTS.format(names=("flask", module, "app"))],
            cwd=self.app,
            capture_output=True,
            text=True,
            check=True,
        )
        return tuple(map(float, done.stdout.split()))

    def interpreter(self) -> tuple[float, ...]:
        """Seconds of an interpreter that does nothing."""
        return (seconds(lambda: subprocess.run([self.python, "-c", ""], check=True)),)

    def start(self) -> tuple[float, ...]:
        """Seconds of the first request after its process was ended."""
        server, path = self.content.server, self.content.path + self.example.paths[0]
        server.request(
            "DELETE", f"{self.content.api}/jobs/{job_of(self.content)['key']}"
        ).raise_for_status()
        return (seconds(lambda: server.get(path, user=None).raise_for_status()),)


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    figures: list[Figure] = []
    flask = publish(server, bare(work / "frameworks"), max_processes=1)
    deployed = [_deploy(server, example) for example in EXAMPLES[: scale.examples]]
    for one in deployed:
        if one.example.has("list", "item"):
            figures += _rates(scale, flask, one)
    contents = {
        "bare Flask": flask,
        **{one.example.directory: one.content for one in deployed},
    }
    if can_measure():
        figures += [
            Figure(f"{name}: memory", "MiB", (resident(int(job_of(content)["pid"])) / MIB,))
            for name, content in contents.items()
        ]
    for one in deployed:
        figures += _starts(scale, one)
    missing = () if can_measure() else (NOT_HERE,)
    return Family("Frameworks, and starts on demand", HOW, tuple(figures), missing)


def _deploy(server: LocalConnect, example: Example) -> Deployed:
    content = publish(server, example.path, max_processes=1)
    bundle_id = content.bundles[0]["id"]
    with closing(sqlite3.connect(server.data / "local-connect.db")) as database:
        (environment,) = database.execute(
            "SELECT environment FROM bundles WHERE id = ?", (bundle_id,)
        ).fetchone()
    python = server.data / "environments" / environment / "bin" / "python"
    return Deployed(example, content, python, server.data / "bundles" / bundle_id / "app")


def _rates(scale: Scale, flask: Content, one: Deployed) -> list[Figure]:
    """The list and the item over bare Flask, straight at their processes."""
    example = one.example
    ways: dict[str, Callable[[], float]] = {
        "bare Flask": partial(_rate, flask, "/", scale.seconds / 2),
        "list": partial(_rate, one.content, f"/{example.list}", scale.seconds / 2),
        "item": partial(
            _rate, one.content, f"/{example.item}".format(lang="en"), scale.seconds / 2
        ),
    }
    for way in ways.values():
        way()
    found = side_by_side(example.directory, min(scale.rounds, 3), ways)
    return [
        Figure(
            f"{example.directory}: requests/s of its {way}, over bare Flask",
            "",
            ratios(found[way], found["bare Flask"]),
        )
        for way in ("list", "item")
    ]


def _rate(content: Content, path: str, time: float) -> float:
    mount = content.path.removesuffix("/")
    return load_content(socket_of(content), path, time, mount=mount).requests_per_second


def _starts(scale: Scale, one: Deployed) -> list[Figure]:
    name = one.example.directory
    # bytecode is written by the first
    one.imports()
    found = side_by_side(
        f"{name}: start",
        scale.rounds,
        {"imports": one.imports, "interpreter": one.interpreter, "start": one.start},
    )
    start = tuple(took for (took,) in found["start"])
    interpreter = tuple(took for (took,) in found["interpreter"])
    imports = tuple(map(sum, found["imports"]))
    rest = tuple(
        whole - one - more for whole, one, more in zip(start, interpreter, imports, strict=True)
    )
    parts = tuple(zip(*found["imports"], strict=True))
    return [
        Figure(
            f"{name}: start on demand, over its imports",
            "",
            ratios(start, imports),
            Target("≤", 1.5),
        ),
        Figure(f"{name}: start on demand", "ms", per_1000(start)),
        Figure(f"{name}: the interpreter", "ms", per_1000(interpreter)),
        Figure(f"{name}: import of Flask", "ms", per_1000(parts[0])),
        Figure(f"{name}: import of the framework", "ms", per_1000(parts[1])),
        Figure(f"{name}: import of the app", "ms", per_1000(parts[2])),
        Figure(f"{name}: all else, as spawn, WSGI server and gateway", "ms", per_1000(rest)),
    ]
