"""Workers on machines of their own, one of which is cut off in the middle of a task."""

import os
import signal
from pathlib import Path

import pytest

from scripts.services.valkey import Server
from tests import machines
from tests.examples.celery.conftest import Stack, comes
from tests.examples.celery.source import serving
from tests.targets.process import Process

pytestmark = pytest.mark.services("valkey")

PORT = 6379


def test_a_worker_that_is_cut_off_and_comes_back(newest: Process, tmp_path: Path) -> None:
    """The other worker ends its task; back again, it changes nothing, and works as before."""
    if reason := machines.missing():
        pytest.skip(reason)
    with (
        machines.network(2) as (middle, around),
        serving(middle.listener()) as source,
        Server(tmp_path, enter=middle.enter, address=(machines.ADDRESS, PORT)) as server,
    ):
        # the API is on this machine, which reaches Valkey by its socket alone
        own = Stack(newest, source, tmp_path, server.url, task_seconds=4)
        try:
            workers = {
                f"worker{number}": own.start(
                    "worker",
                    enter=machine.enter,
                    log=f"worker{number}",
                    REDIS_URL=f"redis://{machines.ADDRESS}:{PORT}/0",
                )
                for number, machine in enumerate(around)
            }
            assert own.refreshed()["result"]["result"] == "changed"
            assert own.texts() == {"en": "Hello"}

            source.has({"en": "done by the other"}, "other")
            source.pause = 1
            source.is_asked.clear()
            task = own.request()
            assert source.is_asked.wait(30)
            ran = f"Task tasks.refresh[{task.removeprefix('tasks/')}]"
            (first,) = (name for name in workers if ran in own.log(name))
            (second,) = workers.keys() - {first}
            cut_off = around[list(workers).index(first)]
            cut_off.cut_off()
            source.pause = 0
            assert own.ended(task)["result"]["result"] == "changed"
            assert f"{ran} succeeded" in own.log(second)
            assert own.texts() == {"en": "done by the other"}

            source.has({"en": "newer"}, "newer")
            assert own.refreshed()["result"]["result"] == "changed"
            cut_off.come_back()
            # what it began comes to its end, too, and finds nothing left to do
            comes(lambda: sum(own.log(name).count(f"{ran} succeeded") for name in workers) == 2)
            assert own.task(task)["result"]["result"] == "changed"
            assert own.texts() == {"en": "newer"}

            # the other goes, and it is the only one
            os.kill(workers[second].pid, signal.SIGKILL)
            comes(lambda: not workers[second].running)
            source.has({"en": "after all"}, "all")
            assert own.refreshed()["result"]["result"] == "changed"
            assert own.texts() == {"en": "after all"}
        finally:
            own.close()
