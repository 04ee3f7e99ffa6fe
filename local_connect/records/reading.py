"""Reads a database that a server may be using, without changing anything there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """The database, to be read only; its rows answer to the names of their columns."""
    uri = f"{database.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection
