"""Git-backed content, as rsconnect and posit-sdk publish it."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from posit.connect import Client  # type: ignore[import-untyped]
from posit.connect.errors import ClientError  # type: ignore[import-untyped]

from tests.bundles import manifest_of
from tests.deployed import Content, Person
from tests.gateway.certificate import Certificate
from tests.process_app import app, ask, deployments
from tests.publishing import create, deploy, finished
from tests.repositories import commit, git, new_repository, served_by_https
from tests.servers import LocalConnect, eventually, running_server

BROKEN = "raise RuntimeError('No database.')\n"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with git on it, and nothing else."""
    directory = tmp_path / "programs"
    directory.mkdir()
    (directory / "git").symlink_to(str(shutil.which("git")))
    return directory


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the repositories in the directory `git` are, by https that the server's git trusts."""
    certificate = Certificate(tmp_path, "localhost")
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate.path))
    with served_by_https(tmp_path / "git", certificate) as url:
        yield url


def files(source: str, directory: str = "api") -> dict[str, str]:
    """An app as it is committed."""
    named = {"requirements.txt": "", "app.py": source}
    encoded = {name: text.encode() for name, text in named.items()}
    named["manifest.json"] = json.dumps(manifest_of(encoded))
    return {f"{directory}/{name}": text for name, text in named.items()}


def state(content: Content) -> Any:
    """What the server says of the content's repository."""
    return content.server.get(f"{content.api}/repository").raise_for_status().json()


def is_at(content: Content, version: str) -> bool:
    return ask(content)["version"] == version


