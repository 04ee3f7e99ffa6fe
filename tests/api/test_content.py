"""`rsconnect content`: what a person can find out about what is deployed."""

import json
import re
from pathlib import Path
from typing import Any

from tests.deployed import Content, Person


def found(person: Person, *arguments: str) -> list[dict[str, Any]]:
    done = person.rsconnect("content", *arguments)
    assert done.returncode == 0, done.stderr
    items: list[dict[str, Any]] = json.loads(done.stdout)
    return items


def test_search(alice: Person, bob: Person, published: Content, visited: Content) -> None:
    both = {published.guid, visited.guid}
    assert both <= {item["guid"] for item in found(alice, "search", "--published")}
    title = published.item["title"]
    (item,) = found(alice, "search", "--title-contains", title)
    assert item["guid"] == published.guid
    # bob sees what is open to him
    assert both & {item["guid"] for item in found(bob, "search")} == {visited.guid}


def test_describe(alice: Person, published: Content) -> None:
    (item,) = found(alice, "describe", "--guid", published.guid)
    assert item == published.server.get(published.api).json()
    assert item["app_role"] == "owner"


def test_describe_what_is_not_there(bob: Person, published: Content) -> None:
    done = bob.rsconnect("content", "describe", "--guid", published.guid)
    assert done.returncode == 1
    assert "There is no such content, or you may not see it." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_get_lockfile(alice: Person, published: Content, tmp_path: Path) -> None:
    lockfile = tmp_path / "requirements.txt.lock"
    done = alice.rsconnect(
        "content", "get-lockfile", "--guid", published.guid, "--output", lockfile
    )
    assert done.returncode == 0, done.stderr
    lines = lockfile.read_text().splitlines()
    assert any(line.startswith("flask==3.1.") for line in lines)
    assert all(re.fullmatch(r"[\w.-]+==\S+", line) for line in lines if line[:1] not in ("", "#"))


def test_build(alice: Person, published: Content, tmp_path: Path) -> None:
    # where rsconnect keeps what it knows of builds, in place of the working directory
    kept = {"CONNECT_CONTENT_BUILD_DIR": str(tmp_path / "builds")}

    def build(command: str, *arguments: str) -> str:
        done = alice.rsconnect("content", "build", command, *arguments, environment=kept)
        assert done.returncode == 0, done.stderr
        return done.stdout

    guid = ("--guid", published.guid)
    before = published.item, published.echo()["variables"]
    build("add", *guid)
    build("run", "--poll-wait", "1")
    (listed,) = json.loads(build("ls"))
    assert listed["guid"] == published.guid
    assert listed["rsconnect_build_status"] == "COMPLETE"
    (past,) = json.loads(build("history", *guid))
    task = published.server.get(f"/__api__/v1/tasks/{past['task_id']}").json()
    assert (task["finished"], task["code"]) == (True, 0)
    assert build("logs", *guid).splitlines() == task["output"]
    assert "Completed Python build" in task["output"][-1]
    build("rm", *guid, "--purge")
    assert json.loads(build("ls")) == []
    # nothing was started anew
    assert (published.item, published.echo()["variables"]) == before
