"""Checks of the server itself, on demand: its data, its Pythons, and what its content stands on."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select, text
from uv import find_uv_bin

from local_connect.records.store import Bundle, Content, Store, now
from local_connect.runtime.environments import Python, Pythons

#: runs that are kept, the newest
_KEPT = 20

#: seconds that a command may take
_PATIENCE = 30

#: bytes that must be free in the data directory: a small environment has about as many
_ROOM = 100 << 20

REQUESTED, RUNNING, DONE, CANCELED = "requested", "running", "done", "canceled"


class CheckFailed(Exception):
    """What is wrong, in a sentence that names it."""


@dataclass(frozen=True)
class Check:
    """One thing to look at. `look` answers with what it saw, or raises an exception."""

    group: str
    name: str
    look: Callable[[], Awaitable[str]]
    #: which of several things of a kind it is about
    args: str = ""


@dataclass(frozen=True)
class Result:
    """What one check saw; `error` is empty where it passed."""

    check: Check
    output: str
    error: str


@dataclass
class Run:
    """One run of all checks."""

    id: str
    start_time: str = field(default_factory=now)
    hostname: str = field(default_factory=socket.gethostname)
    status: str = REQUESTED
    results: list[Result] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(1 for result in self.results if result.error)

    @property
    def passed(self) -> int:
        return len(self.results) - self.failed


class Checks:
    """The runs of checks since the server started, the newest twenty of them."""

    def __init__(self, store: Store, pythons: Pythons) -> None:
        self._store = store
        self._pythons = pythons
        self._ids = itertools.count(1)
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self) -> Run:
        """Begin to check everything, in the background."""
        run = Run(str(next(self._ids)))
        self._runs[run.id] = run
        self._tasks[run.id] = asyncio.create_task(self._check(run))
        self._tasks[run.id].add_done_callback(lambda _: self._tasks.pop(run.id))
        for run_id in list(self._runs)[:-_KEPT]:
            self.delete(run_id)
        return run

    def all(self) -> list[Run]:
        """Oldest first."""
        return list(self._runs.values())

    def get(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def delete(self, run_id: str) -> None:
        """Forget a run, and stop it where it still goes on."""
        run = self._runs.pop(run_id)
        if task := self._tasks.get(run_id):
            # one that is cancelled before its first step runs none of its own clean-up
            run.status = CANCELED
            task.cancel()

    async def stop(self) -> None:
        """End what still goes on."""
        running = list(self._tasks.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _check(self, run: Run) -> None:
        run.status = RUNNING
        async for check in self._checks():
            output, error = "", ""
            try:
                output = await check.look()
            except Exception as failure:
                # whatever it is, it is what the check is there to find
                error = str(failure) or repr(failure)
            run.results.append(Result(check, output, error))
        run.status = DONE

    async def _checks(self) -> AsyncIterator[Check]:
        yield Check("data", "directory", self._directory)
        yield Check("data", "room", self._room)
        yield Check("data", "database", self._database)
        yield Check("python", "uv", _uv)
        for python in await self._pythons.all():
            yield Check("python", "installation", _of(_installation, python), str(python.version))
        with self._store.session() as session:
            active = session.execute(
                select(Content, Bundle).join(Bundle, Bundle.id == Content.bundle_id)
            ).all()
        for content, bundle in active:
            yield Check("content", "bundle", _of(self._bundle, bundle), content.guid)
            yield Check("content", "environment", _of(self._environment, bundle), content.guid)

    async def _directory(self) -> str:
        """That files can be made in the data directory, and only by whoever runs the server."""
        with tempfile.TemporaryFile(dir=self._store.bundles) as file:
            file.write(b"written")
        if mode := self._store.data.stat().st_mode & 0o077:
            raise CheckFailed(f"{self._store.data} is open to other users (mode {mode:03o}).")
        return f"{self._store.data} can be written, and is private."

    async def _room(self) -> str:
        free = shutil.disk_usage(self._store.data).free
        if free < _ROOM:
            raise CheckFailed(f"Only {free:,} bytes are free in {self._store.data}.")
        return f"{free:,} bytes are free in {self._store.data}."

    async def _database(self) -> str:
        with self._store.session() as session:
            said = session.scalars(text("PRAGMA quick_check")).all()
        if said != ["ok"]:
            raise CheckFailed(f"SQLite finds faults in the database: {'; '.join(said)}.")
        return "SQLite finds no fault in the database."

    async def _bundle(self, bundle: Bundle) -> str:
        for path in (self._store.archive(bundle.id), self._store.app_directory(bundle.id)):
            if not path.exists():
                raise CheckFailed(f"Of bundle {bundle.id} {path} is missing. Deploy it again.")
        return f"Bundle {bundle.id} is there, packed and unpacked."

    async def _environment(self, bundle: Bundle) -> str:
        python = self._store.environments / str(bundle.environment) / "bin" / "python"
        if not python.exists():
            raise CheckFailed(
                f"The environment of bundle {bundle.id} is missing ({python}). Deploy it again."
            )
        return f"{bundle.environment}: {await _version_of(python)}"


def _of(look: Callable[..., Awaitable[str]], *about: object) -> Callable[[], Awaitable[str]]:
    """A check of one thing, to be done later."""

    async def later() -> str:
        return await look(*about)

    return later


async def _uv() -> str:
    return await _run(find_uv_bin(), "--version")


async def _installation(python: Python) -> str:
    said = await _version_of(python.executable)
    if said != f"Python {python.version}":
        raise CheckFailed(f"{python.executable} says that it is {said}, not {python.version}.")
    return f"{python.executable}: {said}"


async def _version_of(python: str | Path) -> str:
    return await _run(str(python), "-c", "import sys; print('Python', sys.version.split()[0])")


async def _run(*command: str) -> str:
    """What a command prints; raises where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    said = printed.decode("utf-8", "replace").strip()
    if process.returncode:
        raise CheckFailed(f"{command[0]} ended with status {process.returncode}: {said}")
    return said
