"""What the server says on its terminal: plain lines on standard error.

Colour, and progress that is written over, only where that is a terminal.
"""

from __future__ import annotations

import os
import shutil
import sys

import click

#: back to the beginning of the line, and clear it
_CLEAR = "\r\x1b[K"

_progress = ""


def log(message: str, *, colour: str | None = None) -> None:
    """Write one line at once; it never mixes with what a command writes to standard output."""
    clear_progress()
    if colour and _is_terminal() and not os.environ.get("NO_COLOR"):
        message = click.style(message, fg=colour)
    print(message, file=sys.stderr, flush=True)


def progress(message: str) -> None:
    """Show how far something is, until the next line; nothing where there is no terminal."""
    global _progress
    if _is_terminal():
        _progress = message[: shutil.get_terminal_size().columns - 1]
        print(_CLEAR + _progress, end="", file=sys.stderr, flush=True)


def clear_progress() -> None:
    """Take away what `progress` shows."""
    global _progress
    if _progress:
        _progress = ""
        print(_CLEAR, end="", file=sys.stderr, flush=True)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
