"""`rsconnect system caches` and posit-sdk on the environments of content."""

import json
from pathlib import Path
from typing import Any

from posit.connect import Client  # type: ignore[import-untyped]

from tests.deployed import Person
from tests.process_app import app, ask
from tests.publishing import deploy, publish
from tests.servers import running_server


def test_caches(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        admin, alice = (Person(server, name, tmp_path / name) for name in ("admin", "alice"))

        def listed() -> list[dict[str, str]]:
            done = admin.rsconnect("system", "caches", "list")
            assert done.returncode == 0, done.stderr
            caches: list[dict[str, str]] = json.loads(done.stdout)["caches"]
            return caches

        assert listed() == []
        content = publish(server, app("one"))
        version = content.item["py_version"]
        cache = {"language": "Python", "version": version, "image_name": "Local"}
        assert listed() == [cache]

        target = ("system", "caches", "delete", "--language", "Python", "--version")
        for person, wanted, says in (
            (alice, version, "alice is not an administrator."),
            (admin, "3.1.4", "There is no such runtime cache: Python 3.1.4, image Local."),
        ):
            done = person.rsconnect(*target, wanted)
            assert done.returncode == 1
            assert says in done.stderr
        done = admin.rsconnect(*target, version, "--dry-run")
        assert (done.returncode, listed()) == (0, [cache])
        assert ask(content)["version"] == "one"
        done = admin.rsconnect(*target, version)
        assert (done.returncode, listed()) == (0, [])
        assert list((server.data / "environments").iterdir()) == []

        # what used it says what to do, and that helps
        answer = server.get(content.path, user=None)
        assert answer.status_code >= 500
        assert "Deploy it again" in answer.json()["error"]
        assert deploy(content, content.item["bundle_id"])["code"] == 0
        assert ask(content)["version"] == "one"
        client: Any = Client(server.url, server.users["admin"].api_key)
        (found,) = client.system.caches.runtime.find()
        assert found.destroy(dry_run=True) is None
        found.destroy().wait_for()
        assert client.system.caches.runtime.find() == []
