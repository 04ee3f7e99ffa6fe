"""The store: its transactions, what it remembers between requests, and its directory."""

from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from local_connect.errors import LocalConnectError
from local_connect.records.store import Bundle, Content, Store, User

pytestmark = pytest.mark.quick


@pytest.fixture
def guid(store: Store) -> str:
    """Of content in the store, which has a bundle."""
    user = User(username="alice", user_role="publisher")
    content = Content(name="greetings", owner_guid=user.guid)
    bundle = Bundle(
        content_guid=content.guid,
        created_by=user.guid,
        size=1,
        archive_md5="",
        archive_sha1="",
        manifest={},
    )
    with store.session() as session:
        session.add(user)
        session.flush()
        session.add(content)
        session.flush()
        session.add(bundle)
    return content.guid


def test_what_raises_changes_nothing(store: Store, guid: str) -> None:
    with suppress(ZeroDivisionError), store.session() as session:
        session.query(Content).filter_by(guid=guid).one().title = "changed"
        session.flush()
        raise ZeroDivisionError
    content = store.content(guid)
    assert content
    assert content.title is None


def test_content_is_read_once_until_something_is_written(store: Store, guid: str) -> None:
    first = store.content(guid)
    assert first
    with store.session() as session:
        session.scalars(select(User)).all()
    assert store.content(guid) is first
    with store.session() as session:
        session.query(Content).filter_by(guid=guid).one().title = "changed"
    second = store.content(guid)
    assert second
    assert second.title == "changed"
    with store.session() as session:
        session.delete(session.query(Content).filter_by(guid=guid).one())
    assert store.content(guid) is None


def test_what_belongs_to_content_goes_with_it(store: Store, guid: str) -> None:
    with store.session() as session:
        session.delete(session.query(Content).filter_by(guid=guid).one())
    with store.session() as session:
        assert session.scalars(select(Bundle)).all() == []
        assert len(session.scalars(select(User)).all()) == 1


def test_one_server_at_a_time_has_the_directory(store: Store) -> None:
    with pytest.raises(LocalConnectError, match="in use by another local-connect"):
        Store(store.data)
    store.close()
    Store(store.data).close()


def test_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    database = tmp_path / "local-connect.db"
    database.mkdir()
    for _ in range(2):
        # the lock on the directory is given back each time
        with pytest.raises(LocalConnectError, match=f"The database {database} cannot be used: "):
            Store(tmp_path)


def test_a_new_directory_is_private_and_marked_for_rsconnect(tmp_path: Path) -> None:
    Store(tmp_path / "new").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "bin" / "python").exists()


def test_a_directory_that_holds_more_is_not_marked(tmp_path: Path) -> None:
    # else rsconnect would take all of it for a virtual environment
    (tmp_path / "app.py").touch()
    Store(tmp_path).close()
    assert not (tmp_path / "bin").exists()
