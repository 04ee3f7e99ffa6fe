"""`--seed`, a reset, and an export that is a seed again, as a test suite uses them."""

import asyncio
import signal
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_connect.config import Settings
from local_connect.errors import LocalConnectError
from local_connect.server import Server
from local_connect.testing import Content, LocalConnect
from tests.servers import PATIENCE, content_processes, eventually, output_file, run, start

#: answers with what it has, and keeps in a file how often it was asked; waits on request
APP = """
import os, pathlib, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        pathlib.Path("slow").touch()
        time.sleep(1.5)
    count = pathlib.Path("count")
    count.write_text((count.read_text() if count.exists() else "") + "x")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{len(count.read_text())} {os.environ.get('COLOUR')}".encode()]
"""

USERS = """
[[users]]
username = "root"
user_role = "administrator"

[[users]]
username = "maria"
user_role = "publisher"
groups = ["staff"]

[[users]]
username = "pavel"
user_role = "viewer"
email = "pavel@example.com"
"""

SEED = """
[counting]
title = "Counting"
description = "How often"
access_type = "acl"
vanity = "/counting/"
environment = {COLOUR = "blue"}
permissions = [{user = "pavel", role = "viewer"}, {group = "staff", role = "viewer"}]
integrations = ["Warehouse"]
tags = ["Teams/Data/Science"]
max_processes = 1

[closed]
directory = "counting"
owner = "root"
locked = true
locked_message = "Until Monday"
"""

THAT_FAILS = """
[failing]

[odd]
directory = "failing"
vanity = "/connect/"

[lacking]
directory = "failing"
integrations = ["Nothing"]
"""

INTEGRATIONS = """
[Warehouse]
template = "snowflake"
description = "Where the figures are"
config = {account = "main"}

["Connect Visitor API Key"]
template = "connect"
config = {max_role = "Viewer"}
"""


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("seed")
    for name, text in (
        ("users.toml", USERS),
        ("seed.toml", SEED),
        ("integrations.toml", INTEGRATIONS),
        ("counting/app.py", APP),
        ("counting/requirements.txt", ""),
        ("failing/app.py", "raise RuntimeError('never')"),
        ("failing/requirements.txt", ""),
    ):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text, "utf-8")
    return directory


