"""What content processes and builds did: a record of each, and what it printed, for a while."""

from __future__ import annotations

import json
import os
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

#: finished processes and finished builds of one content that are kept, with their logs
_KEPT = 20

#: Connect's names for a job that runs content, by its type (documented in posit-sdk)
_TAGS = {"python-api": "run_python_api", "python-fastapi": "run_fastapi_app"}

#: Connect's name for a job that builds an environment (documented)
BUILD = "python_restore"

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
        return self._begin(job)

    def begin_build(self, key: str, *, content_guid: str, bundle_id: int) -> None:
        """Record a build that is asked for; this server's own process does it."""
        job = Job(
            key=key,
            content_guid=content_guid,
            bundle_id=bundle_id,
            pid=os.getpid(),
            tag=BUILD,
            hostname=socket.gethostname(),
        )
        self._begin(job)

    def _begin(self, job: Job) -> JobLog:
        with _reporting_errors(), self._store.session() as session:
            session.add(job)
        with _reporting_errors():
            self._forget_oldest(job)
        return self.open_log(job.key)

    def open_log(self, key: str) -> JobLog:
        return JobLog(self._store.jobs / f"{key}.log")

    def end(self, key: str, exit_code: int | None) -> None:
        """Record that a process or a build has ended, unless that is known."""
        with _reporting_errors(), self._store.session() as session:
            if job := session.query(Job).filter_by(key=key, status=ACTIVE).one_or_none():
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
        return self.open_log(key).read()

    def _forget_oldest(self, newest: Job) -> None:
        finished = [
            job
            for job in self.find(newest.content_guid)
            if job.status == FINISHED and (job.tag == BUILD) == (newest.tag == BUILD)
        ]
        for job in finished[_KEPT:]:
            with self._store.session() as session:
                session.delete(session.get_one(Job, job.id))
            (self._store.jobs / f"{job.key}.log").unlink(missing_ok=True)


@contextmanager
def _reporting_errors() -> Iterator[None]:
    """Report a database that cannot be written, such as on a full disk, instead of failing.

    Processes and builds start and end all the same; only the record of it is lost.
    """
    try:
        yield
    except DatabaseError as error:
        log(f"A job could not be recorded: {error.orig}")


class JobLog:
    """The lines that one job printed, oldest first, in a file of bounded size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size if path.exists() else 0

    def write(self, line: str) -> None:
        """Add one line. On a full disk the line is lost, and nothing else fails."""
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
