"""The database away, at the start and later; and several processes that start at once."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.services import postgres
from tests.examples.react.conftest import REACT, Database, migrate
from tests.targets import Content, Target
from tests.targets.process import Process

#: does what the app does at its start, when its input ends
START = """
import sys
from companies import create_app
from companies.reports import prepare
with create_app("production").app_context():
    print("ready", flush=True)
    sys.stdin.read()
    prepare()
"""


@pytest.fixture
def running(targets: dict[str, Target], server: postgres.Server) -> Iterator[Content]:
    """The example, started while its database is away."""
    server.stop()
    target = targets[Process.name]
    assert isinstance(target, Process)
    running = target.launch(REACT, env={"DATABASE_URL": server.url})
    yield running
    running.close()


def is_away(answer: httpx.Response) -> bool:
    if answer.status_code != 503:
        return False
    assert int(answer.headers["Retry-After"]) > 0
    assert set(answer.json()) == set(REACT.errors)
    assert "database" in answer.json()["message"]
    return True


@pytest.mark.services("postgres")
def test_the_database_goes_away_and_is_back(
    running: Content, server: postgres.Server, python: Path
) -> None:
    path = str(REACT.private)
    assert is_away(running.get(path))
    # what needs no database answers all the same
    assert running.get("api_1_0/user").json() == {"name": "alice"}
    assert running.get("").status_code == 200

    server.start()
    assert is_away(running.get(path)), "there are no tables yet"
    database = Database(server.url, python)
    migrate(database)
    assert running.get(path).json() == {"items": []}

    for command in (["load", "companies.json"], ["run"]):
        done = database.run("db_engine.py", "--production", *command)
        assert done.returncode == 0, done.stderr
    assert len(running.get(path).json()["items"]) == 5

    server.stop()
    assert is_away(running.get(path))
    assert is_away(running.get("api_1_0/finance/1/2015"))
    done = database.run("db_engine.py", "--production", "run")
    assert done.returncode == 1
    assert done.stderr.startswith("The database cannot be used: ")
    assert "Traceback" not in done.stderr

    server.start()
    # with the connections of before, which are of no use any more
    assert len(running.get(path).json()["items"]) == 5


def test_several_processes_make_one_sqlite_file(tmp_path: Path, python: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/database.db", python)
    starts = [
        subprocess.Popen(
            [python, "-c", START],
            cwd=REACT.path,
            env=database.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for start in starts:
        assert start.stdout is not None
        assert start.stdout.readline() == b"ready\n"
    for start in starts:
        assert start.stdin is not None
        start.stdin.close()
    assert [start.wait() for start in starts] == [0] * 4
    for start in starts:
        assert start.stdout is not None
        start.stdout.close()
    assert len(database.contents()["years"]) == 5


def test_what_is_no_database(python: Path) -> None:
    for url in ("mysql://me:secret@host/name", "name", "postgresql://me:secret@host:port/name"):
        done = Database(url, python).run("app.py")
        assert done.returncode == 1
        assert done.stderr.startswith("DATABASE_URL ")
        assert "postgresql://" in done.stderr
        assert "secret" not in done.stderr
