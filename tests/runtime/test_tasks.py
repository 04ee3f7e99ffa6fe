"""Tasks: how they end, and how long they are answered for."""

import asyncio
import gc

import pytest

from local_connect.errors import NotFound
from local_connect.runtime.tasks import Task, Tasks

pytestmark = pytest.mark.quick


def nothing(_: Task) -> None:
    pass


async def no_work(_: Task) -> None:
    pass


def test_the_newest_tasks_are_kept() -> None:
    async def test() -> None:
        tasks = Tasks()

        def start() -> Task:
            return tasks.start("alice", no_work, at_start=nothing, at_end=nothing)

        first, second, *_ = [start() for _ in range(501)]
        await asyncio.gather(*tasks._running.values())
        assert tasks.get(first.id) is first
        # the one that begins now stands beside the 500 newest that have finished
        start()
        with pytest.raises(NotFound, match=f"There is no task {first.id}"):
            tasks.get(first.id)
        assert tasks.get(second.id) is second
        await tasks.stop()

    asyncio.run(test())


def test_work_that_fails_as_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    async def work(_: Task) -> None:
        raise ZeroDivisionError("by nothing")

    async def test() -> None:
        tasks = Tasks()
        task = tasks.start("alice", work, at_start=nothing, at_end=nothing)
        await asyncio.wait_for(task.wait(1, 5), 5)
        failure = "The server failed: ZeroDivisionError('by nothing'). Its own log has the details."
        assert (task.finished, task.code, task.error) == (True, 1, failure)
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(test())
    # asyncio tells what nobody has asked for
    assert "work" in caplog.text
    assert "ZeroDivisionError: by nothing" in caplog.text


def test_a_task_that_has_ended_is_not_cancelled() -> None:
    async def test() -> None:
        tasks = Tasks()
        task = tasks.start("alice", no_work, at_start=nothing, at_end=nothing)
        await asyncio.gather(*tasks._running.values())
        tasks.cancel(task.id, "It took too long.")
        assert (task.finished, task.code, task.error) == (True, 0, "")
        assert "It took too long." not in task.stopped

    asyncio.run(test())
