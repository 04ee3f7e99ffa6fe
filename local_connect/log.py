"""What the server says on its terminal: plain lines on standard error.

Colour, and progress that is written over, only where that is a terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress

import click

#: back to the beginning of the line, and clear it
_CLEAR = "\r\x1b[K"

_progress = ""


def log(message: str, *, colour: str | None = None) -> None:
    """Write one line at once; it never mixes with what a command writes to standard output.

    A terminal that is gone, or a full disk behind it, stops nothing.
    """
    clear_progress()
    if colour and _is_terminal() and not os.environ.get("NO_COLOR"):
        message = click.style(message, fg=colour)
    _write(f"{message}\n")


def progress(message: str) -> None:
    """Show how far something is, until the next line; nothing where there is no terminal."""
    global _progress
    if _is_terminal():
        _progress = message[: shutil.get_terminal_size().columns - 1]
        _write(_CLEAR + _progress)


def clear_progress() -> None:
    """Take away what `progress` shows."""
    global _progress
    if _progress:
        _progress = ""
        _write(_CLEAR)


def _write(text: str) -> None:
    with suppress(OSError):
        print(text, end="", file=sys.stderr, flush=True)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
