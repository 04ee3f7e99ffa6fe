"""A service that is shared by the workers of a test session, each of which is a process.

The first that needs it starts this file as a process, which starts the service and ends with the
last of them, however that ends: it reads from a named pipe that each of them has open for writing.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import services
from tests.catalogue import ROOT


@contextmanager
def shared(name: str, common: Path) -> Iterator[dict[str, str]]:
    """The service, until the last of those who share the directory `common` needs it no more.

    Raises `Unavailable` where it cannot be started.
    """
    pipe, answer = _files(name, common)
    with _locked(name, common):
        try:
            ours = _open(pipe)
        except OSError:
            pipe.unlink(missing_ok=True)
            answer.unlink(missing_ok=True)
            ours = _start(name, common)
        try:
            while not answer.exists():
                time.sleep(0.05)
                os.close(_open(pipe))
        except BaseException:
            os.close(ours)
            raise
    try:
        found = json.loads(answer.read_text("utf-8"))
        if "unavailable" in found:
            raise services.Unavailable(found["unavailable"])
        yield found["variables"]
    finally:
        os.close(ours)


def _open(pipe: Path) -> int:
    """The pipe for writing; an `OSError` where nobody is at its other end."""
    return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)


def _files(name: str, common: Path) -> tuple[Path, Path]:
    """The pipe, and what is said of the service once it is there."""
    return common / f"{name}.users", common / f"{name}.json"


@contextmanager
def _locked(name: str, common: Path) -> Iterator[None]:
    with (common / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(name: str, common: Path) -> int:
    """Start this file with the pipe as its input; the end for those who keep it running."""
    pipe, _ = _files(name, common)
    os.mkfifo(pipe)
    its = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    ours = os.open(pipe, os.O_WRONLY)
    os.set_blocking(its, True)
    try:
        # nobody waits for it, because it may outlive this process
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", __name__, name, str(common)],
            {**os.environ, "PYTHONPATH": str(ROOT)},
            file_actions=[(os.POSIX_SPAWN_DUP2, its, 0)],
            setsid=True,
        )
    finally:
        os.close(its)
    return ours


def main() -> None:
    name, common = sys.argv[1], Path(sys.argv[2])
    _, answer = _files(name, common)
    try:
        with services.started(name) as variables:
            _say(answer, {"variables": variables})
            _wait_for_the_last(name, common)
    except services.Unavailable as error:
        _say(answer, {"unavailable": str(error)})


def _wait_for_the_last(name: str, common: Path) -> None:
    """Return once nobody has the pipe open for writing, nor can open it any more."""
    pipe, _ = _files(name, common)
    while True:
        os.set_blocking(0, True)
        os.read(0, 1)
        with _locked(name, common):
            os.set_blocking(0, False)
            try:
                os.read(0, 1)
            except BlockingIOError:
                # somebody came in between
                continue
            pipe.unlink()
            return


def _say(answer: Path, found: dict[str, object]) -> None:
    written = answer.with_suffix(".new")
    written.write_text(json.dumps(found), "utf-8")
    written.rename(answer)


if __name__ == "__main__":
    main()
