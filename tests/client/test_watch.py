"""`local-connect --watch`: edit and look."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_connect.client import rsconnect, watch
from local_connect.errors import LocalConnectError
from local_connect.records.store import User
from tests.newcomers import APP, Newcomer
from tests.servers import LocalConnect, wait_until_none_is_left
from tests.terminals import on_a_terminal

#: seconds in which what is to happen by itself has happened
PATIENCE = 120

#: a browser's, less what does not matter
AS_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

THAT_FAILS = """
@app.get("/")
def index():
    raise RuntimeError("only when visited")
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
"""


class Watching:
    """A `local-connect --watch` that runs, and what it prints."""

    def __init__(self, newcomer: Newcomer, *options: str) -> None:
        self.log = newcomer.directory / "printed.txt"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [newcomer.bin / "local-connect", "--port", "0", "--watch", *options],
                cwd=newcomer.directory,
                env=newcomer.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._seen = 0

    @property
    def printed(self) -> str:
        return self.log.read_text("utf-8")

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until it says something new of this form."""
        deadline = time.monotonic() + PATIENCE
        found = re.compile(pattern, re.MULTILINE)
        while not (match := found.search(self.printed, self._seen)):
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline, self.printed
            time.sleep(0.05)
        self._seen = match.end()
        return match


@contextmanager
def watching(newcomer: Newcomer, *options: str) -> Iterator[Watching]:
    watching = Watching(newcomer, *options)
    try:
        yield watching
    finally:
        # to the whole group, as Ctrl-C on a terminal is
        os.killpg(watching.process.pid, signal.SIGINT)
        status = watching.process.wait(PATIENCE)
    assert status == 0, watching.printed
    assert "Traceback" not in watching.printed.replace("my-api | Traceback", "")


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A process that ends by itself, or is ended."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_edit_and_look(newcomer: Newcomer) -> None:
    with watching(newcomer, "my-api") as server:
        address = server.says(r"^my-api: deployed in [\d.]+ s: (http\S+/)$")[1]
        assert look(address).json() == {"hello": "stranger"}

        # what an editor, a tool or rsconnect leaves is no change
        for name in (".app.py.swp", "__pycache__/app.pyc", "rsconnect-python/my-api.json", "x~"):
            (newcomer.api / name).parent.mkdir(exist_ok=True)
            newcomer.write(f"my-api/{name}", "x")
        newcomer.write("my-api/app.py", APP.replace("stranger", "anyone"))
        server.says(r"^my-api: deploying")
        assert server.says(r"^my-api: deployed in .* (http\S+/)$")[1] == address
        assert look(address).json() == {"hello": "anyone"}
        assert server.printed.count("my-api: deploying") == 2

        # a mistake: the terminal and a browser tell, a program gets what was there before
        newcomer.write("my-api/app.py", "raise SystemExit('<broken> on purpose')\n")
        assert "<broken> on purpose" in server.says(r"^my-api \| .*on purpose$")[0]
        server.says(r"^my-api: NOT DEPLOYED")
        assert look(address).json() == {"hello": "anyone"}
        page = httpx.get(f"{address}hello", headers=AS_BROWSER, trust_env=False)
        assert page.status_code == 500
        assert "my-api was not deployed" in page.text
        assert "&lt;broken&gt; on purpose" in page.text
        assert f'href="{httpx.URL(address).path}hello"' in page.text

        # one that shows only to a visitor, such as rsconnect: with what the app printed of it
        newcomer.write("my-api/app.py", APP + THAT_FAILS)
        server.says(r"^my-api: NOT DEPLOYED")
        page = httpx.get(address, headers=AS_BROWSER, trust_env=False)
        assert "RuntimeError: only when visited" in page.text

        newcomer.write("my-api/app.py", APP)
        server.says(r"^my-api: deployed in")
        assert httpx.get(f"{address}hello", headers=AS_BROWSER, trust_env=False).is_success
    # nor is there colour, or anything written over, where there is no terminal
    assert "\x1b" not in server.printed
    wait_until_none_is_left(newcomer.directory / ".local-connect")
    assert sorted(newcomer.home.iterdir()) == []

    # the same content, whatever was watched before; and what another left unfinished is no bar
    (newcomer.api / "app.py").rename(newcomer.api / "service.py")
    server = Watching(newcomer, "my-api", "--watch-entrypoint", "service:app")
    with ending(server.process):
        again = server.says(r"^my-api: deployed in .* (http\S+/)$")[1]
        assert httpx.URL(again).path == httpx.URL(address).path
        assert look(again).json() == {"hello": "stranger"}
        # without the directory there is nothing to wait for
        shutil.rmtree(newcomer.api)
        assert server.process.wait(PATIENCE) == 1, server.printed
        last = server.printed.splitlines()[-1]
        assert last == f"Error: {newcomer.api}, which was watched, is gone."


