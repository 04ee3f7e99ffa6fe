"""How things grow, as pictures, and what the page says of them."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import Curves, Family
from benchmarks.servers import APPS


def draw(families: Iterable[Family], python: Path, directory: Path) -> None:
    """Write each family's curves as SVG, light and dark; `python` has Matplotlib."""
    document = [
        {
            "name": curves.name,
            "title": curves.title,
            "across": curves.across,
            "up": curves.up,
            "lines": {
                name: [
                    (at, min(values), statistics.median(values), max(values))
                    for at, values in sorted(points.items())
                ]
                for name, points in curves.lines.items()
            },
        }
        for family in families
        for curves in family.curves
    ]
    subprocess.run(
        [python, APPS / "pictures.py", directory], input=json.dumps(document), text=True, check=True
    )


def shown(curves: Curves) -> list[str]:
    """The picture in Markdown, for light and dark pages, and in words."""
    picture = f"images/growth-{curves.name}"
    return [
        f"### {curves.title}",
        "",
        "<picture>",
        f'<source media="(prefers-color-scheme: dark)" srcset="{picture}-dark.svg">',
        f'<img src="{picture}-light.svg" alt="{curves.title}: {_in_words(curves)}">',
        "</picture>",
        "",
    ]


def _in_words(curves: Curves) -> str:
    """Where each line begins and ends."""
    said = []
    for name, points in curves.lines.items():
        first, last = min(points), max(points)
        begin, end = (statistics.median(points[at]) for at in (first, last))
        said.append(f"{name} from {begin:,.3g} at {first:,g} to {end:,.3g} at {last:,g}")
    return f"{curves.up} by {curves.across}; {'; '.join(said)}"
