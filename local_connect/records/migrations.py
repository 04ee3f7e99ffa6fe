"""Brings the database of an older local-connect forward to what this one reads.

`STEPS[n - 1]` leads from schema n to n + 1. A step stays as it is for ever, for whoever
has yet to take it; a new one goes to the end, and `store` says the same in its records.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from local_connect.errors import LocalConnectError
from local_connect.log import log

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE deployments (
            task_id VARCHAR NOT NULL,
            content_guid VARCHAR NOT NULL,
            bundle_id INTEGER NOT NULL,
            started_by VARCHAR NOT NULL,
            kind VARCHAR NOT NULL,
            activate BOOLEAN NOT NULL,
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
            start_time VARCHAR NOT NULL,
            end_time VARCHAR,
            error VARCHAR,
            output VARCHAR NOT NULL,
            UNIQUE (task_id),
            FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE
        )
        """,
        "CREATE INDEX ix_deployments_content_guid ON deployments (content_guid)",
    ),
    (
        """
        CREATE TABLE tokens (
            token VARCHAR NOT NULL,
            public_key VARCHAR NOT NULL,
            user_guid VARCHAR NOT NULL,
            created_time VARCHAR NOT NULL,
            PRIMARY KEY (token),
            FOREIGN KEY(user_guid) REFERENCES users (guid) ON DELETE CASCADE
        )
        """,
    ),
    (
        "ALTER TABLE groups ADD COLUMN owner_guid VARCHAR",
        "ALTER TABLE users ADD COLUMN administered BOOLEAN DEFAULT '0' NOT NULL",
        "ALTER TABLE users ADD COLUMN updated_time VARCHAR",
    ),
    (
        "ALTER TABLE content ADD COLUMN locked BOOLEAN DEFAULT '0' NOT NULL",
        "ALTER TABLE content ADD COLUMN locked_message VARCHAR DEFAULT '' NOT NULL",
    ),
    ("ALTER TABLE bundles ADD COLUMN warnings JSON NOT NULL DEFAULT '[]'",),
    (
        """
        CREATE TABLE integrations (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
            template VARCHAR NOT NULL,
            auth_type VARCHAR NOT NULL,
            name VARCHAR NOT NULL,
            guid VARCHAR NOT NULL,
            description VARCHAR NOT NULL,
            config JSON NOT NULL,
            permissions JSON NOT NULL,
            created_time VARCHAR NOT NULL,
            updated_time VARCHAR NOT NULL,
            UNIQUE (guid)
        )
        """,
        """
        CREATE TABLE associations (
            content_guid VARCHAR NOT NULL,
            integration_guid VARCHAR NOT NULL,
            created_time VARCHAR NOT NULL,
            PRIMARY KEY (content_guid, integration_guid),
            FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE,
            FOREIGN KEY(integration_guid) REFERENCES integrations (guid) ON DELETE CASCADE
        )
        """,
        """
        CREATE TABLE oauth_sessions (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
            user_guid VARCHAR NOT NULL,
            integration_guid VARCHAR NOT NULL,
            guid VARCHAR NOT NULL,
            created_time VARCHAR NOT NULL,
            updated_time VARCHAR NOT NULL,
            UNIQUE (user_guid, integration_guid),
            UNIQUE (guid),
            FOREIGN KEY(user_guid) REFERENCES users (guid) ON DELETE CASCADE,
            FOREIGN KEY(integration_guid) REFERENCES integrations (guid) ON DELETE CASCADE
        )
        """,
    ),
    (
        """
        CREATE TABLE repositories (
            content_guid VARCHAR NOT NULL,
            repository VARCHAR NOT NULL,
            branch VARCHAR NOT NULL,
            directory VARCHAR NOT NULL,
            polling BOOLEAN NOT NULL,
            last_known_commit VARCHAR NOT NULL,
            last_error VARCHAR NOT NULL,
            PRIMARY KEY (content_guid),
            FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE
        )
        """,
    ),
    (
        """
        CREATE TABLE hits (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
            content_guid VARCHAR NOT NULL,
            bundle_id INTEGER NOT NULL,
            user_guid VARCHAR,
            timestamp VARCHAR NOT NULL,
            path VARCHAR NOT NULL,
            query VARCHAR,
            user_agent VARCHAR,
            sec_fetch_dest VARCHAR,
            sec_fetch_site VARCHAR,
            FOREIGN KEY(content_guid) REFERENCES content (guid) ON DELETE CASCADE
        )
        """,
        "CREATE INDEX ix_hits_content_guid ON hits (content_guid, id)",
    ),
)

#: the schema that this local-connect reads and writes
LATEST = len(STEPS) + 1


def bring_forward(connection: Connection, path: Path, version: int) -> None:
    """Take every step from schema `version` to the latest, all of them or none.

    The file is copied aside first. Raises `LocalConnectError` where a step fails; then the
    file is as it was. `connection` is in a transaction when this returns.
    """
    copy = path.with_name(f"{path.name}.schema-{version}")
    try:
        _copy(connection, copy)
        # else SQLite would make each change of a table at once
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        for statements in STEPS[version - 1 :]:
            for statement in statements:
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"PRAGMA user_version = {LATEST}")
    except (DatabaseError, sqlite3.Error, OSError) as error:
        reason = error.orig if isinstance(error, DatabaseError) else error
        raise LocalConnectError(
            f"The database {path} could not be brought from schema {version} to {LATEST}: "
            f"{reason}. It is as it was, and the local-connect that wrote it still reads it. "
            "Mend the cause and start again, or name another directory with --data."
        ) from error
    log(f"{path} is brought from schema {version} to {LATEST}; it was copied to {copy.name} first.")


def _copy(connection: Connection, copy: Path) -> None:
    """Write the database, with what is still in its journal, to another file."""
    source = connection.connection.driver_connection
    assert isinstance(source, sqlite3.Connection)  # noqa: S101 (for the type checker)
    half = copy.with_name(f"{copy.name}.half")
    try:
        with closing(sqlite3.connect(half)) as target:
            source.backup(target)
        half.replace(copy)
    finally:
        half.unlink(missing_ok=True)
