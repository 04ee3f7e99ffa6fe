"""What two habits of flask-cassandra-example are worth: prepared statements, streamed answers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measure import Family, Figure, Scale, per_1000, ratio, side_by_side
from benchmarks.memory import MIB, NOT_HERE, can_measure
from benchmarks.servers import APPS, publish, python_of
from local_connect.log import progress
from scripts import services
from tests.catalogue import EXAMPLES
from tests.servers import LocalConnect

TITLE = "Cassandra: prepared statements, and long answers"

HOW = """
One node on the same machine, and the example's own functions in its own environment, without HTTP.
One row is asked for again and again, one request after the other: by a statement that is prepared
once, and by one that Cassandra has to read each time. A long answer, all rows of one partition as
JSON, is made as the example does, a page of a thousand rows at a time, and by gathering all rows
first. Memory is the process's peak while it does so, less what it held just before. Each way is a
process of its own each time.
"""


def by_time(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How much longer one way took than another."""
    return one[0] / other[0]


def measure(scale: Scale, _work: Path, server: LocalConnect) -> Family:
    if reason := services.missing("cassandra"):
        return Family(TITLE, HOW, (), (reason,))
    example = next(example for example in EXAMPLES if "cassandra" in example.services)
    python = python_of(publish(server, example.path))
    asks, rows = (2000, 100_000) if scale.gallery else (20, 2000)
    progress("cassandra: starting a node")
    with services.started("cassandra") as variables:

        def run(*command: str | Path) -> str:
            done = subprocess.run(
                [python, *command],
                cwd=example.path,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(done.stdout + done.stderr)
            return done.stdout

        def ask(*way: str) -> tuple[float, float]:
            took, grew = run(APPS / "cassandra_ways.py", *way).split()
            return float(took), float(grew) / MIB

        run("-m", "storage.db_initialize", "--plants", str(rows))
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            **{way: partial(ask, way, str(asks)) for way in ("prepared", "unprepared")},
            **{way: partial(ask, way) for way in ("streamed", "gathered")},
        }
        found = side_by_side("cassandra", scale, ways, by_time)
    took = {way: tuple(seconds for seconds, _ in each) for way, each in found.items()}
    grew = {way: tuple(grown for _, grown in each) for way, each in found.items()}
    figures = [
        ratio("one row: time, prepared over unprepared", took["prepared"], took["unprepared"]),
        *(
            Figure(f"one row, {way}", "ms", tuple(s / asks for s in per_1000(took[way])))
            for way in ("prepared", "unprepared")
        ),
        ratio(f"{rows:,} rows: time, streamed over gathered", took["streamed"], took["gathered"]),
    ]
    if can_measure():
        figures += [
            Figure(f"{rows:,} rows, {way}: memory above idle", "MiB", grew[way])
            for way in ("streamed", "gathered")
        ]
    return Family(TITLE, HOW, tuple(figures), () if can_measure() else (NOT_HERE,))
