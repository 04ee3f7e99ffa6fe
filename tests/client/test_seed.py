"""What a seed's files say, and what is wrong with those that are refused."""

from pathlib import Path

import pytest

from local_connect.access.identity import DEFAULT_IDENTITIES
from local_connect.client import seed
from local_connect.errors import LocalConnectError

pytestmark = pytest.mark.quick

ALL = """
[greetings]
directory = "api"
name = "hello"
title = "Greetings"
description = "In four languages"
owner = "admin"
kind = "fastapi"
entrypoint = "main:app"
access_type = "acl"
vanity = "/hello/"
permissions = [{user = "bob", role = "viewer"}, {group = "staff", role = "owner"}]
environment = {COLOUR = "blue"}
integrations = ["visitor-key"]
tags = ["Teams/Data"]
min_processes = 1
load_factor = 0.5
locked = true
locked_message = "Until Monday"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of a seed with two directories of content, and no file yet."""
    for name in ("api", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text("app = None\n", "utf-8")
    return tmp_path


def read(directory: Path, text: str, *, integrations: str = "") -> seed.Seed:
    (directory / "seed.toml").write_text(text, "utf-8")
    if integrations:
        (directory / "integrations.toml").write_text(integrations, "utf-8")
    return seed.read(directory)


def test_every_setting_is_read(directory: Path) -> None:
    (item,) = read(directory, ALL).items
    assert item == seed.Item(
        directory=directory / "api",
        name="hello",
        owner="admin",
        kind="fastapi",
        entrypoint="main:app",
        fields={
            "title": "Greetings",
            "description": "In four languages",
            "access_type": "acl",
            "min_processes": 1,
            "load_factor": 0.5,
            "locked_message": "Until Monday",
        },
        vanity="/hello/",
        permissions=(("user", "bob", "viewer"), ("group", "staff", "owner")),
        environment={"COLOUR": "blue"},
        integrations=("visitor-key",),
        tags=(("Teams", "Data"),),
        locked=True,
    )


def test_a_table_with_nothing_in_it_is_the_directory_of_its_name(directory: Path) -> None:
    (item,) = read(directory, "[api]").items
    assert item == seed.Item(directory=directory / "api", name="api", owner="alice")


def test_an_administrator_owns_content_where_nobody_publishes(directory: Path) -> None:
    (directory / "seed.toml").write_text("[api]", "utf-8")
    (item,) = seed.read(directory, DEFAULT_IDENTITIES[:1]).items
    assert item.owner == "admin"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("titel = 1", "titel is in no table"),
        ("[api", "is not TOML"),
        ("[api]\ntitel = 'x'", "[api]: content has no titel here, only directory, name"),
        ("[nowhere]", "[nowhere]: there is no directory"),
        ("[api]\nowner = 'eve'", "there is no user eve, only admin, alice, bob"),
        ("[api]\nowner = 'bob'", "bob is a viewer and cannot own content"),
        ("[api]\nkind = 'shiny'", "kind is 'shiny', not one of api, fastapi, manifest"),
        ("[api]\nkind = 'manifest'", "has no manifest.json"),
        ("[api]\ntitle = 1", "title is not text: 1"),
        ("[api]\nmax_processes = 'two'", "max_processes is not a number: 'two'"),
        ("[api]\nlocked = 'no'", "locked is neither true nor false: 'no'"),
        ("[api]\nenvironment = {COLOUR = 1}", "the variable COLOUR is not text in quotes: 1"),
        ("[api]\nenvironment = 'COLOUR'", "environment is not a table"),
        ("[api]\nintegrations = 'visitor-key'", "integrations is not a list of names"),
        ("[api]\ntags = ['Data']", "a tag is below a category"),
        ("[api]\npermissions = ['bob']", "a permission is such as"),
        ("[api]\npermissions = [{user = 'bob'}]", "a permission is such as"),
        ("[api]\npermissions = [{user = 'eve', role = 'viewer'}]", "there is no user eve"),
        ("[api]\npermissions = [{group = 'eve', role = 'viewer'}]", "there is no group eve"),
        ("[api]\n[other]\nname = 'api'", "[api] and [other] are both alice's content api"),
    ],
)
def test_what_is_wrong_is_named(directory: Path, text: str, said: str) -> None:
    with pytest.raises(LocalConnectError) as raised:
        read(directory, text)
    assert said in str(raised.value)
    assert str(directory / "seed.toml") in str(raised.value)


def test_a_manifest_names_the_entry_point_itself(directory: Path) -> None:
    (directory / "api" / "manifest.json").write_text("{}", "utf-8")
    text = "[api]\nkind = 'manifest'"
    assert read(directory, text).items[0].kind == "manifest"
    with pytest.raises(LocalConnectError, match="of the kind manifest it has no entrypoint"):
        read(directory, f"{text}\nentrypoint = 'app:app'")


def test_integrations(directory: Path) -> None:
    found = read(directory, "", integrations="['My warehouse']\ntemplate = 'snowflake'")
    assert found.integrations == ({"name": "My warehouse", "template": "snowflake"},)
    for text, said in (
        ("[Warehouse]", "[Warehouse]: an integration has a template"),
        ("[Warehouse]\nguid = 'x'", "an integration has no guid here, only template"),
    ):
        with pytest.raises(LocalConnectError) as raised:
            read(directory, "", integrations=text)
        assert said in str(raised.value)


def test_a_directory_without_a_seed_says_which_file_is_missing(directory: Path) -> None:
    with pytest.raises(LocalConnectError, match=r"seed\.toml cannot be read: No such file"):
        seed.read(directory, DEFAULT_IDENTITIES)


def test_its_digest_changes_with_its_files_and_its_settings(directory: Path) -> None:
    digests = [read(directory, text).digest() for text in ("[api]", "[other]", "[api]")]
    assert digests[0] == digests[2] != digests[1]
    (directory / "api" / "app.py").write_text("app = 1\n", "utf-8")
    assert read(directory, "[api]").digest() != digests[0]