def test_from_the_first_commit_to_the_last(tmp_path: Path, address: str, programs: Path) -> None:
    repository = new_repository(tmp_path / "git" / "apis")
    first = commit(repository, files(app("one")))
    start = partial(running_server, tmp_path / "data", "--git-poll", "1", path=str(programs))
    with start() as server:
        alice = Person(server, "alice", tmp_path / "alice")
        done = alice.rsconnect(
            *("deploy", "git", "--repository", f"{address}/apis", "--subdirectory", "api"),
            *("-E", "COLOUR=blue"),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for line in (
            f"Fetching main of {address}/apis",
            f"Commit {first}, directory api",
            "Launching Python API...",
        ):
            assert line in done.stdout + done.stderr
        (item,) = server.get("/__api__/v1/content").json()
        assert item["title"] == "apis/api"
        content = Content(server, item["guid"])
        content.open_to("all")
        assert ask(content)["colour"] == "blue"
        assert is_at(content, "one")
        guid = ("--guid", content.guid)
        done = alice.rsconnect("content", "repository", "show", *guid)
        assert json.loads(done.stdout) == {
            "repository": f"{address}/apis",
            "branch": "main",
            "directory": "api",
            "polling": True,
            "last_error": "",
            "last_known_commit": first,
        }
        metadata = content.bundles[0]["metadata"]
        assert {name: metadata[name] for name in metadata if name.startswith("source")} == {
            "source": "git",
            "source_repo": f"{address}/apis",
            "source_branch": "main",
            "source_commit": first,
        }

        second = commit(repository, files(app("two")))
        assert eventually(lambda: is_at(content, "two"), seconds=60)
        assert content.bundles[0]["metadata"]["source_commit"] == second

        # what cannot be started, and what cannot be deployed at all, leaves the old version
        commit(repository, files(BROKEN))
        assert eventually(lambda: "did not start" in state(content)["last_error"], seconds=60)
        assert is_at(content, "two")
        failed = deployments(content)[0]
        assert "RuntimeError: No database." in failed["output"]
        assert failed["error"] == "The app did not start, so it was not activated."
        (repository / "api" / "manifest.json").unlink()
        third = commit(repository, {})
        assert eventually(
            lambda: "has no manifest.json" in state(content)["last_error"], seconds=60
        )
        assert state(content)["last_known_commit"] == third
        assert is_at(content, "two")

        # an earlier commit, when asked for
        done = alice.rsconnect("content", "repository", "redeploy", *guid, "--ref", first)
        assert done.returncode == 0, done.stderr
        assert eventually(lambda: is_at(content, "one"), seconds=60)
        server.stop()

    with start("--port", server.url.rpartition(":")[2]) as server:
        content = Content(server, content.guid)
        commit(repository, files(app("three")))
        assert eventually(lambda: is_at(content, "three"), seconds=60)
        assert state(content)["last_error"] == ""
        assert deployments(content)[0]["started_by"] == server.users["alice"].guid

        (programs / "git").rename(programs / "away")
        settings = server.get("/__api__/server_settings").json()
        assert (settings["git_enabled"], settings["git_available"]) == (False, False)
        refused = server.request("POST", f"{content.api}/deploy", json={})
        assert refused.status_code == 501
        assert "There is no git on the PATH of this server" in refused.json()["error"]
        (programs / "away").rename(programs / "git")
        assert server.get("/__api__/server_settings").json()["git_available"]

        done = alice.rsconnect("content", "repository", "delete", *guid, "--force")
        assert done.returncode == 0, done.stderr
        assert server.get(f"{content.api}/repository").status_code == 404
        assert is_at(content, "three")


def test_posit_sdk(server: LocalConnect, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "apis")
    commit(repository, files(app("one"), "."))
    content = create(server, access_type="all")
    client: Any = Client(server.url, server.users["alice"].api_key)
    item = client.content.get(content.guid)
    assert item.repository is None
    made = item.create_repository(repository=f"file://{repository}")
    usual = {"branch": "main", "directory": ".", "polling": False}
    assert made == item.repository
    assert usual.items() <= made.items()
    made.update(branch="trunk", polling=True)
    assert (made["branch"], made["polling"]) == ("trunk", True)
    # nothing has been deployed, and nothing is where there is no such branch
    task = item.deploy()
    with pytest.raises(ClientError):
        item.create_repository(repository="ssh://git@example.com/apis")
    task.wait_for()
    assert "has no branch or tag trunk" in task["error"]
    assert "has no branch or tag trunk" in state(content)["last_error"]
    made.update(branch="main")
    assert state(content)["last_error"] == ""
    item.deploy().wait_for()
    assert is_at(content, "one")
    made.destroy()
    assert item.repository is None
    # what was deployed stays, and is what is deployed by default
    item.deploy().wait_for()
    assert len(content.bundles) == 1
    item.create_repository(repository=f"file://{repository}")
    item.delete()
    with closing(sqlite3.connect(server.data / "local-connect.db")) as database:
        left = database.execute(
            "SELECT * FROM repositories WHERE content_guid = ?", (content.guid,)
        ).fetchall()
    assert left == []


def test_what_a_repository_holds_is_checked_as_a_bundle_is(
    server: LocalConnect, tmp_path: Path
) -> None:
    repository = new_repository(tmp_path / "apis")
    commit(repository, files(app()))
    (repository / "api" / "secret").symlink_to("../../../etc/passwd")
    commit(repository, {})
    content = create(server)
    body = {"repository": str(repository), "directory": "api"}
    bundle = f"{content.api}/repository/bundle"
    started = server.request("POST", bundle, json=body).raise_for_status().json()
    assert started["location"] == {**body, "ref": "main"}
    task = finished(server, started["task_id"])
    assert task["error"].startswith(
        "The link secret -> ../../../etc/passwd leads out of the bundle's directory."
    )
    assert content.bundles == []
    git(repository, "rm", "--quiet", "api/secret")
    git(repository, "commit", "--quiet", "--message", "Without it")
    started = server.request("POST", bundle, json=body).raise_for_status().json()
    assert finished(server, started["task_id"])["code"] == 0
    (made,) = content.bundles
    assert made["id"] == started["bundle_id"]
    # it is a bundle as any other, and content does not come from a repository by it
    assert server.get(f"{content.api}/repository").status_code == 404
    assert deploy(content, made["id"])["code"] == 0
    server.request("PATCH", content.api, json={"locked": True}).raise_for_status()
    assert server.request("POST", bundle, json=body).status_code == 409


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "repository is not text"),
        ({"repository": "git@example.com:apis"}, "begins with https://"),
        ({"repository": "/apis", "branch": "-main"}, "neither the name of a branch"),
        ({"repository": "/apis", "directory": "../x"}, "is not the path of a directory"),
        ({"repository": "/apis", "polling": "yes"}, "polling is neither true nor false"),
        ({"repository": "/apis", "ref": "main"}, "does not have: ref"),
    ],
)
def test_what_is_no_repository(
    server: LocalConnect, published: Content, fields: dict[str, Any], words: str
) -> None:
    refused = server.request("PUT", f"{published.api}/repository", json=fields)
    assert refused.status_code == 400
    assert words in refused.json()["error"]
    assert server.get(f"{published.api}/repository").status_code == 404
