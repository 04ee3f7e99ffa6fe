"""The data directory: full, and forgotten."""

import os
import resource
from pathlib import Path

from tests.processes.conftest import app, ask
from tests.publishing import archive_of, create, publish, upload
from tests.servers import LocalConnect, run, running_server


def test_a_full_disk_refuses_the_upload_and_goes_on_serving(server: LocalConnect) -> None:
    content = publish(server, app())
    archive = archive_of({"app.py": app("two").encode(), "data": os.urandom(4 << 20)})
    before = content.bundles
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1 << 20, unlimited[1]))
    try:
        refused = server.request("POST", f"{content.api}/bundles", content=archive)
        assert refused.status_code == 507
        assert "disk is full" in refused.json()["error"]
        assert ask(content)["version"] == "one"
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert content.bundles == before
    assert not list((server.data / "bundles").glob(".*"))
    assert upload(content, archive)


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
