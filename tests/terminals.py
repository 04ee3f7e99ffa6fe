"""A command on a terminal, as somebody sits before it."""

import os
import pty
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

#: seconds in which what is awaited is printed
PATIENCE = 120


class Terminal:
    """What the command has printed so far, and its exit status once it has ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._printed = b""
        self.status: int | None = None

    @property
    def text(self) -> str:
        return self._printed.decode("utf-8", "replace")

    def read(self, until: str | None = None) -> None:
        """Read until this is printed, or to the end."""
        deadline = time.monotonic() + PATIENCE
        while until is None or until not in self.text:
            assert time.monotonic() < deadline, self.text
            if not select.select([self._descriptor], [], [], 1)[0]:
                continue
            try:
                chunk = os.read(self._descriptor, 1 << 16)
            except OSError:
                # how Linux says that nobody has it open any more
                chunk = b""
            if not chunk:
                return
            self._printed += chunk

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._descriptor, b"\x03")


@contextmanager
def on_a_terminal(
    *command: str | Path, directory: Path, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Run a command in the directory; at the end its terminal is closed, which ends it."""
    child, descriptor = pty.fork()
    if child == 0:
        os.chdir(directory)
        os.execvpe(command[0], command, environment)  # noqa: S606
    terminal = Terminal(descriptor)
    try:
        yield terminal
    finally:
        os.close(descriptor)
        terminal.status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
