"""Keeps a data directory to one server at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from local_connect.errors import LocalConnectError


def hold(data: Path) -> IO[str]:
    """Hold the data directory for this process alone, until what is returned is closed.

    Raises `LocalConnectError` with the process that holds it.
    """
    lock = (data / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise LocalConnectError(
            f"The data directory {data} is in use by another local-connect "
            f"(process {holder}). Stop that one, or name another directory with --data."
        ) from None
    # a full disk keeps the number away, not the lock
    with suppress(OSError):
        lock.truncate(0)
        os.write(lock.fileno(), str(os.getpid()).encode())
    return lock
