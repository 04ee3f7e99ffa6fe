"""The server by itself: how soon it answers, and what it holds."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.measure import Family, Figure, Scale, Target
from benchmarks.memory import MIB, NOT_HERE, can_measure, resident
from local_connect.log import progress
from tests.servers import LocalConnect, running_server

HOW = """
`local-connect` on a data directory that is there, from the command to its first answer, which is
asked for until it comes; and the resident memory of its process then.
"""


def measure(scale: Scale, work: Path, _shared: LocalConnect) -> Family:
    took, held = [], []
    data = work / "itself"
    with running_server(data):
        pass
    for number in range(scale.rounds):
        progress(f"server: start {number + 1} of {scale.rounds}")
        begun = time.perf_counter()
        with running_server(data) as server:
            took.append(time.perf_counter() - begun)
            if can_measure():
                held.append(resident(server.process.pid) / MIB)
    figures = [Figure("server: start to its first answer", "s", tuple(took), Target("≤", 0.6))]
    if held:
        figures.append(Figure("server: memory", "MiB", tuple(held), Target("≤", 90)))
    return Family("The server itself", HOW, tuple(figures), () if held else (NOT_HERE,))
