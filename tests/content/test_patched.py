"""WSGI apps whose first line replaces the standard library's threads, sockets and sleep."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.deployed import Content
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import (
    LocalConnect,
    content_processes,
    eventually,
    running_server,
    wait_until_none_is_left,
)

#: an app's first line, and where `time.sleep` then comes from
FIRST_LINES = {
    "plain": ("", "time"),
    "gevent": ("from gevent import monkey; monkey.patch_all()", "gevent.hub"),
    "gevent without threads": (
        "from gevent import monkey; monkey.patch_all(thread=False)",
        "gevent.hub",
    ),
    "eventlet": ("import eventlet; eventlet.monkey_patch()", "eventlet.greenthread"),
}

#: the app's own waitress is older than what serves it
REQUIREMENTS = b"gevent>=24,<27\neventlet>=0.38,<1\nwaitress==2.1.2\n"

#: requests at a time
THREADS = 4

APP = """
import atexit
import importlib.metadata
import sys
import threading
import time

import waitress

atexit.register(print, "ended well", flush=True)
lock = threading.Lock()
now = most = 0


def slow():
    global now, most
    with lock:
        now += 1
        most = max(most, now)
    time.sleep(0.2)
    with lock:
        now -= 1
    return most


def spin():
    print("begins to spin", flush=True)
    while True:
        pass


VIEWS = {
    "/slow": slow,
    "/spin": spin,
    "/exit": sys.exit,
    "/sleep": lambda: time.sleep.__module__,
    "/waitress": lambda: (
        importlib.metadata.version("waitress"),
        waitress.__file__.startswith(sys.prefix),
    ),
}


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for part in (b"first ", b"second"):
        yield part
        time.sleep(0.1)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/stream":
        return stream(environ, start_response)
    text = str(VIEWS[environ["PATH_INFO"]]())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode() + environ["wsgi.input"].read()]
"""


def publish(server: LocalConnect, first_line: str) -> Content:
    content = create(
        server, access_type="all", max_processes=1, max_conns_per_process=THREADS, read_timeout=20
    )
    files = {
        "app.py": f"{first_line}\n{APP}".encode(),
        "requirements.txt": REQUIREMENTS,
    }
    task = deploy(content, upload(content, archive_of(files)))
    assert task["code"] == 0, "\n".join(task["output"])
    return content


@pytest.fixture(scope="module", params=FIRST_LINES)
def patched(request: pytest.FixtureRequest, server: LocalConnect) -> tuple[Content, str]:
    """An app, and the module that its `time.sleep` is of."""
    first_line, module = FIRST_LINES[request.param]
    return publish(server, first_line), module


def ask(content: Content, path: str, body: bytes = b"") -> httpx.Response:
    return content.server.request("POST", content.path + path, user=None, content=body)


def test_a_patched_app_answers(patched: tuple[Content, str]) -> None:
    content, module = patched
    assert ask(content, "sleep").text == module
    assert ask(content, "sleep", body=bytes(1 << 21)).content == module.encode() + bytes(1 << 21)
    assert ask(content, "stream").text == "first second"
    assert ask(content, "waitress").text == "('2.1.2', True)"
    for _ in range(THREADS + 1):
        assert ask(content, "exit").status_code == 500
    with ThreadPoolExecutor(3 * THREADS) as pool:
        answers = list(pool.map(lambda _: ask(content, "slow"), range(3 * THREADS)))
    assert max(int(answer.text) for answer in answers) == THREADS


@pytest.mark.parametrize("path", ["", "spin"], ids=["idle", "at work"])
def test_a_patched_app_ends_when_it_is_told_to(patched: tuple[Content, str], path: str) -> None:
    content, _ = patched
    server = content.server
    assert ask(content, "sleep").status_code == 200
    seen = len(server.output)
    (job,) = (job for job in server.get(f"{content.api}/jobs").json() if not job["end_time"])
    with ThreadPoolExecutor(1) as pool:
        if path:
            pool.submit(ask, content, path)
            assert eventually(lambda: "begins to spin" in server.output[seen:])
        ended = server.request("DELETE", f"{content.api}/jobs/{job['key']}")
    assert ended.is_success, ended.text
    assert eventually(lambda: "| ended well\n" in server.output[seen:])


def test_a_patched_app_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        for name in ("gevent", "eventlet"):
            publish(server, FIRST_LINES[name][0])
        assert len(content_processes(data)) == 2
        server.kill()
        wait_until_none_is_left(data)
