"""Starts commands that must not outlive the server, however the server ends."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from local_connect.content import lifeline


@asynccontextmanager
async def started(
    *command: str, cwd: Path, environment: Mapping[str, str], stderr: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command with its output in a pipe, and `stderr` as in `create_subprocess_exec`.

    Where the block is left before the command has ended, it is killed, with all that it started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, lifeline.__file__, str(theirs.fileno())),
            *command,
            cwd=cwd,
            env=environment,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    try:
        yield process
    finally:
        ours.close()
        for pipe in filter(None, (process.stdout, process.stderr)):
            # asyncio does not tell of the end of a process while there is something left to read
            while await pipe.read(1 << 16):
                pass
        await process.wait()
