"""Measures what local Connect and the examples cost, and writes docs/benchmarks.md.

    python -m benchmarks [--smoke] [FAMILY …]

`--smoke` runs everything once, for moments, to show that it works: its figures mean nothing, and
the page is left alone, as it is where only some families are named.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import (
    cassandra,
    content_server,
    deploys,
    frameworks,
    front_end,
    gateway,
    many,
    memory,
    scaling,
    starting,
)
from benchmarks.measure import FULL, SMOKE, Family
from benchmarks.page import as_data, changes, chart, page, peer_versions, table
from benchmarks.pictures import draw
from benchmarks.servers import peers
from local_connect.log import log, progress
from tests.catalogue import ROOT
from tests.servers import running_server

PAGE = ROOT / "docs" / "benchmarks.md"

PICTURES = ROOT / "docs" / "images"

#: the page's figures, which the next run is held against
FIGURES = PAGE.with_suffix(".json")

FAMILIES = {
    "start": starting.measure,
    "gateway": gateway.measure,
    "content-server": content_server.measure,
    "deploys": deploys.measure,
    "frameworks": frameworks.measure,
    "scaling": scaling.measure,
    "many": many.measure,
    "memory": memory.measure,
    "front-end": front_end.measure,
    "cassandra": cassandra.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    arguments = parser.parse_args()
    if unknown := set(arguments.families) - set(FAMILIES):
        parser.error(f"There is no {', '.join(unknown)}; a family is one of {', '.join(FAMILIES)}.")
    wanted = arguments.families or list(FAMILIES)
    whole = not arguments.smoke and not arguments.families
    scale = SMOKE if arguments.smoke else FULL
    # with it, each process would compile all that it reads, which is no part of what is measured
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # so that whoever ends it ends what it has started
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    busy = os.getloadavg()[0]
    begun = time.monotonic()
    found: list[Family] = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bench-") as directory,
            running_server(Path(directory) / "server") as server,
        ):
            work = Path(directory)
            progress("installing what local Connect is held against")
            peers(work / "peers")
            for number, name in enumerate(wanted, 1):
                since = time.monotonic()
                family = FAMILIES[name](scale, work, server)
                found.append(family)
                log(f"{number}/{len(wanted)} {family.title}: {time.monotonic() - since:.0f} s")
                show(family)
            took = time.monotonic() - begun
            pictures = PICTURES if whole else work
            draw(found, work / "peers" / "bin" / "python", pictures)
            versions = peer_versions(work / "peers" / "bin" / "python")
            text = page(found, took=took, busy=busy, peers=versions)
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, AssertionError) as error:
        sys.exit(f"bench: {error}")
    print("\n".join(chart([f for family in found for f in family.figures if f.target])))
    figures = as_data(found)
    if not arguments.smoke:
        show_changes(figures)
    if not whole:
        log(f"{took:.0f} s. {PAGE.name} is left as it is.")
    else:
        PAGE.write_text(text, "utf-8")
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
        log(f"{took:.0f} s. Written: {PAGE.relative_to(ROOT)}")


def show_changes(figures: dict[str, dict[str, Any]]) -> None:
    """What is no longer as the page says it, on the terminal."""
    before = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    lines = changes(figures, before)
    print(f"Changed against {PAGE.name}, beyond the intervals: {len(lines) or 'nothing'}")
    print("\n".join(f"  {line}" for line in lines), flush=True)


def show(family: Family) -> None:
    """What was found, on the terminal."""
    for reason in family.missing:
        print(f"Not measured here: {reason}")
    print("\n".join(table(list(family.figures), verdicts=True)))
    print("\n".join(" | ".join(row) for row in family.rows), flush=True)


if __name__ == "__main__":
    main()
