"""The records of a server by themselves, for rules that need no server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_connect.records.store import Content, Store, User


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """With nothing in it yet."""
    store = Store(tmp_path / "data")
    yield store
    store.close()


@pytest.fixture
def guids(store: Store) -> tuple[str, str]:
    """Of two content items of alice's, in the store."""
    user = User(username="alice", user_role="publisher")
    contents = [Content(name=name, owner_guid=user.guid) for name in ("one", "two")]
    with store.session() as session:
        session.add(user)
        session.flush()
        session.add_all(contents)
    return contents[0].guid, contents[1].guid
