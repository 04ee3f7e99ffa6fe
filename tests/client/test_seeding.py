"""What of a seed a server refuses, and what it has already."""

import asyncio
import time
from pathlib import Path

import pytest

from local_connect.client import seeding
from local_connect.client.seed import Item, Seed
from local_connect.records.store import User, now
from tests.servers import LocalConnect


def apply(seed: Seed, server: LocalConnect) -> list[str]:
    """What of the seed could not be deployed to the server."""
    users = [
        User(username=one.username, user_role=one.user_role, guid=one.guid, api_key=one.api_key)
        for one in server.users.values()
    ]
    return asyncio.run(seeding.apply(seed, url=server.url, users=users))


def test_what_is_refused_is_said_and_stops_nothing_else(
    server: LocalConnect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = Seed(
        tmp_path,
        (Item(directory=tmp_path, name="hers", owner="eve"),),
        ({"name": "Warehouse", "template": "nothing-of-the-kind"},),
    )
    failed = apply(seed, server)
    assert failed == ["integrations.toml", "hers"]
    integrations, content = capsys.readouterr().err.splitlines()
    assert integrations.startswith("seed: integrations.toml NOT APPLIED: template is not one of ")
    assert content == ("seed: hers: NOT DEPLOYED: There is no user eve any more who can come in.")


def test_what_is_there_stays_as_it_is(server: LocalConnect, tmp_path: Path) -> None:
    """A tag is taken, and an integration that somebody has changed is left alone."""
    integrations = "/__api__/v1/oauth/integrations"
    new = {"name": "Changed", "template": "snowflake", "config": {"auth_mode": "Confidential"}}
    made = server.request("POST", integrations, user="admin", json=new).raise_for_status().json()
    server.request("POST", "/__api__/v1/tags", user="admin", json={"name": "Teams"})
    while made["created_time"] == now():
        time.sleep(0.02)
    changed = {"description": "by hand"}
    address = f"{integrations}/{made['guid']}"
    server.request("PATCH", address, user="admin", json=changed).raise_for_status()

    # without an app, so that it gets no further than its tags
    tagged = Item(directory=tmp_path, name="tagged", owner="alice", tags=(("Teams", "Data"),))
    seed = Seed(tmp_path, (tagged,), ({**new, "description": "by the seed"},))
    assert apply(seed, server) == ["tagged"]
    assert server.get(address, user="admin").json()["description"] == "by hand"
    tags = server.get("/__api__/v1/tags").json()
    (teams,) = [tag for tag in tags if tag["name"] == "Teams"]
    assert [tag["name"] for tag in tags if tag["parent_id"] == teams["id"]] == ["Data"]
