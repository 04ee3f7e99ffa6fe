"""Runs a command that must not outlive whoever started it, however that ended.

`kept` starts this file as a process of its own, in a session of its own, which runs the command in
another. When its standard input ends, which happens even where its parent is killed, it stops the
command, and removes the command's directory.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


class Kept:
    """A command that runs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def running(self) -> bool:
        """Whether it has not ended by itself."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


@contextmanager
def kept(
    command: Sequence[str | Path],
    *,
    directory: Path | None = None,
    stop: signal.Signals = signal.SIGTERM,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    patience: float = 15,
) -> Iterator[Kept]:
    """The command until the end; then it gets the signal `stop`, and is killed if it does not heed.

    It has `patience` seconds to stop. What is left of its process group is killed then, and
    `directory` is removed. It prints to the file `log`, else where this process does.
    """
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else None
        ours, its = socket.socketpair()
        stack.callback(its.close)
        keeper = subprocess.Popen(
            [
                *(sys.executable, "-I", __file__),
                *(str(stop.value), str(patience), str(directory or "")),
                *map(str, command),
            ],
            stdin=its.fileno(),
            stdout=output,
            stderr=output,
            env=env,
            cwd=cwd,
            # Ctrl-C on the terminal is for whoever started it
            start_new_session=True,
        )
    with ours:
        try:
            pid = ours.recv(32)
            if not pid:
                raise OSError(f"{command[0]} cannot be run")
            yield Kept(int(pid))
        finally:
            ours.shutdown(socket.SHUT_WR)
            keeper.wait()


def main() -> None:
    number, patience, directory, *command = sys.argv[1:]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    # it is a socket: what is written to it is read by the parent
    os.write(0, str(process.pid).encode())
    ended = threading.Thread(target=process.wait, daemon=True)
    ended.start()
    # the parent writes nothing
    with suppress(OSError):
        os.read(0, 1)
    if ended.is_alive():
        process.send_signal(int(number))
        ended.join(float(patience))
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    ended.join()
    if directory:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