def test_on_a_terminal(newcomer: Newcomer) -> None:
    """Colour and progress, and Ctrl-C; from within the directory, where the data is too.

    Of an ASGI app, which any other kind of deployment would refuse.
    """
    newcomer.write("my-api/app.py", ASGI)
    with on_a_terminal(
        *(newcomer.bin / "local-connect", "--port", "0", "--watch", ".", "--watch-kind", "fastapi"),
        directory=newcomer.api,
        environment=newcomer.environment,
    ) as terminal:
        terminal.read(until=": deployed in ")
        terminal.interrupt()
        terminal.read()
    text = terminal.text
    assert terminal.status == 0, text
    # written over: what rsconnect says meanwhile; green: how it ended
    assert "\r\x1b[Kmy-api: Building FastAPI application..." in text
    assert "\x1b[32mmy-api: deployed in " in text
    assert "Stopping." in text
    # what was deployed holds the app, and not the server's own state
    (deployed,) = (newcomer.api / ".local-connect" / "bundles").glob("*/app")
    assert not (deployed / ".local-connect").exists()
    assert (deployed / "app.py").exists()


def test_it_takes_no_command(newcomer: Newcomer) -> None:
    done = newcomer.run("local-connect", "--watch", "my-api", "--", "true")
    assert done.returncode == 2, done.stdout
    assert "run the command in another terminal" in " ".join(done.stdout.split())
    assert not (newcomer.directory / ".local-connect").exists()


@pytest.mark.quick
def test_a_directory_that_the_system_cannot_watch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def changes(*_: Any, **__: Any) -> AsyncIterator[None]:
        raise OSError("no watches are left")
        yield

    def copy(*_: Any, **__: Any) -> str:
        raise OSError(5, "Input/output error", "app.py")

    monkeypatch.setattr(watch, "awatch", changes)
    monkeypatch.setattr(rsconnect, "copy", copy)
    watching = watch.watch(
        watch.Watched(tmp_path, "api", None),
        url="",
        author=User(username="alice", user_role="publisher"),
        data=tmp_path / "data",
        failures={},
        debugged={},
    )
    with pytest.raises(LocalConnectError) as raised:
        asyncio.run(watching)
    assert str(raised.value).startswith(f"{tmp_path} cannot be watched: no watches are left.")
    assert "WATCHFILES_FORCE_POLLING=1" in str(raised.value)
    # nor does a file that cannot be read end it
    name = rsconnect.content_name(tmp_path)
    assert capsys.readouterr().err == f"{name}: not deployed: app.py: Input/output error\n"


def test_only_what_has_changed_is_deployed(
    server: LocalConnect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And a deployment that fails before any process has begun is told of all the same."""
    digests = iter(["first", "first", "second"])
    results = iter([(0, ""), (1, "no such package")])

    async def changes(*_: Any, **__: Any) -> AsyncIterator[None]:
        yield
        yield

    async def deploy(*_: Any, **__: Any) -> tuple[int, str]:
        return next(results)

    monkeypatch.setattr(watch, "awatch", changes)
    monkeypatch.setattr(rsconnect, "copy", lambda *_, **__: next(digests))
    monkeypatch.setattr(rsconnect, "deploy", deploy)
    alice = server.users["alice"]
    failures: dict[str, str] = {}
    watching = watch.watch(
        watch.Watched(tmp_path, "api", None),
        url=server.url,
        author=User(
            username="alice", user_role="publisher", guid=alice.guid, api_key=alice.api_key
        ),
        data=tmp_path / "data",
        failures=failures,
        debugged={},
    )
    with pytest.raises(StopAsyncIteration):
        asyncio.run(watching)
    said = capsys.readouterr().err
    outcomes = ("deploying", "deployed in", "NOT DEPLOYED")
    assert [said.count(words) for words in outcomes] == [2, 1, 1]
    assert [*failures.values()] == ["no such package"]


def look(address: str) -> httpx.Response:
    return httpx.get(f"{address}hello", trust_env=False)
