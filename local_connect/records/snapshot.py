"""A copy of the records and bundles of one moment, to go back to.

It lies in the data directory as `seed/`: `<mark>.db`, whose name says what it is a copy of, and the
archives of the bundles as `<id>.tar.gz`.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from sqlalchemy import delete, select, update

from local_connect.records import migrations
from local_connect.records.reading import opened
from local_connect.records.store import Base, Content, Integration, Store, Tag, User

#: what begins anew each time, so that no copy of it is kept
_PASSING = ("jobs", "hits", "oauth_sessions")


class Snapshot:
    """The one snapshot of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = store.data / "seed"

    def take(self, mark: str) -> None:
        """Keep how everything is now, in place of what was kept before."""
        self.discard()
        self._directory.mkdir(mode=0o700)
        copy = self._database(mark)
        incoming = copy.with_suffix(".new")
        with self._store.engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(incoming),))
        with closing(sqlite3.connect(incoming)) as kept, kept:
            for table in _PASSING:
                kept.execute(f"DELETE FROM {table}")  # noqa: S608 (ours)
        for bundle_id in _bundles(incoming):
            shutil.copy2(self._store.archive(bundle_id), self.archive(bundle_id))
        incoming.replace(copy)

    def discard(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def is_of(self, mark: str) -> bool:
        """Whether there is one under this mark, in the schema that the database has now."""
        path = self._database(mark)
        if not path.is_file():
            return False
        with opened(path) as kept:
            (schema,) = kept.execute("PRAGMA user_version").fetchone()
        return bool(schema == migrations.LATEST)

    def archive(self, bundle_id: int) -> Path:
        return self._directory / f"{bundle_id}.tar.gz"

    def bundles(self) -> list[int]:
        """The ids of the bundles in it."""
        return [bundle_id for path in self._databases() for bundle_id in _bundles(path)]

    def environments(self) -> set[str]:
        """The names of the environments that its bundles run in."""
        found = set()
        for path in self._databases():
            with opened(path) as kept:
                found |= {name for (name,) in kept.execute("SELECT environment FROM bundles")}
        return found - {None}

    def restore(self, mark: str) -> None:
        """Give the database the records of the snapshot in place of its own, all or nothing."""
        with opened(self._database(mark)) as kept:
            rows = {
                table.name: [dict(row) for row in kept.execute(f'SELECT * FROM "{table.name}"')]  # noqa: S608 (ours)
                for table in Base.metadata.sorted_tables
            }
        with self._store.session() as session:
            connection = session.connection()
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())
            # a tag may lie below one that was made after it
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for name, found in rows.items():
                if found:
                    columns = ", ".join(f'"{column}"' for column in found[0])
                    values = ", ".join(f":{column}" for column in found[0])
                    connection.exec_driver_sql(
                        f'INSERT INTO "{name}" ({columns}) VALUES ({values})',  # noqa: S608 (ours)
                        found,
                    )

    def _database(self, mark: str) -> Path:
        return self._directory / f"{mark}.db"

    def _databases(self) -> list[Path]:
        return list(self._directory.glob("*.db"))


def is_new(store: Store) -> bool:
    """Whether nothing is on record but what a new server begins with."""
    with store.session() as session:
        changed = (
            select(Content.id),
            select(Tag.id),
            select(Integration.id).offset(1),
            select(User.guid).where(User.administered),
        )
        return all(session.scalars(query.limit(1)).first() is None for query in changed)


def clear(store: Store, usernames: Collection[str]) -> None:
    """Remove all records but the users of these names, who keep their GUIDs and keys.

    What was changed of those through the API is for the identities of the server to say again.
    """
    with store.session() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name != User.__tablename__:
                session.execute(table.delete())
        session.execute(delete(User).where(User.username.not_in(usernames)))
        session.execute(update(User).values(administered=False))


def _bundles(database: Path) -> list[int]:
    with opened(database) as kept:
        return [bundle_id for (bundle_id,) in kept.execute("SELECT id FROM bundles ORDER BY id")]
