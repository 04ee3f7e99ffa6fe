"""Writes what was found as a page of Markdown, with a chart in plain text."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Family, Figure
from benchmarks.pictures import shown
from benchmarks.servers import find_nginx

#: characters of a bar that just reaches the target, and at most
_AT_TARGET = 30
_LONGEST = 60

INTRODUCTION = """\
What the gateway, deployments and the examples cost. `make bench` measures it and writes this page;
`make bench-smoke` does the same in moments and writes nothing. What is compared is measured in one
run, in turns, in short rounds, until the median's 95 % interval is narrower than 5 % of it or its
time is up; where that came first, the interval says how far to trust the figure. A figure is held
against its target by its median.
"""

#: seen once, on a quiet machine with two cores, and not measured again by a run
TESTS = """
`make test` is no part of a run, as it would be most of it. On two cores, with all parts there, it
is to take six minutes at most, and that is **missed**: 4,282 tests take nine and three quarters,
in a fresh clone. Both cores are busy all the time, with some 1,150 seconds of work: a fifth of it
is pytest's, with what it asks; a fifth the servers', of which each start reads SQLAlchemy and
aiohttp for half a second; a sixth content's; and a tenth each the browser's and rsconnect's. No
part stands out: the largest are the examples on services, with a sixth. What was found to be waste
is gone: tests that asked for the state of a task without a pause, certificates read anew for each
client, and a whole browser where its engine is enough. They had taken a quarter of the time. What
is left is processes as they run elsewhere, which is what the tests are to show.
"""

#: what profiling led to, and what it did not
TRIED = """
- Kept: the records of content that visitors ask for stay in memory until something is written.
  Before, two queries a request took most of the gateway's processor time: 1.9 ms of it went down
  to 0.45 ms.
- Kept: other Pythons are looked for only where another than the server's own is wanted; `make`
  compiles what it installs.
- Not kept: a gallery that is deployed by copies of one process which has read rsconnect. It took
  less of the processor than a process for each, and stood on modules of rsconnect's that are not
  for others: now its command line is run, as anyone would.
- Kept: the gallery's services start side by side, while what needs none of them is deployed.
- Not kept: local Connect started beside what deploys to it and not before. `make gallery` took 4 %
  less time for it, and a way of its own to learn where the server is.
- Kept: no search for garbage in what the server reads at its start. A start and a stop took
  1.04 s of the processor, and take 0.72 s; and a full search no more stops all requests for 20 ms.
- Not kept: the same in content processes. Imports took 7 % less, but what an app throws away while
  it is imported would stay.
- Not kept: a database that does not wait for the disk. A deployment writes eight times, for 1.6 ms
  each, but what has been said to be done should outlast a power failure, too.
- Not kept: parts of the server read only when they are needed, as templates and the watcher of
  directories. Together they take 30 ms of 450 ms, and most starts need them soon after.
- Kept: a client of the gateway's own for content processes, in place of aiohttp's. The gateway's
  processor time for a request went down to 0.65 of what it was, side by side. Its answers were read
  by aiohttp's parser, which is not documented; read by httptools, whose interface is, and with
  nothing else used that is not, a request takes 1.0 of that (0.9 to 1.1). With h11 it was 1.0 to
  1.1, with aiohttp's own client session 1.05 to 1.4.
- Kept: answers that leave in one piece if they came in one, and names of headers looked up once: to
  0.51 with the above. One piece alone had brought nothing while aiohttp's client took most of the
  time.
- Kept: a shorter way to the process, the visitor and the access list: 0.91 of the rest, so 0.16 ms
  in place of 0.35 ms in all, on a machine that others used. Undisturbed and warm, the gateway's own
  lines take 25 microseconds of it; the rest are aiohttp's server, asyncio and the kernel.
- Not kept: uvloop. Side by side it takes 0.84 of the processor time (0.60 to 0.90 in nine rounds;
  in five others 0.96). It is one more compiled package, and the gateway meets its targets without.
- Kept: the benchmark's generator waits for its sockets itself, without asyncio, and compares an
  answer with the one before: a fifth less processor time for a request, which is the content's.
- Not kept: a WSGI server of our own in each content process, where one thread answers as long as
  nothing keeps it. It answered about twice as many requests of bare Flask as waitress, which hands
  each from one thread to another. But it could not run under gevent's or eventlet's patches, and
  its turns took a page to understand: waitress is well kept and does what people expect of it.
- Not kept: Granian in place of waitress. It answered about twice as many requests, too, but drops
  header values outside ASCII and repeated headers, and is compiled for one Python, where content
  may ask for another.
