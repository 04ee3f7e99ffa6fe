"""What the server says on its terminal: plain lines on standard error."""

from __future__ import annotations

import sys


def log(message: str) -> None:
    """Write one line at once; it never mixes with what a command writes to standard output."""
    print(message, file=sys.stderr, flush=True)
