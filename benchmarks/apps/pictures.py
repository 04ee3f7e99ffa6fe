"""Draws curves as SVG, light and dark: python pictures.py DIRECTORY < curves.json

It runs in an environment of its own, with Matplotlib.
"""

import json
import sys
from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

#: text, lines of the grid, and the lines of the curves
COLOURS = {
    "light": ("#1f2328", "#d1d9e0", ("#0a5fb4", "#b3440c", "#2b7a3d")),
    "dark": ("#f0f6fc", "#3d444d", ("#6cb6ff", "#f69d50", "#8ddb8c")),
}

MARKS = "os^"

# text stays text, and the same curves give the same file
rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "curves", "font.size": 11})


def main() -> None:
    directory = Path(sys.argv[1])
    for curves in json.load(sys.stdin):
        for theme, (text, grid, colours) in COLOURS.items():
            figure = Figure(figsize=(7, 3.6), layout="constrained")
            axes = figure.subplots()
            for (name, points), colour, mark in zip(
                curves["lines"].items(), colours, MARKS, strict=False
            ):
                across, low, median, high = zip(*points, strict=True)
                axes.plot(across, median, color=colour, marker=mark, label=name)
                axes.fill_between(across, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.set(xscale="log", yscale="log", xlabel=curves["across"], ylabel=curves["up"])
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
                first, last = axis.get_view_interval()
                few = last < 100 * first
                axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
                axis.set_minor_formatter(NullFormatter())
                axis.label.set_color(text)
            axes.tick_params(which="both", colors=text)
            axes.grid(color=grid, linewidth=0.6)
            for spine in axes.spines.values():
                spine.set_color(grid)
            axes.legend(frameon=False, labelcolor=text)
            figure.savefig(
                directory / f"growth-{curves['name']}-{theme}.svg",
                transparent=True,
                metadata={"Date": None, "Title": curves["title"]},
            )


main()
