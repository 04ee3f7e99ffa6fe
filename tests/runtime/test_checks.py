"""Checks of the server: what fails them, and how a run of them is watched and ended."""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from packaging.version import Version

from local_connect.records.store import Bundle, Content, Store, User
from local_connect.runtime.checks import Checks, Run
from local_connect.runtime.environments import Python, Pythons

pytestmark = pytest.mark.quick

Meanwhile = Callable[[Checks, Run], Awaitable[None]]

OWN = Python(Version(".".join(map(str, sys.version_info[:3]))), sys.executable)


class Known(Pythons):
    """Interpreters that need no looking for."""

    def __init__(self, *pythons: Python) -> None:
        super().__init__()
        self.known = pythons

    async def all(self) -> tuple[Python, ...]:
        return self.known


def run(
    store: Store,
    *pythons: Python,
    meanwhile: Callable[[Checks, Run], Awaitable[None]] | None = None,
) -> Run:
    """A run of checks, once it has ended."""

    async def checking() -> Run:
        checks = Checks(store, Known(*pythons))
        try:
            run = checks.start()
            assert run.status == "requested"
            if meanwhile:
                await meanwhile(checks, run)
            while run.status in ("requested", "running"):
                await asyncio.sleep(0.001)
        finally:
            await checks.stop()
        return run

    return asyncio.run(checking())


def failures(run: Run) -> dict[str, str]:
    return {result.check.name: result.error for result in run.results if result.error}


def test_all_is_well(store: Store) -> None:
    done = run(store, OWN)
    assert (done.status, failures(done)) == ("done", {})
    names = [(result.check.group, result.check.name) for result in done.results]
    assert names == [
        *(("data", "directory"), ("data", "room"), ("data", "database")),
        *(("python", "uv"), ("python", "installation")),
    ]
    assert (done.passed, done.failed) == (5, 0)
    assert all(result.output for result in done.results)


def test_what_content_stands_on_is_gone(store: Store) -> None:
    user = User(username="alice", user_role="publisher")
    content = Content(name="greetings", owner_guid=user.guid, bundle_id=1)
    with store.session() as session:
        session.add(user)
        session.flush()
        session.add(content)
        session.flush()
        session.add(
            Bundle(
                id=1,
                content_guid=content.guid,
                created_by=user.guid,
                size=1,
                archive_md5="",
                archive_sha1="",
                manifest={},
                environment="e1",
            )
        )
    faults = failures(run(store))
    assert f"{store.archive(1)} is missing. Deploy it again." in faults["bundle"]
    assert "The environment of bundle 1 is missing" in faults["environment"]

    store.app_directory(1).mkdir(parents=True)
    store.archive(1).touch()
    python = store.environments / "e1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    python.chmod(0o700)
    faults = failures(run(store))
    assert faults == {"environment": f"{python} ended with status 3: broken"}


def test_a_python_that_is_another_or_none(store: Store, tmp_path: Path) -> None:
    other = Python(Version("3.9.1"), sys.executable)
    missing = Python(Version("3.9.2"), str(tmp_path / "none"))
    done = run(store, other, missing)
    said = [result.error for result in done.results if result.check.name == "installation"]
    assert f"says that it is Python {OWN.version}, not 3.9.1." in said[0]
    assert "none" in said[1]
    assert done.failed == 2


def test_a_directory_that_is_open_to_others(store: Store) -> None:
    store.data.chmod(0o755)
    assert "is open to other users (mode 055)." in failures(run(store))["directory"]


def test_a_disk_that_is_nearly_full(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(store.data)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert failures(run(store, OWN)) == {"room": f"Only 1,000 bytes are free in {store.data}."}


def test_a_database_with_faults(store: Store) -> None:
    with closing(sqlite3.connect(store.data / "local-connect.db")) as database:
        database.executescript(
            "CREATE TABLE faulty (number CHECK (number > 0));"
            "PRAGMA ignore_check_constraints = true;"
            "INSERT INTO faulty VALUES (-1);"
        )
    said = "SQLite finds faults in the database: CHECK constraint failed in faulty."
    assert failures(run(store, OWN)) == {"database": said}


def test_a_run_is_deleted_while_it_goes_on(store: Store) -> None:
    async def delete(checks: Checks, run: Run) -> None:
        checks.delete(run.id)
        assert checks.get(run.id) is None
        assert checks.all() == []

    stopped = run(store, OWN, meanwhile=delete)
    assert stopped.status == "canceled"


def test_what_a_deleted_run_has_started_is_ended(store: Store, tmp_path: Path) -> None:
    silent, number = tmp_path / "python", tmp_path / "number"
    silent.write_text(
        f"#!/bin/sh\necho $$ > {number}.new\nmv {number}.new {number}\nexec sleep 90\n"
    )
    silent.chmod(0o700)

    async def delete(checks: Checks, run: Run) -> None:
        async with asyncio.timeout(10):
            while not number.exists():
                await asyncio.sleep(0.001)
            # asyncio may be about to hand it over yet
            await asyncio.sleep(0.02)
        checks.delete(run.id)
        await checks.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(int(number.read_text()), 0)

    run(store, Python(OWN.version, str(silent)), meanwhile=delete)


def test_the_newest_runs_are_kept(store: Store) -> None:
    async def start_many(checks: Checks, first: Run) -> None:
        for _ in range(20):
            checks.start()
        assert len(checks.all()) == 20
        assert checks.get(first.id) is None

    run(store, meanwhile=start_many)
