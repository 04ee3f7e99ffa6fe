"""A snapshot of the records: going back to it, and to none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from local_connect.records.snapshot import Snapshot, clear, is_new
from local_connect.records.store import (
    Bundle,
    Content,
    ContentTag,
    Hit,
    Permission,
    Store,
    Tag,
    User,
)

pytestmark = pytest.mark.quick


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """With alice, her content, its bundle, and a tag below one that was made after it."""
    store = Store(tmp_path / "data")
    alice = User(username="alice", user_role="publisher")
    content = Content(name="greetings", owner_guid=alice.guid, title="Greetings")
    with store.session() as session:
        for record in (
            alice,
            content,
            Permission(
                content_guid=content.guid,
                principal_guid=alice.guid,
                principal_type="user",
                role="viewer",
            ),
            Bundle(
                content_guid=content.guid,
                created_by=alice.guid,
                size=1,
                archive_md5="",
                archive_sha1="",
                manifest={"version": 1},
                environment="abc",
            ),
            Tag(id=2, name="Teams", parent_id=None),
            Tag(id=1, name="Data", parent_id=2),
            ContentTag(content_guid=content.guid, tag_id=1),
        ):
            session.add(record)
            session.flush()
    store.bundle_directory(1).mkdir()
    store.archive(1).write_bytes(b"archive")
    yield store
    store.close()


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.session() as session:
        return {
            kind.__tablename__: [tuple(row) for row in session.execute(select(kind.__table__))]
            for kind in (User, Content, Permission, Bundle, Tag, ContentTag, Hit)
        }


def test_it_brings_back_what_was_changed_and_removed(store: Store) -> None:
    before = everything(store)
    snapshot = Snapshot(store)
    snapshot.take("mark")
    with store.session() as session:
        content = session.scalars(select(Content)).one()
        content.title = "changed"
        session.delete(session.get_one(Bundle, 1))
        session.delete(session.get_one(Tag, 2))
        session.add(User(username="eve", user_role="viewer"))
    store.archive(1).unlink()
    assert store.content(content.guid) is not None
    snapshot.restore("mark")
    assert everything(store) == before
    found = store.content(content.guid)
    assert found is not None
    assert found.title == "Greetings"
    assert snapshot.bundles() == [1]
    assert snapshot.archive(1).read_bytes() == b"archive"
    assert snapshot.environments() == {"abc"}


def test_hits_are_not_kept(store: Store) -> None:
    with store.session() as session:
        guid = session.scalars(select(Content.guid)).one()
        session.add(
            Hit(
                content_guid=guid,
                bundle_id=1,
                user_guid=None,
                timestamp="",
                path="/",
                query=None,
                user_agent=None,
                sec_fetch_dest=None,
                sec_fetch_site=None,
            )
        )
    snapshot = Snapshot(store)
    snapshot.take("mark")
    snapshot.restore("mark")
    assert everything(store)["hits"] == []


def test_it_is_of_one_mark_and_of_this_schema(store: Store) -> None:
    snapshot = Snapshot(store)
    assert not snapshot.is_of("one")
    assert snapshot.environments() == set()
    snapshot.take("one")
    assert snapshot.is_of("one")
    snapshot.take("two")
    assert not snapshot.is_of("one")
    with store.engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA user_version = 1")
    snapshot.take("old")
    assert not snapshot.is_of("old")


def test_a_bundle_of_a_later_upload_has_an_id_of_its_own(store: Store) -> None:
    snapshot = Snapshot(store)
    snapshot.take("mark")
    ids = []
    for _ in range(2):
        with store.session() as session:
            guid = session.scalars(select(Content.guid)).one()
            bundle = Bundle(
                content_guid=guid,
                created_by="",
                size=1,
                archive_md5="",
                archive_sha1="",
                manifest={},
            )
            session.add(bundle)
            session.flush()
            ids.append(bundle.id)
        snapshot.restore("mark")
    assert ids == [2, 3]


def test_to_none_only_the_named_users_stay_with_their_keys(store: Store) -> None:
    with store.session() as session:
        session.add(User(username="eve", user_role="viewer", administered=True))
        session.scalars(select(User).filter_by(username="alice")).one().administered = True
    before = everything(store)["users"][0]
    assert not is_new(store)
    clear(store, ["alice", "bob"])
    after = everything(store)
    (alice,) = after.pop("users")
    assert set(before) - set(alice) <= {True}
    assert not any(after.values())
    assert is_new(store)
