"""The command by which this machine gets a program that it lacks."""

from __future__ import annotations

import shutil


def installed_by(*, apt: str, brew: str) -> str:
    """The command that installs these packages, as Debian or Homebrew call them.

    On a machine with neither, what to install, in Debian's names.
    """
    if shutil.which("apt-get"):
        return f"sudo apt-get install {apt}"
    if shutil.which("brew"):
        return f"brew install {brew}"
    return f"install {apt}"
