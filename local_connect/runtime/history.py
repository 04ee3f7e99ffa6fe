"""What deployments printed and how they ended, kept over restarts of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError

from local_connect.log import log
from local_connect.records.store import Deployment, Store, now
from local_connect.runtime.tasks import Task

#: deployments of one content that are kept
_KEPT = 50

#: characters of a deployment's output; its beginning is dropped where it is longer
_OUTPUT = 1 << 20

Kind = Literal["deploy", "build"]


class History:
    """The deployments and builds of all content.

    `ended` counts those that ended since the server started, by their kind and by whether they
    did so well.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ended: Counter[tuple[Kind, bool]] = Counter()
        #: what goes on, by the id of its task
        self.running: dict[str, Kind] = {}
        with store.session() as session:
            # what went on when the server was last killed has ended with it
            session.execute(
                update(Deployment)
                .filter_by(end_time=None)
                .values(end_time=now(), error="The server ended before the work was done.")
            )

    def begin(
        self, task: Task, *, content_guid: str, bundle_id: int, kind: Kind, activate: bool
    ) -> None:
        """Record a task that starts, under its id; the content's oldest records go."""
        with self._store.session() as session:
            session.add(
                Deployment(
                    task_id=task.id,
                    content_guid=content_guid,
                    bundle_id=bundle_id,
                    started_by=task.owner_guid,
                    kind=kind,
                    activate=activate,
                )
            )
            session.flush()
            ended = (
                select(Deployment.id)
                .where(Deployment.content_guid == content_guid, Deployment.end_time.is_not(None))
                .order_by(Deployment.id.desc())
                .offset(_KEPT - 1)
            )
            session.execute(delete(Deployment).where(Deployment.id.in_(ended)))
        self.running[task.id] = kind

    def end(self, task: Task) -> None:
        """Record how a task ended. Where the database cannot be written, that is logged only."""
        self.ended[self.running.pop(task.id), not task.error] += 1
        try:
            with self._store.session() as session:
                session.execute(
                    update(Deployment)
                    .filter_by(task_id=task.id)
                    .values(end_time=now(), error=task.error or None, output=_bounded(task.output))
                )
        except DatabaseError as error:
            log(f"The record of task {task.id} could not be completed: {error.orig}")

    def find(self, content_guid: str) -> list[Deployment]:
        """The deployments and builds of a content, newest first."""
        with self._store.session() as session:
            return list(
                session.scalars(
                    select(Deployment)
                    .filter_by(content_guid=content_guid)
                    .order_by(Deployment.id.desc())
                )
            )


def _bounded(lines: Iterable[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    if len(text) <= _OUTPUT:
        return text
    return f"[{len(text) - _OUTPUT:,} characters before this are not kept]\n{text[-_OUTPUT:]}"
