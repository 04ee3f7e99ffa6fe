"""`local-connect --watch DIR --debug`: a debugger attaches to the app, as an editor does."""

import importlib.util
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from local_connect.client import debugger
from local_connect.errors import LocalConnectError
from tests.servers import LOCAL_CONNECT, environment, eventually

PATIENCE = 60

#: seconds after which an editor gives up to attach: it may have met a process that is ending
ATTACHING = 5

APP = """
def app(environ, start_response):
    path = environ["PATH_INFO"]
    found = f"seen {path}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [found.encode()]
"""

#: the one after it is set
LINE = APP.splitlines().index('    start_response("200 OK", [("Content-Type", "text/plain")])') + 1


class Editor:
    """What an editor says to a debugger, by the Debug Adapter Protocol."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        where = configuration["connect"]
        self._socket = socket.create_connection((where["host"], where["port"]), timeout=ATTACHING)
        self._file = self._socket.makefile("rwb")
        self._numbers = itertools.count(1)
        self._events: list[dict[str, Any]] = []
        (mapping,) = configuration["pathMappings"]
        self.file = f"{mapping['localRoot']}/app.py"
        try:
            self.ask("initialize", adapterID="debugpy")
            attached = self._send("attach", configuration)
            self.event("initialized")
            self.ask("setBreakpoints", source={"path": self.file}, breakpoints=[{"line": LINE}])
            self.ask("configurationDone")
            self._answer(attached)
            self._socket.settimeout(PATIENCE)
        except BaseException:
            self.close()
            raise

    def ask(self, command: str, **arguments: Any) -> Any:
        return self._answer(self._send(command, arguments))

    def event(self, name: str) -> Any:
        """The next event of that name, which may have come already."""
        while True:
            for event in self._events:
                if event["event"] == name:
                    self._events.remove(event)
                    return event.get("body")
            self._read()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, command: str, arguments: dict[str, Any]) -> int:
        number = next(self._numbers)
        message = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._file.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._file.flush()
        return number

    def _answer(self, number: int) -> Any:
        while True:
            message = self._read()
            if message["type"] == "response" and message["request_seq"] == number:
                assert message["success"], message
                return message.get("body")

    def _read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise ConnectionError("The debugger has gone.")
        size = int(line.removeprefix(b"Content-Length: "))
        self._file.readline()
        message: dict[str, Any] = json.loads(self._file.read(size))
        if message["type"] == "event":
            if message["event"] == "terminated":
                raise ConnectionError("The app has ended.")
            self._events.append(message)
        return message


@contextmanager
def debugging(directory: Path, *options: str) -> Iterator[Path]:
    """A `local-connect --debug` that runs; the file that it prints to."""
    printed = directory / "printed.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [LOCAL_CONNECT, "--port", "0", "--watch", "my-api", "--debug", *options],
            cwd=directory,
            env=environment() | {"HOME": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield printed
    finally:
        os.killpg(process.pid, signal.SIGINT)
        status = process.wait(PATIENCE)
    assert status == 0, printed.read_text("utf-8")


def says(printed: Path, pattern: str, *, times: int = 1) -> str:
    """What it has said of this form, once it has so often."""
    assert eventually(
        lambda: len(re.findall(pattern, printed.read_text("utf-8"), re.MULTILINE)) >= times,
        seconds=PATIENCE,
    ), printed.read_text("utf-8")
    return str(re.findall(pattern, printed.read_text("utf-8"), re.MULTILINE)[-1])


def test_what_stands_at_a_breakpoint_is_not_ended(tmp_path: Path) -> None:
    api = tmp_path / "my-api"
    api.mkdir()
    (api / "app.py").write_text(APP)
    (api / "requirements.txt").write_text("")
    with debugging(tmp_path, "--debug-port", "0") as printed, ThreadPoolExecutor() as visitors:
        deployed = r"^my-api: deployed in .* (http\S+/)$"
        address = says(printed, deployed)
        text = printed.read_text("utf-8")
        launch = json.loads(text[text.index("{\n") : text.index("\n}\n") + 2])
        (configuration,) = launch["configurations"]
        key = says(printed, r"^  admin .* key (\S+)")
        settings = dict.fromkeys(
            ("idle_timeout", "init_timeout", "connection_timeout", "read_timeout"), 1
        )
        changed = httpx.patch(
            address.replace("/content/", "/__api__/v1/content/").rstrip("/"),
            headers={"Authorization": f"Key {key}"},
            json=settings,
            trust_env=False,
            timeout=PATIENCE,
        )
        assert changed.status_code == 200, changed.text

        def visit(path: str) -> str:
            return httpx.get(f"{address}{path}", trust_env=False, timeout=PATIENCE).text

        assert visit("before") == "seen /before"
        with Editor(configuration) as editor:
            first = visitors.submit(visit, "first")
            stopped = editor.event("stopped")
            frames = editor.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"]
            assert frames[0]["source"]["path"] == editor.file
            value = editor.ask("evaluate", expression="found", frameId=frames[0]["id"])
            assert value["result"] == "'seen /first'"
            second = visitors.submit(visit, "second")
            # the next version takes over meanwhile, and more than each of the timeouts goes by
            (api / "app.py").write_text(APP.replace("seen", "found"))
            says(printed, deployed, times=2)
            assert visit("third") == "found /third"
            time.sleep(2)
            assert not first.done()
            assert not second.done()
            editor.ask("setBreakpoints", source={"path": editor.file}, breakpoints=[])
            editor.ask("continue", threadId=stopped["threadId"])
            assert (first.result(), second.result()) == ("seen /first", "seen /second")

        # it has the debugger then, at the same port, and its files at the same place
        with attached(configuration) as editor:
            fourth = visitors.submit(visit, "fourth")
            stopped = editor.event("stopped")
            editor.ask("continue", threadId=stopped["threadId"])
            assert fourth.result() == "found /fourth"
    port = configuration["connect"]["port"]
    assert eventually(lambda: nobody_listens(port))


def attached(configuration: dict[str, Any]) -> Editor:
    """An editor that attaches as soon as the process before has let go of the port."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return Editor(configuration)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def nobody_listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_what_it_needs(tmp_path: Path) -> None:
    def said(*options: str) -> str:
        done = subprocess.run(
            [LOCAL_CONNECT, "--port", "0", "--data", tmp_path / "data", *options],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode != 0
        return done.stderr

    assert "--watch my-api --debug" in said("--debug")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = said("--watch", str(tmp_path), "--debug", "--debug-port", port)
    assert f"cannot attach at port {port}: Address already in use" in told
    assert "--debug-port 0" in told


@pytest.mark.quick
def test_without_debugpy_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(LocalConnectError, match=r"pip install 'local-connect\[debug\]'"):
        debugger.find_port(0)
