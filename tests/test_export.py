"""`local-connect export`: what it leaves out, and that it says so."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from local_connect.errors import LocalConnectError
from local_connect.export import Exported, export
from local_connect.records.store import (
    Base,
    Bundle,
    Content,
    ContentTag,
    Group,
    Integration,
    Repository,
    Store,
    Tag,
    User,
)
from tests.publishing import archive_of

pytestmark = pytest.mark.quick


@pytest.fixture
def alice(store: Store) -> User:
    user = User(username="alice", user_role="publisher")
    keep(store, user)
    return user


def keep(store: Store, *records: Base) -> None:
    with store.session() as session:
        for record in records:
            session.add(record)
            session.flush()


def deployed(store: Store, owner: User, name: str) -> Content:
    """Content that has a bundle."""
    content = Content(name=name, owner_guid=owner.guid)
    keep(store, content)
    archive = archive_of({"app.py": b"app = None\n"})
    bundle = Bundle(
        content_guid=content.guid,
        created_by=owner.guid,
        size=len(archive),
        archive_md5="",
        archive_sha1="",
        manifest={},
    )
    keep(store, bundle)
    with store.session() as session:
        session.query(Content).filter_by(guid=content.guid).one().bundle_id = bundle.id
    content.bundle_id = bundle.id
    store.bundle_directory(bundle.id).mkdir()
    store.archive(bundle.id).write_bytes(archive)
    return content


def exported(store: Store, directory: Path) -> tuple[Exported, dict[str, Any]]:
    """What an export says, and the tables of the seed that it wrote."""
    done = export(store.data, directory)
    return done, tomllib.loads((directory / "seed.toml").read_text("utf-8"))


def test_a_locked_user_and_what_they_own_is_left_out(
    store: Store, alice: User, tmp_path: Path
) -> None:
    eve = User(username="eve", user_role="publisher", locked=True, groups=[Group(name="gone")])
    keep(store, eve)
    deployed(store, eve, "hers")
    deployed(store, alice, "greetings")
    done, tables = exported(store, tmp_path / "seed")
    assert done.left_out == [
        "the user eve, who is locked",
        "the group gone, which has no members",
        "eve's content hers, whose owner is locked",
    ]
    assert (done.users, done.content, list(tables)) == (1, 1, ["greetings"])
    assert "eve" not in (tmp_path / "seed" / "users.toml").read_text("utf-8")


def test_of_integrations_of_one_name_the_first_is_kept(store: Store, tmp_path: Path) -> None:
    for template in ("snowflake", "databricks"):
        keep(store, Integration(template=template, auth_type="Viewer", name="Warehouse"))
    done, _ = exported(store, tmp_path / "seed")
    assert done.left_out == ["a second integration named Warehouse"]
    written = tomllib.loads((tmp_path / "seed" / "integrations.toml").read_text("utf-8"))
    assert {name: table["template"] for name, table in written.items()} == {
        "Warehouse": "snowflake"
    }


def test_content_without_a_bundle_is_left_out(store: Store, alice: User, tmp_path: Path) -> None:
    keep(store, Content(name="empty", owner_guid=alice.guid))
    done, tables = exported(store, tmp_path / "seed")
    assert done.left_out == ["alice's content empty, as nothing is deployed to it"]
    assert tables == {}


def test_names_that_differ_by_case_alone_get_directories_of_their_own(
    store: Store, alice: User, tmp_path: Path
) -> None:
    for name in ("greetings", "Greetings", "seed.toml"):
        deployed(store, alice, name)
    done, tables = exported(store, tmp_path / "seed")
    assert done.left_out == []
    names = {"greetings": "greetings", "Greetings-2": "Greetings", "seed.toml-2": "seed.toml"}
    assert {table: fields["name"] for table, fields in tables.items()} == names
    for table in tables:
        assert (tmp_path / "seed" / table / "app.py").is_file()


@pytest.mark.parametrize(
    ("archive", "why"), [(b"no archive", "not a whole gzipped tar archive"), (None, "No such file")]
)
def test_a_bundle_that_cannot_be_read_is_left_out(
    store: Store, alice: User, tmp_path: Path, archive: bytes | None, why: str
) -> None:
    bundle_id = deployed(store, alice, "broken").bundle_id
    assert bundle_id
    store.archive(bundle_id).unlink()
    if archive is not None:
        store.archive(bundle_id).write_bytes(archive)
    deployed(store, alice, "whole")
    done, tables = exported(store, tmp_path / "seed")
    (said,) = done.left_out
    assert said.startswith(f"alice's content broken, whose bundle {bundle_id} cannot be read (")
    assert why in said
    assert list(tables) == ["whole"]
    assert not (tmp_path / "seed" / "broken").exists()


def test_a_repository_is_left_out_and_its_files_are_not(
    store: Store, alice: User, tmp_path: Path
) -> None:
    content = deployed(store, alice, "greetings")
    repository = Repository(
        content_guid=content.guid,
        repository="https://git.example.com/apis",
        branch="main",
        directory=".",
        polling=True,
    )
    keep(store, repository)
    done, tables = exported(store, tmp_path / "seed")
    assert done.left_out == [
        "the repository of greetings, whose files are there as they were deployed"
    ]
    assert list(tables) == ["greetings"]
    assert (tmp_path / "seed" / "greetings" / "app.py").is_file()


def test_a_tag_with_a_slash_in_its_name_is_left_out(
    store: Store, alice: User, tmp_path: Path
) -> None:
    content = deployed(store, alice, "greetings")
    teams = Tag(name="Teams", parent_id=None)
    keep(store, teams)
    for name in ("R/Python", "Data"):
        tag = Tag(name=name, parent_id=teams.id)
        keep(store, tag)
        keep(store, ContentTag(content_guid=content.guid, tag_id=tag.id))
    done, tables = exported(store, tmp_path / "seed")
    assert done.left_out == ["the tag Teams / R/Python, as a name in it has a slash"]
    assert tables["greetings"]["tags"] == ["Teams/Data"]


def test_a_database_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    database = tmp_path / "data" / "local-connect.db"
    database.parent.mkdir()
    database.write_text("no database", "utf-8")
    with pytest.raises(LocalConnectError) as raised:
        export(tmp_path / "data", tmp_path / "seed")
    assert str(raised.value) == f"The database {database} cannot be read: file is not a database."


def test_a_directory_that_cannot_be_written_is_named(store: Store, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    with pytest.raises(LocalConnectError) as raised:
        export(store.data, taken)
    assert str(raised.value) == f"The seed cannot be written: {taken}: File exists."
