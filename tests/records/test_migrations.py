"""How the database of an older local-connect is brought forward, or left as it was."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from local_connect.errors import LocalConnectError
from local_connect.records import migrations
from local_connect.records.store import Store
from tests.records.schemas import SCHEMA_1, schema

pytestmark = pytest.mark.quick


def older(data: Path, version: int) -> Path:
    """The database that a local-connect of that schema would have left in the data directory."""
    data.mkdir()
    path = data / "local-connect.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA_1)
        for statements in migrations.STEPS[: version - 1]:
            for statement in statements:
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {version}")
    return path


def bring_forward(path: Path) -> None:
    """Bring a database of the first schema forward."""
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            migrations.bring_forward(connection, path, 1)
    finally:
        engine.dispose()


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def version_of(path: Path) -> Any:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA user_version").fetchone()[0]


@pytest.mark.parametrize("version", range(1, migrations.LATEST))
def test_each_schema_becomes_that_of_a_new_directory(tmp_path: Path, version: int) -> None:
    Store(tmp_path / "new").close()
    path = older(tmp_path / "old", version)
    before = contents(path)
    Store(tmp_path / "old").close()
    assert schema(path) == schema(tmp_path / "new" / "local-connect.db")
    assert version_of(path) == migrations.LATEST
    # what it was is kept beside it
    assert contents(path.with_name(f"{path.name}.schema-{version}")) == before
    # and the next start has nothing to do
    after = contents(path)
    Store(tmp_path / "old").close()
    assert contents(path) == after


def test_records_stay(tmp_path: Path) -> None:
    path = older(tmp_path / "data", 1)
    execute(
        path,
        "INSERT INTO users (username, user_role, api_key, email, first_name, last_name, guid, "
        "created_time, locked) VALUES ('alice', 'publisher', 'key', '', 'Zoë', '', 'guid', '', 0)",
    )
    bring_forward(path)
    with closing(sqlite3.connect(path)) as database:
        users = database.execute("SELECT first_name, api_key, administered FROM users").fetchall()
    assert users == [("Zoë", "key", 0)]


def test_a_copy_that_cannot_be_made_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = older(tmp_path / "data", 1)
    before = contents(path)
    copy = path.with_name("local-connect.db.schema-1")
    copy.mkdir()
    with pytest.raises(LocalConnectError, match=r"Is a directory.* It is as it was"):
        bring_forward(path)
    assert contents(path) == before
    assert not list(path.parent.glob("*.half"))
    copy.rmdir()
    bring_forward(path)
    assert version_of(path) == migrations.LATEST


@pytest.mark.parametrize(
    "obstacle",
    [
        # of the second statement of the first step, and of the last step
        "CREATE INDEX ix_deployments_content_guid ON jobs (key)",
        "ALTER TABLE bundles ADD COLUMN warnings TEXT",
    ],
)
def test_a_step_that_fails_leaves_all_as_it_was(tmp_path: Path, obstacle: str) -> None:
    path = older(tmp_path / "data", 1)
    execute(path, obstacle)
    before = contents(path)
    with pytest.raises(LocalConnectError, match="Mend the cause and start again"):
        bring_forward(path)
    assert contents(path) == before
    assert version_of(path) == 1


def test_a_database_of_a_newer_local_connect_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "data").close()
    path = tmp_path / "data" / "local-connect.db"
    newer = migrations.LATEST + 1
    execute(path, f"PRAGMA user_version = {newer}")
    before = contents(path)
    # and a second time, as the first has let the directory go
    for _ in range(2):
        with pytest.raises(LocalConnectError, match=f"newer local-connect .schema {newer}"):
            Store(tmp_path / "data")
    assert contents(path) == before