@pytest.fixture(scope="module")
def seeded(seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    directory = tmp_path_factory.mktemp("seeded")
    with LocalConnect(directory, options=["--seed", str(seed)]) as server:
        yield server


@pytest.fixture
def counting(seeded: LocalConnect) -> Content:
    """The seed's content, as it is in the beginning."""
    seeded.reset()
    return seeded.content("counting")


def call(server: LocalConnect, path: str) -> Any:
    answer = server.request("GET", f"/__api__/v1{path}", as_user=server.administrator)
    assert answer.is_success, answer.text
    return answer.json()


def settings(content: Content) -> dict[str, Any]:
    """All that a seed says of content, as the API has it, and which bundle is live."""
    server = content.server
    names = {user.guid: name for name, user in server.users.items()}
    names |= {group["guid"]: group["name"] for group in call(server, "/groups")["results"]}
    item = call(server, f"/content/{content.guid}")
    fields = ("title", "description", "access_type", "max_processes", "bundle_id", "locked")
    return {
        **{field: item[field] for field in fields},
        "vanity": content.call("GET", "/vanity")["path"],
        "environment": content.call("GET", "/environment"),
        "permissions": [
            (one["principal_type"], names[one["principal_guid"]], one["role"])
            for one in content.call("GET", "/permissions")
        ],
        "integrations": [
            one["oauth_integration_name"]
            for one in content.call("GET", "/oauth/integrations/associations")
        ],
        "tags": sorted(one["name"] for one in content.call("GET", "/tags")),
    }


def test_it_begins_with_what_the_seed_has(seeded: LocalConnect, counting: Content) -> None:
    assert list(seeded.users) == ["maria", "pavel", "root"]
    assert counting.owner == "maria"
    found = settings(counting)
    assert found.pop("bundle_id")
    assert found == {
        "title": "Counting",
        "description": "How often",
        "access_type": "acl",
        "max_processes": 1,
        "locked": False,
        "vanity": "/counting/",
        "environment": ["COLOUR"],
        "permissions": [("user", "pavel", "viewer"), ("group", "staff", "viewer")],
        "integrations": ["Warehouse"],
        "tags": ["Data", "Science"],
    }
    integrations = {one["name"]: one["config"] for one in call(seeded, "/oauth/integrations")}
    assert integrations["Warehouse"]["account"] == "main"
    assert integrations["Connect Visitor API Key"] == {"max_role": "Viewer"}
    assert seeded.request("GET", "/counting/", as_user="pavel").text == "1 blue"
    closed = call(seeded, f"/content/{seeded.content('closed', owner='root').guid}")
    assert (closed["locked"], closed["locked_message"]) == (True, "Until Monday")
    assert "seed: counting: deployed in " in seeded.output


def test_a_reset_goes_back_to_it(seeded: LocalConnect, counting: Content) -> None:
    before, printed = settings(counting), seeded.output
    assert [counting.get().text for _ in range(2)] == ["1 blue", "2 blue"]
    counting.change(title="changed", access_type="logged_in", max_processes=2)
    counting.call("PUT", "/environment", json=[{"name": "COLOUR", "value": "red"}])
    counting.call("PUT", "/vanity", json={"path": "/elsewhere/"})
    for permission in counting.call("GET", "/permissions"):
        counting.call("DELETE", f"/permissions/{permission['id']}")
    for tag in call(seeded, "/tags"):
        if not tag["parent_id"]:
            seeded.request("DELETE", f"/__api__/v1/tags/{tag['id']}", as_user="root")
    user = {"username": "eve", "user_role": "publisher"}
    seeded.request("POST", "/__api__/v1/users", as_user="root", json=user).raise_for_status()
    group = call(seeded, "/groups")["results"][0]["guid"]
    seeded.request("DELETE", f"/__api__/v1/groups/{group}", as_user="root").raise_for_status()
    seeded.fault("status", status=503)
    assert counting.get().status_code == 503
    assert seeded.request("GET", "/elsewhere/", as_user="pavel").status_code == 503
    pavel = seeded.users["pavel"]
    lock = f"/__api__/v1/users/{pavel.guid}/lock"
    seeded.request("POST", lock, as_user="root", json={"locked": True}).raise_for_status()
    assert counting.requests
    assert call(seeded, "/instrumentation/content/hits")

    seeded.reset()

    assert settings(counting) == before
    assert counting.requests == []
    assert call(seeded, "/instrumentation/content/hits") == []
    assert seeded.users["pavel"] == pavel
    assert "eve" not in seeded.users
    assert seeded.request("GET", "/counting/", as_user="pavel").text == "1 blue"
    assert seeded.request("GET", "/elsewhere/", as_user="pavel").status_code == 404
    assert "deploying" not in seeded.output.removeprefix(printed)


def test_what_was_deleted_is_back_and_what_was_deployed_is_gone(
    seeded: LocalConnect, seed: Path, counting: Content
) -> None:
    other = seeded.deploy(seed / "counting", name="other", owner="root")
    assert other.get().text.endswith("None")
    for item in call(seeded, "/content"):
        address = f"/__api__/v1/content/{item['guid']}"
        seeded.request("DELETE", address, as_user="root").raise_for_status()
    assert counting.get().status_code == 404
    # the environment that no content uses any more is there yet
    seeded.reset()
    assert counting.get().text == "1 blue"
    assert sorted(item["name"] for item in call(seeded, "/content")) == ["closed", "counting"]
    assert other.get().status_code == 404
    # the same call deploys anew
    assert seeded.deploy(seed / "counting", name="other", owner="root").guid != other.guid


def test_a_request_under_way_is_answered(seeded: LocalConnect, counting: Content) -> None:
    assert counting.get().text == "1 blue"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(counting.get("slow")))
    asking.start()
    apps = (seeded.directory / "data" / "bundles").glob
    assert eventually(lambda: any(apps("*/app/slow")))
    seeded.reset()
    assert counting.get().text == "1 blue"
    asking.join()
    assert answers[0].text == "2 blue"
    # the directory that it ran in is gone after it
    assert eventually(lambda: not list(apps(".replaced-*")))


def test_only_an_administrator_resets(seeded: LocalConnect) -> None:
    for user, status in (("maria", 403), ("pavel", 403), (None, 401)):
        answer = seeded.request("POST", "/__local__/reset", as_user=user)
        assert answer.status_code == status, user


