"""Long work that a client watches: its output, line by line, and how it ended."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from local_connect.errors import ApiError, NotFound

#: finished tasks that are still answered for
_KEPT = 500


class TaskFailed(Exception):
    """The work failed for a reason that its owner can mend; the text says which and how."""


class Task:
    """One piece of work. `code` is 0 where it ended well; else `error` says why."""

    def __init__(self, owner_guid: str, at_end: Callable[[Task], None]) -> None:
        self.id = secrets.token_urlsafe(12)
        self.owner_guid = owner_guid
        self.output: list[str] = []
        self.finished = False
        self.code = 0
        self.error = ""
        #: why it ends where it is stopped
        self.stopped = "The server stopped before the work was done."
        self._at_end = at_end
        self._news = asyncio.Condition()

    async def log(self, text: str) -> None:
        """Add lines to the output and wake whoever waits for them."""
        async with self._news:
            self.output.extend(text.splitlines() or [""])
            self._news.notify_all()

    async def finish(self, error: str = "") -> None:
        """Say how it ended. What is to happen at the end happens before those who wait are told."""
        async with self._news:
            self.finished = True
            self.error = error
            self.code = 1 if error else 0
            self._at_end(self)
            self._news.notify_all()

    async def wait(self, first: int, seconds: float) -> None:
        """Return when there is output after line `first`, at the end, or when time is up."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: self.finished or len(self.output) > first)
        except TimeoutError:
            pass

    def answer(self, first: int = 0) -> dict[str, Any]:
        """The task as `GET v1/tasks/{id}` shows it (documented)."""
        return {
            "id": self.id,
            "output": self.output[first:],
            "last": len(self.output),
            "finished": self.finished,
            "code": self.code,
            "error": self.error,
            "result": None,
        }


class Tasks:
    """All tasks since the server started."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def start(
        self,
        owner_guid: str,
        work: Callable[[Task], Awaitable[None]],
        *,
        at_start: Callable[[Task], None],
        at_end: Callable[[Task], None],
    ) -> Task:
        """Begin `work` in the background; it reports through the task it is given.

        `at_start` is called first and may refuse by an exception; `at_end` however it ends.
        """
        task = Task(owner_guid, at_end)
        at_start(task)
        self._tasks[task.id] = task
        running = asyncio.create_task(self._run(task, work))
        self._running[task.id] = running
        running.add_done_callback(lambda _: self._running.pop(task.id))
        finished = [task_id for task_id, old in self._tasks.items() if old.finished]
        for task_id in finished[:-_KEPT]:
            del self._tasks[task_id]
        return task

    def get(self, task_id: str) -> Task:
        try:
            return self._tasks[task_id]
        except KeyError:
            raise NotFound(
                f"There is no task {task_id}. The server may have been restarted since."
            ) from None

    def cancel(self, task_id: str, reason: str) -> None:
        """Stop a task for this reason, if it still runs."""
        if running := self._running.get(task_id):
            self._tasks[task_id].stopped = reason
            running.cancel()

    async def stop(self, reason: str = "") -> None:
        """End what still runs; each task says why, or else that the server stopped."""
        # a task that is cancelled before its first step runs none of its own clean-up
        await asyncio.sleep(0)
        running = list(self._running.values())
        for task_id in list(self._running):
            self.cancel(task_id, reason or self._tasks[task_id].stopped)
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, task: Task, work: Callable[[Task], Awaitable[None]]) -> None:
        try:
            await work(task)
        except (TaskFailed, ApiError) as failure:
            await task.finish(str(failure))
        except asyncio.CancelledError:
            await task.finish(task.stopped)
            raise
        except Exception as failure:
            await task.finish(f"The server failed: {failure!r}. Its own log has the details.")
            raise
        else:
            await task.finish()
