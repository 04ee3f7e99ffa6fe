"""The life of a server: its command, its data over a restart, and what is left after it."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from local_connect.access.accounts import Accounts
from local_connect.config import Settings
from local_connect.errors import LocalConnectError
from local_connect.server import Server
from tests.deployed import ECHO, Person
from tests.publishing import publish
from tests.rsconnect_cli import RSCONNECT
from tests.servers import (
    LOCAL_CONNECT,
    LocalConnect,
    content_processes,
    environment,
    run,
    running_server,
    wait_until_none_is_left,
)

#: an app that starts a process of its own, which would run for ever
WITH_A_CHILD = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"version": "with a child"}']
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_restart(data: Path, tmp_path: Path, app: Path) -> None:
    with running_server(data) as server:
        before = server.users
        alice = Person(server, "alice", tmp_path / "alice")
        content = alice.deploy("api", "-E", "COLOUR=blue", app)
        (app / "app.py").write_text(WITH_A_CHILD)
        other = alice.deploy("api", "--new", "--entrypoint", "app:app", app)
        assert other.version == "with a child"
        # two apps, and the child of one
        assert len(content_processes(data)) == 3
        item, bundles = content.item, content.bundles
        server.stop()
        assert content_processes(data) == []

    with running_server(data, "--port", server.url.rpartition(":")[2]) as again:
        assert again.users == before
        assert content_processes(data) == []
        content = type(content)(again, content.guid)
        assert content.echo()["version"] == "one"
        assert content.echo()["variables"]["COLOUR"] == "blue"
        assert (content.item, content.bundles) == (item, bundles)
        # its record is as good as ever
        alice = Person(again, "alice", tmp_path / "alice")
        assert alice.deploy("api", "--entrypoint", "app:app", app).guid == other.guid


def test_killed(data: Path) -> None:
    with running_server(data) as server:
        content = publish(server, WITH_A_CHILD)
        assert len(content_processes(data)) == 2
        # an upload that the crash cuts short
        half_done = data / "bundles" / ".incoming-half-done"
        half_done.mkdir()
        server.kill()
        wait_until_none_is_left(data)

    with running_server(data) as again:
        assert type(content)(again, content.guid).version == "with a child"
        assert not half_done.exists()


#: an app whose process leaves another behind, out of its group, that holds on to its output
WITH_A_DAEMON = """
import subprocess, sys
program = [sys.executable, "-c", "import time; time.sleep(90)"]
subprocess.Popen(program, start_new_session=True)
def app(environ, start_response):
    start_response("200 OK", [])
    return []
