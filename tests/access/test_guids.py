"""`--credentials-use-guid`: GUIDs in place of names, as Connect's
`Authorization.ContentCredentialsUseGUID` has it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.access.conftest import ECHO, create, deploy, write_users
from tests.deployed import Content
from tests.servers import running_server


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Content]:
    directory: Path = tmp_path_factory.mktemp("guids")
    users = write_users(directory / "users.toml")
    options = ("--users", str(users), "--credentials-use-guid")
    with running_server(directory / "data", *options) as server:
        deployed = create(server, access_type="all")
        deploy(deployed, ECHO)
        yield deployed


def test_the_visitor_and_their_groups(deployed: Content) -> None:
    listed = deployed.server.get("/__api__/v1/users").json()["results"]
    guids = {user["username"]: user["guid"] for user in listed}
    groups = {
        group["name"]: group["guid"]
        for group in deployed.server.get("/__api__/v1/groups").json()["results"]
    }
    for name, user in deployed.server.users.items():
        header = deployed.echo(user=name)["environ"]["HTTP_RSTUDIO_CONNECT_CREDENTIALS"]
        credentials = json.loads(header)
        assert set(credentials) == {"user", "groups"}
        assert credentials["user"] == guids[name]
        assert sorted(credentials["groups"]) == sorted(groups[group] for group in user.groups)
    assert len(set(guids.values()) | set(groups.values())) == len(guids) + len(groups)


def test_an_anonymous_visitor_has_no_credentials(deployed: Content) -> None:
    assert "HTTP_RSTUDIO_CONNECT_CREDENTIALS" not in deployed.echo(user=None)["environ"]
