"""The data directory: on a full disk, after a reset, and without content that was deleted."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_connect.records.store import Store
from local_connect.server import reset
from tests.process_app import app, ask
from tests.publishing import archive_of, create, deploy, publish, upload
from tests.servers import (
    LOCAL_CONNECT,
    PATIENCE,
    LocalConnect,
    environment,
    run,
    running_server,
)


@contextmanager
def full_disk(server: LocalConnect, *, at: int) -> Iterator[None]:
    """Let the server write no file beyond so many bytes."""
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (at, unlimited[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)


def test_a_full_disk_refuses_the_upload_and_goes_on_serving(server: LocalConnect) -> None:
    content = publish(server, app())
    archive = archive_of({"app.py": app("two").encode(), "data": os.urandom(4 << 20)})
    before = content.bundles
    with full_disk(server, at=1 << 20):
        refused = server.request("POST", f"{content.api}/bundles", content=archive)
        assert refused.status_code == 507
        assert "disk is full" in refused.json()["error"]
        assert ask(content)["version"] == "one"
    assert content.bundles == before
    assert not list((server.data / "bundles").glob(".*"))
    assert upload(content, archive)


def test_a_full_disk_keeps_no_content_from_starting(server: LocalConnect) -> None:
    content = publish(server, app())
    first = ask(content)["pid"]
    with full_disk(server, at=0):
        body = {"bundle_id": content.item["bundle_id"]}
        for refused in (
            server.request("PATCH", content.api, json={"title": "new"}),
            server.request("POST", f"{content.api}/deploy", json=body),
        ):
            assert refused.status_code == 507
            assert "database takes nothing" in refused.json()["error"]
        server.get(f"{content.path}?exit", user=None)
        second = ask(content)["pid"]
        assert second != first
    assert content.item["title"] is None
    assert deploy(content, body["bundle_id"])["code"] == 0
    server.get(f"{content.path}?exit", user=None)
    assert ask(content)["pid"] not in (first, second)


def test_a_full_disk_at_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    users = tmp_path / "users.toml"
    users.write_text(
        "".join(
            f'[[users]]\nusername = "user{number}"\nuser_role = "administrator"\n'
            for number in range(500)
        )
    )
    assert run(data, "--", "true").returncode == 0

    def refusal(blocks: int, *options: str | Path) -> str:
        done = subprocess.run(
            [
                *("sh", "-c", f'ulimit -f {blocks}; exec "$@"', "sh", LOCAL_CONNECT),
                *("--port", "0", "--data", data, *options, "--", "true"),
            ],
            # coverage.py has files of its own to write
            env={k: v for k, v in environment().items() if not k.startswith("COVERAGE_")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        return line

    # not even what SQLite needs to read
    assert f"The database {data}/local-connect.db cannot be used: disk I/O error." in refusal(0)
    said = refusal(80, "--users", users)
    assert f"The database in {data} takes nothing: disk I/O error. Make room for it" in said


def test_reset(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        publish(server, app())
        refused = run(data, "reset")
        assert refused.returncode == 1
        assert "in use by another local-connect" in refused.stderr
        keys = {user.api_key for user in server.users.values()}
    (data / "mine.txt").write_text("not the server's")
    done = run(data, "reset")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in data.iterdir()] == ["mine.txt"]
    with running_server(data) as server:
        assert server.get("/__api__/v1/content", user="admin").json() == []
        assert not keys & {user.api_key for user in server.users.values()}


@pytest.mark.quick
def test_a_reset_takes_what_is_the_servers_and_nothing_else(tmp_path: Path) -> None:
    reset(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()

    # of a server that has not come as far as to listen
    Store(tmp_path / "data").close()
    reset(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []

    # in an environment of somebody's own, whose python is no mark of a server
    python = tmp_path / "own" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("a program")
    Store(tmp_path / "own").close()
    reset(tmp_path / "own")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["bin"]
    assert python.read_text() == "a program"


def test_a_command_needs_dashes(tmp_path: Path) -> None:
    done = run(tmp_path / "data", "true")
    assert done.returncode == 2
    assert "local-connect -- true" in done.stderr
    assert not (tmp_path / "data").exists()


def test_dropped_content_leaves_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        content = publish(server, app())
        create(server)
        assert server.request("DELETE", content.api).status_code == 204
        assert not list((server.data / "bundles").iterdir())
        assert not list((server.data / "environments").iterdir())
        assert server.get(content.path, user=None).status_code == 404
