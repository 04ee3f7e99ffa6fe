"""A data directory that an older local-connect wrote, served by this one.

The steps from one schema to the next are in `test_migrations.py`.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.deployed import Content
from tests.process_app import app, ask, deployments
from tests.publishing import archive_of, deploy, publish, upload
from tests.records.schemas import SCHEMA_1, schema, schema_of_text
from tests.servers import LocalConnect, running_server


def test_all_is_served_as_before(tmp_path: Path, server: LocalConnect) -> None:
    data = tmp_path / "data"
    with running_server(data) as old:
        content = publish(old, app(), title="سلام", idle_timeout=70)
        second = upload(content, archive_of({"app.py": app("two").encode()}))
        assert deploy(content, second)["code"] == 0
        tag: dict[str, Any] = {"id": None}
        for _ in range(2):
            fields = {"name": "old", "parent_id": tag["id"]}
            tag = old.request("POST", "/__api__/v1/tags", user="admin", json=fields).json()
        bob = {"principal_guid": old.users["bob"].guid, "principal_type": "user"}
        for method, path, body in (
            ("PATCH", "environment", [{"name": "COLOUR", "value": "blue"}]),
            ("PUT", "vanity", {"path": "/of-old/"}),
            ("POST", "tags", {"tag_id": tag["id"]}),
            ("POST", "permissions", {**bob, "role": "viewer"}),
        ):
            old.request(method, f"{content.api}/{path}", json=body).raise_for_status()
        users, before = old.users, everything(content)
        old.stop()
    make_older(data)

    with running_server(data, "--port", old.url.rpartition(":")[2]) as again:
        content = Content(again, content.guid)
        assert again.users == users
        assert everything(content) == before
        said = ask(content)
        assert (said["version"], said["colour"]) == ("two", "blue")
        assert again.get("/of-old/").json()["version"] == "two"
        assert "is brought from schema 1 to" in again.output
        assert deployments(content) == []
        assert deploy(content, content.bundles[1]["id"])["code"] == 0
        assert ask(content)["version"] == "one"
        assert len(deployments(content)) == 1
        again.stop()

    copy = data / "local-connect.db.schema-1"
    assert schema(copy) == schema_of_text(SCHEMA_1)
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT title FROM content").fetchall() == [("سلام",)]
    # what was moved forward is what a new directory has
    assert schema(data / "local-connect.db") == schema(server.data / "local-connect.db")


def everything(content: Content) -> dict[str, Any]:
    """What the API says of a content."""
    paths = ("", "bundles", "environment", "permissions", "tags", "vanity")
    server = content.server
    return {path: server.get(f"{content.api}/{path}".rstrip("/")).json() for path in paths}


def make_older(data: Path) -> None:
    """Give a data directory the first schema, with all the records that fit it."""
    newer = data / "newer.db"
    (data / "local-connect.db").rename(newer)
    with closing(sqlite3.connect(data / "local-connect.db")) as database:
        database.executescript(SCHEMA_1)
        database.execute("PRAGMA user_version = 1")
        database.execute("ATTACH ? AS newer", (str(newer),))
        for table in schema(data / "local-connect.db"):
            columns = ", ".join(
                row[1] for row in database.execute(f"PRAGMA main.table_info({table})")
            )
            statement = f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"  # noqa: S608
            database.execute(statement)
        database.commit()
    newer.unlink()
