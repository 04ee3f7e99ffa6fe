"""The first schema of the database, and what to compare of two."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA_1 = Path(__file__).with_name("schema-1.sql").read_text("utf-8")


def schema(path: Path) -> dict[str, Any]:
    """The columns, keys and indexes of each table."""
    with closing(sqlite3.connect(path)) as database:
        return _schema(database)


def schema_of_text(text: str) -> dict[str, Any]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(text)
        return _schema(database)


def _schema(database: sqlite3.Connection) -> dict[str, Any]:
    tables = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return {
        table: {
            pragma: sorted(row[1:] for row in database.execute(f"PRAGMA {pragma}({table})"))
            for pragma in ("table_info", "foreign_key_list", "index_list")
        }
        for (table,) in tables.fetchall()
    }
