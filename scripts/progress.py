"""What is told of several deployments at once: one line for each, which changes in place.

That is on a terminal. Elsewhere each step is a line of its own. Of a deployment that fails all is
told that was said of it, and with `VERBOSE=1` of each, as it is said.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

#: how lines of rsconnect's begin, and the step that they are of, in order
STEPS = {
    "Making bundle": "packing",
    "Deploying bundle": "uploading",
    "Building ": "building",
    "Launching ": "starting",
    "Verifying deployed content": "checking",
    "Activating deployed content": "activating",
}

#: What rsconnect says of each example, and nobody needs to hear: a manifest is there for those who
#: publish from git.
_NOT_TOLD = "Warning: the existing manifest.json file will not be used"

_ORDER = list(STEPS.values())


class _Deployment:
    """How far one is, and what was said of it."""

    def __init__(self) -> None:
        self.begun = 0.0
        self.took = 0.0
        self.step = "waiting"
        self.style = "dim"
        self.lines: list[str] = []


class Progress:
    """The lines of these deployments: a context manager, whose methods any thread may call."""

    def __init__(self, names: Iterable[str], *, console: Console | None = None) -> None:
        self._deployments = {name: _Deployment() for name in names}
        self._console = console or Console(highlight=False)
        self._verbose = os.environ.get("VERBOSE", "") not in ("", "0")
        self._lock = threading.Lock()
        self._live: Live | None = None
        if self._console.is_terminal and not self._verbose:
            self._live = Live(self, console=self._console)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def begin(self, name: str) -> None:
        """It is under way from now on."""
        deployment = self._deployments[name]
        with self._lock:
            deployment.begun = time.monotonic()
            deployment.step, deployment.style = "preparing", ""

    def hear(self, name: str, line: str) -> None:
        """A line was said of it, which may be the first of another step."""
        if self._verbose:
            self._print(name, line)
            return
        if _NOT_TOLD in line:
            return
        deployment = self._deployments[name]
        deployment.lines.append(line)
        for beginning, step in STEPS.items():
            if line.startswith(beginning) and _is_later(step, deployment.step):
                with self._lock:
                    deployment.step = step
                if not self._live:
                    self._print(name, step)

    def note(self, name: str, text: str) -> None:
        """Tell something of it that stays."""
        self._print(name, text)

    def end(self, name: str, how: str) -> None:
        """It has ended well."""
        deployment = self._deployments[name]
        deployment.took = time.monotonic() - deployment.begun
        self._end(deployment, how, "green")
        if not self._live:
            self._print(name, f"{how}, {deployment.took:.1f} s")

    def leave_out(self, name: str, why: str) -> None:
        """It is not deployed, for a reason."""
        self._end(self._deployments[name], "left out", "yellow")
        self._print(name, f"LEFT OUT: {why}")

    def fail(self, name: str, why: str) -> None:
        """It has failed: all that was said of it, and why."""
        deployment = self._deployments[name]
        self._end(deployment, "NOT DEPLOYED", "red")
        for line in deployment.lines:
            self._print(name, line)
        self._print(name, f"NOT DEPLOYED: {why}")

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        width = max(map(len, self._deployments), default=0)
        with self._lock:
            for name, one in self._deployments.items():
                line = Text(f"{name:<{width}}  ", no_wrap=True, overflow="ellipsis")
                line.append(one.step, one.style)
                if one.took:
                    line.append(f", {one.took:.1f} s", "dim")
                elif one.begun:
                    line.append(f" {time.monotonic() - one.begun:.0f} s", "dim")
                yield line

    def _end(self, deployment: _Deployment, how: str, style: str) -> None:
        with self._lock:
            deployment.begun = 0.0
            deployment.step, deployment.style = how, style

    def _print(self, name: str, text: str) -> None:
        """Print one line, whole, whoever else prints.

        Without the lock: what is printed above the lines that change draws those again.
        """
        self._console.print(Text(f"{name} | {text}"), soft_wrap=True)


def _is_later(step: str, than: str) -> bool:
    return than not in _ORDER or _ORDER.index(step) > _ORDER.index(than)