"""

PACKAGES = ("aiohttp", "httptools", "rsconnect-python", "sqlalchemy", "uv")


def page(families: list[Family], *, took: float, busy: float, peers: dict[str, str]) -> str:
    """The page. `busy` is the load average before the run, `took` its seconds."""
    targets = [figure for family in families for figure in family.figures if figure.target]
    missed = [figure for figure in targets if figure.missed]
    quiet = f"The load average was {busy:.1f} before it began, with {os.cpu_count()} cores: " + (
        "the machine was **not quiet**. "
        "Ratios bear that better than other figures do, but not well."
        if busy > 0.5
        else "the machine was quiet."
    )
    summary = (
        f"**{len(missed)} of {len(targets)} targets are missed**: "
        + "; ".join(figure.what for figure in missed)
        + "."
        if missed
        else f"All {len(targets)} targets are met."
    )
    return "\n".join(
        (
            "# Benchmarks",
            "",
            INTRODUCTION,
            f"Measured {datetime.now(UTC):%Y-%m-%d}, in {took:.0f} seconds, on {machine()}.",
            f"{versions(peers)}.",
            "",
            quiet,
            "",
            summary,
            "",
            "## Targets",
            "",
            *table(targets, verdicts=True),
            "",
            "How much each takes of what it is allowed (`|` is the target, shorter is better):",
            "",
            "```text",
            *chart(targets),
            "```",
            *(line for family in families for line in section(family)),
            "",
            "## The tests themselves",
            TESTS,
            "## What was tried",
            TRIED,
        )
    )


def section(family: Family) -> list[str]:
    return [
        *("", f"## {family.title}", "", family.how.strip(), ""),
        *(line for reason in family.missing for line in (f"**Not measured here:** {reason}", "")),
        *table(list(family.figures)),
        *(f"| {' | '.join(row)} |" for row in family.rows),
        *(line for curves in family.curves for line in ("", *shown(curves))),
    ]


def table(figures: list[Figure], *, verdicts: bool = False) -> list[str]:
    """One row a figure; with `verdicts` also what it must reach and whether it does."""
    if not figures:
        return []
    more = (" must be | |", " --- | --- |") if verdicts else ("", "")
    rows = [
        f"| | median | 95 % interval | rounds |{more[0]}",
        f"| --- | --- | --- | --- |{more[1]}",
    ]
    for figure in figures:
        low, high = figure.interval
        between = f"{number(low)} to {number(high)}" if len(figure.values) > 1 else ""
        median = f"{number(figure.median)} {figure.unit}".strip()
        cells = [figure.what, median, between, str(len(figure.values))]
        if verdicts and figure.target:
            limit = f"{figure.target.relation} {figure.target.limit:g} {figure.unit}".strip()
            cells += [limit, verdict(figure)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def verdict(figure: Figure) -> str:
    said = "**missed**" if figure.missed else "met"
    return f"{said}, but within the interval" if figure.unsure else said


def as_data(families: list[Family]) -> dict[str, dict[str, Any]]:
    """All figures, for the next run to be held against."""
    return {
        figure.what: {
            "unit": figure.unit,
            "median": figure.median,
            "interval": list(figure.interval),
            "rounds": len(figure.values),
        }
        for family in families
        for figure in family.figures
    }


def changes(now: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each figure whose interval has nothing in common with the one before."""
    lines = []
    for what in now.keys() & before.keys():
        (low, high), (low_before, high_before) = now[what]["interval"], before[what]["interval"]
        if low > high_before or high < low_before:
            unit = now[what]["unit"]
            lines.append(
                f"{what}: {number(now[what]['median'])} {unit}".rstrip()
                + f" ({number(low)} to {number(high)}), was {number(before[what]['median'])}"
                f" ({number(low_before)} to {number(high_before)})"
            )
    return sorted(lines)


def chart(figures: list[Figure]) -> list[str]:
    """A bar for each figure that has a target, all on one scale."""
    width = max((len(figure.what) for figure in figures), default=0)
    return [f"{figure.what:<{width}} {bar(figure)}" for figure in figures]


def bar(figure: Figure) -> str:
    """How much of what is allowed the median takes."""
    assert figure.target is not None  # noqa: S101 (only those are drawn)
    used = max(0.0, figure.target.used(figure.median))
    length = min(round(used * _AT_TARGET), _LONGEST)
    cells = list(("█" * length).ljust(_AT_TARGET + 1))
    cells[_AT_TARGET] = "┃" if length > _AT_TARGET else "|"
    return f"{''.join(cells)} {used:.2f}"


def number(value: float) -> str:
    """Three figures that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> str:
    """The processor, the memory and the system."""
    model = platform.processor() or platform.machine()
    memory = ""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        model = found[1] if found else model
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory = f", {pages / (1 << 30):.0f} GiB of memory"
    except (OSError, ValueError):
        pass
    return f"{os.cpu_count()} cores of {model}{memory}, {platform.system()} {platform.release()}"


def versions(peers: dict[str, str]) -> str:
    """Python's, and those of what local Connect stands on and is held against."""
    ours = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    others = [f"{name} {version}" for name, version in peers.items()]
    return f"Python {platform.python_version()}, " + ", ".join(ours + others)


def peer_versions(python: Path) -> dict[str, str]:
    """What content is held against, and nginx where it is there."""
    listed = "import importlib.metadata as m; print(*(m.version(n) for n in {names!r}))"
    names = ("flask", "waitress", "matplotlib")
    found = subprocess.run(
        [python, "-c", listed.format(names=names)], capture_output=True, text=True, check=True
    ).stdout.split()
    versions = dict(zip(names, found, strict=True))
    if nginx := find_nginx():
        said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
        versions["nginx"] = said.strip().rpartition("/")[2].partition(" ")[0]
    return versions