"""


def test_stop_does_not_wait_for_a_daemon(data: Path) -> None:
    with running_server(data) as server:
        publish(server, WITH_A_DAEMON)
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 30
    for line in content_processes(data):
        os.kill(int(line.split()[0]), signal.SIGKILL)


def test_interrupted(data: Path) -> None:
    with running_server(data) as server:
        # whoever asks first for the Pythons, and goes away, does not end the search for them
        pythons = "/__api__/v1/server_settings/python"
        with pytest.raises(httpx.TimeoutException):
            server.get(pythons, timeout=0.01)
        assert server.get(pythons).json()["installations"]
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.output


WHO_AM_I = """
import json, os, sys, urllib.request
request = urllib.request.Request(
    os.environ["CONNECT_SERVER"] + "/__api__/v1/user",
    headers={"Authorization": "Key " + os.environ["CONNECT_API_KEY"]},
)
user = json.load(urllib.request.urlopen(request))
print(user["user_role"], *sys.argv[1:])
sys.exit(7)
"""


def test_command(data: Path) -> None:
    # its options are its own, and its status is the server's
    done = run(data, "--", sys.executable, "-c", WHO_AM_I, "--port", "x", "--", "--help")
    assert done.stdout == "administrator --port x -- --help\n", done.stderr
    assert done.returncode == 7


def test_command_that_cannot_be_found(data: Path) -> None:
    done = run(data, "--", "no-such-command", "--with", "arguments")
    assert done.returncode == 127
    assert done.stderr == "local-connect: no-such-command: No such file or directory\n"
    assert done.stdout == ""


def test_command_that_a_signal_ends(data: Path) -> None:
    done = run(data, "--", "sh", "-c", "kill -TERM $$")
    assert done.returncode == 128 + signal.SIGTERM


def test_a_request_to_stop_reaches_the_command(data: Path) -> None:
    script = 'trap "echo stopped; exit 9" TERM; echo ready; while :; do sleep 0.05; done'
    with subprocess.Popen(
        [LOCAL_CONNECT, "--port", "0", "--data", data, "--", "sh", "-c", script],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.read() == "stopped\n"
        assert process.wait(30) == 9


def test_deploy_as_a_command(tmp_path: Path, app: Path) -> None:
    # `sh` as in CI: a home of its own, then the real thing
    script = f'HOME={tmp_path} XDG_CONFIG_HOME={tmp_path} exec {RSCONNECT} deploy api "$@"'
    # where it is without --data, for who starts it in the app's directory
    data = app / ".local-connect"
    done = run(data, "--", "sh", "-c", script, "sh", "--quiet", str(app))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/content/[0-9a-f-]{36}/\n", done.stdout)
    assert content_processes(data) == []
    # the keys that are in there go nowhere
    (archive,) = (data / "bundles").glob("*/*.tar.gz")
    with tarfile.open(archive) as bundle:
        assert set(bundle.getnames()) == {path.name for path in ECHO.iterdir()} | {"manifest.json"}

    done = run(data, "--", "sh", "-c", script, "sh", "--new", "--entrypoint", "ap:app", str(app))
    assert done.returncode == 1
    assert "No module named 'ap'" in done.stdout + done.stderr
    assert content_processes(data) == []


@contextmanager
def port_in_use() -> Iterator[str]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield str(holder.getsockname()[1])


def test_a_port_in_use(data: Path) -> None:
    with port_in_use() as port:
        done = run(data, "--port", port)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: Cannot listen on 127.0.0.1 port {port}: ")
    assert "in use" in line
    assert "--port" in line


def test_a_data_directory_in_use(server: LocalConnect) -> None:
    done = run(server.data)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"The data directory {server.data} is in use by another local-connect" in line
    assert f"(process {server.process.pid})" in line
    assert server.get("/__local__/health").is_success


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path / "file" / "data")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: The data directory ")


def test_without_the_parser_that_reads_requests_strictly(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    done = run(data, "--", "true")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: aiohttp runs without its C extensions")
    assert "AIOHTTP_NO_EXTENSIONS" in line
    assert not data.exists()


def test_what_is_private_stays_private(server: LocalConnect) -> None:
    # keys are in the data directory, so it is for the person who runs the server
    assert server.data.stat().st_mode & 0o077 == 0


def test_what_it_says_first(server: LocalConnect) -> None:
    first, *others = server.output.splitlines()
    assert f" serves at {server.url} " in first
    assert str(server.data) in first
    for user in server.users.values():
        assert any(user.username in line and user.api_key in line for line in others)


def test_health(server: LocalConnect) -> None:
    assert server.get("/__local__/health", user=None).json()["status"] == "ok"


@pytest.mark.quick
def test_a_server_without_an_administrator_says_so(data: Path, tmp_path: Path) -> None:
    """As where one has demoted the other, and then leaves the users file."""
    one, other = (
        f'[[users]]\nusername = "{name}"\nuser_role = "administrator"\n' for name in ("ada", "eve")
    )
    file = tmp_path / "users.toml"

    async def test() -> None:
        file.write_text(one + other)
        server = Server(Settings(data=data, users=file))
        ada, eve = server.users
        assert server.administrator.username == "ada"
        accounts = Accounts(server._store, server._identities)
        accounts.update_user(eve, ada.guid, {"user_role": "viewer"})
        assert server.administrator.username == "eve"
        await server.stop()

        file.write_text(one)
        server = Server(Settings(data=data, users=file))
        try:
            assert [(user.username, user.user_role) for user in server.users] == [("ada", "viewer")]
            with pytest.raises(LocalConnectError, match="None of the users is an administrator"):
                _ = server.administrator
        finally:
            await server.stop()

    asyncio.run(test())
