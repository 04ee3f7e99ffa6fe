"""Who has asked for which content: counted as requests come, written once a second."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.exc import DatabaseError

from local_connect.log import log
from local_connect.records.store import Content, Hit, Store

#: hits of one content that are kept
KEPT = 10_000

#: characters of a path, a query or a header that are kept
_LENGTH = 500

#: seconds between two writes
_PAUSE = 1.0


class Hits:
    """The hits of all content: those on record, and those that are yet to be written.

    A server that is killed loses those of the last second. `answers` counts what was answered
    since the server started, by the content's GUID and the status, refusals included.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        #: the columns of each, with the time in seconds
        self._waiting: list[dict[str, Any]] = []
        self._writer: asyncio.Task[None] | None = None
        self.answers: Counter[tuple[str, int]] = Counter()
        #: hits since the server started, by the content's GUID
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        """Start to write what has come, once a second."""
        self._writer = asyncio.create_task(self._write_often())

    async def stop(self) -> None:
        """Write what is left."""
        if self._writer:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        self.write()

    def add(
        self,
        content_guid: str,
        bundle_id: int,
        user_guid: str | None,
        target: str,
        headers: Mapping[str, str],
    ) -> None:
        """Count one request; `target` is its path below the mount, with its query."""
        path, mark, query = target.partition("?")
        self.counts[content_guid] += 1
        self._waiting.append(
            {
                "content_guid": content_guid,
                "bundle_id": bundle_id,
                "user_guid": user_guid,
                "timestamp": time.time(),
                "path": path,
                "query": query if mark else None,
                "user_agent": headers.get("User-Agent"),
                "sec_fetch_dest": headers.get("Sec-Fetch-Dest"),
                "sec_fetch_site": headers.get("Sec-Fetch-Site"),
            }
        )

    def write(self) -> None:
        """Put what has come on record. Where the database cannot be written, it is lost."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        guids = {hit["content_guid"] for hit in waiting}
        try:
            with self._store.session() as session:
                # content may have been deleted meanwhile
                there = set(session.scalars(select(Content.guid).where(Content.guid.in_(guids))))
                rows = [_row(hit) for hit in waiting if hit["content_guid"] in there]
                if rows:
                    session.execute(insert(Hit), rows)
                for guid in there:
                    of_content = select(Hit.id).where(Hit.content_guid == guid)
                    oldest = of_content.order_by(Hit.id.desc()).offset(KEPT - 1).limit(1)
                    session.execute(
                        delete(Hit).where(
                            Hit.content_guid == guid, Hit.id < oldest.scalar_subquery()
                        )
                    )
        except DatabaseError as error:
            log(f"{len(waiting)} hits could not be recorded: {error.orig}")

    def find(
        self,
        *,
        contents: Collection[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        user_agent: str | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Hit]:
        """The hits of these contents, or of all, from `start` to `end`, both included.

        The next `limit` after the hit `after`, or the last `limit` before the hit `before`, in the
        order that is asked for.
        """
        self.write()
        conditions: list[ColumnElement[bool]] = []
        if contents is not None:
            conditions.append(Hit.content_guid.in_(contents))
        if start is not None:
            conditions.append(Hit.timestamp >= start)
        if end is not None:
            conditions.append(Hit.timestamp <= end)
        if user_agent is not None:
            conditions.append(Hit.user_agent == user_agent)
        if after is not None:
            conditions.append(Hit.id < after if newest_first else Hit.id > after)
        if before is not None:
            conditions.append(Hit.id > before if newest_first else Hit.id < before)
        # what ends at `before` is read backwards
        descending = newest_first != (before is not None)
        query = select(Hit).where(*conditions).limit(limit)
        query = query.order_by(Hit.id.desc() if descending else Hit.id)
        with self._store.session() as session:
            found = list(session.scalars(query))
        return found[::-1] if before is not None else found

    def total(self, content_guid: str) -> int:
        """How many hits of a content are on record, or about to be."""
        self.write()
        with self._store.session() as session:
            count = select(func.count()).where(Hit.content_guid == content_guid)
            return session.scalars(count).one()

    async def _write_often(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            self.write()


def _row(hit: dict[str, Any]) -> dict[str, Any]:
    """A hit as it is kept: its time in Connect's form, its text cut to a length."""
    at = datetime.fromtimestamp(hit["timestamp"], UTC)
    kept = {name: _kept(value) if isinstance(value, str) else value for name, value in hit.items()}
    return {**kept, "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _kept(text: str) -> str:
    """As much of a text as is kept; bytes of a request that are not UTF-8 become question marks."""
    return text[:_LENGTH].encode("utf-8", "replace").decode()