def test_what_is_new_in_the_seed_is_deployed_and_what_fails_is_said(
    seeded: LocalConnect, seed: Path
) -> None:
    changed = SEED.replace('"Counting"', '"Counted"')
    file = seed / "seed.toml"
    try:
        file.write_text(changed + THAT_FAILS)
        with pytest.raises(LocalConnectError, match=r"not deployed: failing, odd, lacking\."):
            seeded.reset()
        assert "RuntimeError: never" in seeded.output
        assert "odd: NOT DEPLOYED: /connect/ cannot be a path" in seeded.output
        assert "lacking: NOT DEPLOYED: There is no integration 'Nothing'" in seeded.output
        assert settings(seeded.content("counting"))["title"] == "Counted"
        assert seeded.content("counting").get().text.endswith(" blue")

        file.write_text("[nowhere]")
        with pytest.raises(LocalConnectError, match=r"\[nowhere\]: there is no directory"):
            seeded.reset()
    finally:
        file.write_text(SEED)
    seeded.reset()
    assert settings(seeded.content("counting"))["title"] == "Counting"


def test_what_fails_of_a_seed_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "seed.toml").write_text(
        '[lacking]\ndirectory = "."\nintegrations = ["Nothing"]\n', "utf-8"
    )
    (tmp_path / "app.py").write_text(APP, "utf-8")
    done = run(tmp_path / "data", "--seed", str(tmp_path), "--", "true")
    # the command runs all the same
    assert done.returncode == 0, done.stderr
    assert "seed: 1 of it failed: lacking." in done.stderr.splitlines()


@pytest.mark.quick
def test_a_server_that_stops_after_a_reset_leaves_nothing_of_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        server = Server(Settings(data=tmp_path, port=0, no_requests=True))
        await server.start()
        assert server._resets
        # a process that answers its last request is in there
        monkeypatch.setattr(server._processes, "ended", asyncio.Event().wait)
        (tmp_path / "bundles" / "1").mkdir()
        assert await server._resets.reset() == []
        (replaced,) = (tmp_path / "bundles").iterdir()
        assert [path.name for path in replaced.iterdir()] == ["1"]
        async with asyncio.timeout(10):
            await server.stop()
        assert list((tmp_path / "bundles").iterdir()) == []

    asyncio.run(test())


def test_an_export_is_a_seed_that_gives_the_same(
    seeded: LocalConnect, counting: Content, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    done = run(seeded.directory / "data", "export", str(first))
    assert done.returncode == 0, done.stderr
    assert "Left out: the values of environment variables." in done.stderr
    assert "3 users and 2 content items" in done.stderr
    assert "blue" not in (first / "seed.toml").read_text("utf-8")
    for user in seeded.users.values():
        assert all(user.api_key not in file.read_text() for file in first.glob("*.toml"))

    options = ["--seed", str(first)]
    with LocalConnect(tmp_path / "again", options=options) as again:
        copy = again.content("counting")
        expected = settings(counting) | {"bundle_id": None}
        assert settings(copy) | {"bundle_id": None} == expected
        assert copy.get().text == "1 "
        assert {name: user.groups for name, user in again.users.items()} == {
            name: user.groups for name, user in seeded.users.items()
        }
        guid = copy.guid
        assert run(again.directory / "data", "export", str(second)).returncode == 0
    assert files(first) == files(second)
    assert tomllib.loads((first / "seed.toml").read_text())["closed"]["locked"] is True

    # what is there is not deployed again, and a reset still knows how it was
    with LocalConnect(tmp_path / "again", options=options) as again:
        assert "deploying" not in again.output
        assert again.content("counting").get().text == "2 "
        again.reset()
        assert again.content("counting").guid == guid
        assert again.content("counting").get().text == "1 "
        assert "deploying" not in again.output

    # without a seed there is nothing
    with LocalConnect(tmp_path / "again", options=["--users", str(first / "users.toml")]) as again:
        again.reset()
        assert call(again, "/content") == []
        assert len(call(again, "/oauth/integrations")) == 1
        assert list(again.users) == ["maria", "pavel", "root"]


def test_it_is_stopped_while_the_seed_is_deployed(tmp_path: Path) -> None:
    """Without the command, whose API would not be there."""
    hanging = tmp_path / "seed" / "hanging"
    hanging.mkdir(parents=True)
    (hanging / "app.py").write_text("import time\n\ntime.sleep(60)\n", "utf-8")
    (hanging / "requirements.txt").touch()
    (hanging.parent / "seed.toml").write_text("[hanging]\n", "utf-8")
    data = tmp_path / "data"
    process = start(data, "--seed", str(hanging.parent), "--", "touch", str(tmp_path / "begun"))
    with process:
        assert eventually(lambda: "seed: hanging: deploying" in output_file(data).read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 128 + signal.SIGINT
    assert output_file(data).read_text().endswith("Stopping.\n")
    assert not (tmp_path / "begun").exists()
    assert content_processes(data) == []


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
