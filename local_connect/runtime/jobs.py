"""What content processes did: a record of each, and what it printed, for a while."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import DatabaseError

from local_connect.log import log
from local_connect.records.store import Job, Store, now

#: bytes of a job's log; the older half is dropped when it grows beyond
_LOG_BYTES = 1 << 20

#: finished jobs of one content that are kept, with their logs
_KEPT = 20

#: Connect's names for a job that runs content, by its type (documented in posit-sdk)
_TAGS = {"python-api": "run_python_api", "python-fastapi": "run_fastapi_app"}

#: what Connect's API calls the states of a job (documented in posit-sdk)
ACTIVE, FINISHED = 0, 1


class Jobs:
    """The jobs of all content."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.session() as session:
            # what ran when the server was last killed has ended with it
            session.execute(
                update(Job).filter_by(status=ACTIVE).values(status=FINISHED, end_time=now())
            )
            known = set(session.scalars(select(Job.key)))
        for path in store.jobs.iterdir():
            if path.stem not in known:
                path.unlink()

    def begin(
        self, key: str, *, content_guid: str, bundle_id: int, app_mode: str, pid: int
    ) -> JobLog:
        """Record a process that starts, and open its log."""
        job = Job(
            key=key,
            content_guid=content_guid,
            bundle_id=bundle_id,
            pid=pid,
            tag=_TAGS[app_mode],
            hostname=socket.gethostname(),
        )
        with _as_far_as_possible(), self._store.session() as session:
            session.add(job)
        with _as_far_as_possible():
            self._forget_oldest(content_guid)
        return JobLog(self._store.jobs / f"{key}.log")

    def end(self, key: str, exit_code: int | None) -> None:
        """Record that a process has ended."""
        with _as_far_as_possible(), self._store.session() as session:
            if job := session.query(Job).filter_by(key=key).one_or_none():
                job.status = FINISHED
                job.end_time = now()
                job.exit_code = exit_code

    def find(self, content_guid: str) -> list[Job]:
        """The jobs of a content, newest first."""
        with self._store.session() as session:
            return list(
                session.scalars(
                    select(Job).filter_by(content_guid=content_guid).order_by(Job.id.desc())
                )
            )

    def log(self, key: str) -> list[dict[str, Any]]:
        """What a job printed: `source`, `timestamp` and `data` of each line."""
        return JobLog(self._store.jobs / f"{key}.log").read()

    def _forget_oldest(self, content_guid: str) -> None:
        finished = [job for job in self.find(content_guid) if job.status == FINISHED]
        for job in finished[_KEPT:]:
            with self._store.session() as session:
                session.delete(session.get_one(Job, job.id))
            (self._store.jobs / f"{job.key}.log").unlink(missing_ok=True)


@contextmanager
def _as_far_as_possible() -> Iterator[None]:
    """Let a process start and end even where a full disk keeps that off the record."""
    try:
        yield
    except DatabaseError as error:
        log(f"What processes do is not on record: {error.orig}")


class JobLog:
    """The lines that one process printed, oldest first, in a file of bounded size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size if path.exists() else 0

    def write(self, line: str) -> None:
        """Add one line; a full disk loses it, and nothing else."""
        entry = {
            "source": "stdout",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "data": line,
        }
        data = json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            if self._size + len(data) > _LOG_BYTES:
                self._drop_older_half()
            with self._path.open("ab") as file:
                file.write(data)
            self._size += len(data)
        except OSError:
            return

    def read(self) -> list[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith(b"}")]

    def _drop_older_half(self) -> None:
        kept: deque[bytes] = deque(self._path.read_bytes().splitlines(keepends=True))
        size = sum(map(len, kept))
        while size > _LOG_BYTES // 2:
            size -= len(kept.popleft())
        replacement = self._path.with_suffix(".new")
        replacement.write_bytes(b"".join(kept))
        replacement.replace(self._path)
        self._size = size
