"""The real rsconnect, in the hands of people who may not do everything."""

import shutil
from pathlib import Path

import pytest

from tests.access.conftest import ECHO as BUNDLE
from tests.access.conftest import create, deploy, permit
from tests.deployed import Content, Person, copy_of_echo
from tests.servers import LocalConnect


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return copy_of_echo(tmp_path)


def names(server: LocalConnect) -> list[str]:
    """Of all content that there is."""
    return [item["name"] for item in server.get("/__api__/v1/content", user="admin").json()]


def test_a_viewer_cannot_publish(server: LocalConnect, tmp_path: Path, directory: Path) -> None:
    before = names(server)
    done = Person(server, "bob", tmp_path / "bob").rsconnect("deploy", "api", directory)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "bob is a viewer and may not publish." in said
    assert "Traceback" not in said
    assert names(server) == before


@pytest.mark.parametrize("access_type", ["acl", "all"])
def test_a_publisher_cannot_deploy_to_what_another_owns(
    server: LocalConnect, tmp_path: Path, directory: Path, access_type: str
) -> None:
    content = create(server, access_type=access_type)
    done = Person(server, "erin", tmp_path / "erin").rsconnect(
        "deploy", "api", "--app-id", content.guid, directory
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "may not" in said
    assert "Traceback" not in said
    assert content.bundles == []


def test_a_collaborator_deploys(
    server: LocalConnect, own: Content, tmp_path: Path, directory: Path
) -> None:
    deploy(own, BUNDLE)
    permit(own, "editors", "owner", group=True)
    (directory / "version.txt").write_text("two")
    grace = Person(server, "grace", tmp_path / "grace")
    assert grace.deploy("api", "--app-id", own.guid, directory) == own
    assert own.version == "two"
    assert own.item["owner_guid"] == server.users["alice"].guid
    # what alice has deployed since is known to her own machine too
    shutil.rmtree(directory / "rsconnect-python")
    (directory / "version.txt").write_text("three")
    alice = Person(server, "alice", tmp_path / "alice")
    assert alice.deploy("api", "--app-id", own.guid, directory) == own
    assert own.version == "three"


def test_an_administrator_deploys_for_another(
    server: LocalConnect, own: Content, tmp_path: Path, directory: Path
) -> None:
    admin = Person(server, "admin", tmp_path / "admin")
    assert admin.deploy("api", "--app-id", own.guid, directory) == own
    assert own.version == "one"
    assert own.item["owner_guid"] == server.users["alice"].guid
