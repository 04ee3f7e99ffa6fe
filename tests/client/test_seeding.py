"""What of a seed a server refuses."""

import asyncio
from pathlib import Path

import pytest

from local_connect.client import seeding
from local_connect.client.seed import Item, Seed
from local_connect.records.store import User
from tests.servers import LocalConnect


def test_what_is_refused_is_said_and_stops_nothing_else(
    server: LocalConnect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = Seed(
        tmp_path,
        (Item(directory=tmp_path, name="hers", owner="eve"),),
        ({"name": "Warehouse", "template": "nothing-of-the-kind"},),
    )
    users = [
        User(username=one.username, user_role=one.user_role, guid=one.guid, api_key=one.api_key)
        for one in server.users.values()
    ]
    failed = asyncio.run(seeding.apply(seed, url=server.url, users=users))
    assert failed == ["integrations.toml", "hers"]
    integrations, content = capsys.readouterr().err.splitlines()
    assert integrations.startswith("seed: integrations.toml NOT APPLIED: template is not one of ")
    assert content == ("seed: hers: NOT DEPLOYED: There is no user eve any more who can come in.")
