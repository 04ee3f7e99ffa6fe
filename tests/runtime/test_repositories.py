"""When the commits of a repository are deployed, by a git and deployments that only pretend."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from local_connect.config import Limits
from local_connect.errors import ApiError, BadGateway, Conflict
from local_connect.records.store import Content, Repository, Store, User
from local_connect.runtime.deploys import Deploys, Source
from local_connect.runtime.git import Fetched, Git, Place
from local_connect.runtime.repositories import Repositories, place_of
from local_connect.runtime.tasks import Task, Tasks
from tests.publishing import archive_of

pytestmark = pytest.mark.quick


class Pretended:
    """A git whose branch is at a commit, and deployments that end when the test says how."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.commit = "1" * 40
        self.unread = ""
        self.locked = False
        self.is_full = False
        self.looks = 0
        #: what is fetched, in whole archives
        self.archive = archive_of({"app.py": b""})
        #: what happens while a repository is asked
        self.meanwhile: Callable[[], None] = lambda: None
        #: those that go on, and who started them
        self.started: list[tuple[Source, str]] = []

    def check_available(self) -> None:
        pass

    async def newest(self, _repository: str, _ref: str) -> str:
        self.looks += 1
        if self.is_full:
            raise OSError("No space left on device")
        if self.unread:
            raise BadGateway(self.unread)
        self.meanwhile()
        return self.commit

    @asynccontextmanager
    async def fetch(self, _place: Place) -> AsyncIterator[Fetched]:
        if self.unread:
            raise BadGateway(self.unread)

        async def archive() -> AsyncIterator[bytes]:
            self.meanwhile()
            yield self.archive

        yield Fetched(self.commit, archive())

    def check_unlocked(self, _content_guid: str) -> None:
        if self.locked:
            raise Conflict("It is locked.")

    def start(self, user_guid: str, *_: Any, source: Source, activate: bool) -> Task:
        assert activate
        self.started.append((source, user_guid))
        return Task(user_guid, source.at_end)

    def end(self, error: str = "") -> None:
        source, user_guid = self.started.pop()
        asyncio.run(Task(user_guid, source.at_end).finish(error))


class World:
    """Content of alice's that comes from a repository."""

    def __init__(self, data: Path) -> None:
        self.store = Store(data)
        with self.store.session() as session:
            alice = User(username="alice", user_role="publisher")
            session.add(alice)
            session.flush()
            self.content = Content(name="apis", owner_guid=alice.guid)
            session.add(self.content)
        self.pretended = Pretended(self.store)
        self.repositories = self.start()
        self.put()

    def start(self, poll_seconds: int = 60) -> Repositories:
        pretended: Any = self.pretended
        git: Git = pretended
        deploys: Deploys = pretended
        return Repositories(
            store=self.store,
            git=git,
            deploys=deploys,
            tasks=Tasks(),
            limits=Limits(),
            poll_seconds=poll_seconds,
        )

    def put(self, **fields: Any) -> None:
        usual = {"repository": "/apis", "branch": "main", "directory": ".", "polling": True}
        self.repositories.put(Repository(content_guid=self.content.guid, **{**usual, **fields}))

    @property
    def repository(self) -> Repository:
        found = self.repositories.get(self.content.guid)
        assert found
        return found

    def look(self) -> bool:
        """Whether a deployment starts when bob wants to know what is new."""
        return asyncio.run(self.repositories.look("bob", self.repository)) is not None

    def make_bundle(self, place: Place | None = None) -> str:
        """Make a bundle of the content's own place, or of another; why it failed, if it did."""

        async def making() -> str:
            of = place or place_of(self.repository)
            _, task = self.repositories.make_bundle("bob", self.content.guid, of)
            while not task.finished:
                await task.wait(len(task.output), 5)
            return task.error

        return asyncio.run(making())

    def poll(self, *, restarted: bool = True, poll_seconds: int = 60) -> bool:
        """Whether a deployment starts in a round of looks, which is due where the server starts."""
        if restarted:
            self.repositories = self.start(poll_seconds)
        before = len(self.pretended.started)

        async def round_of_looks() -> None:
            polling = asyncio.create_task(self.repositories.poll())
            # nothing in it waits for anything but the pretended git
            for _ in range(10):
                await asyncio.sleep(0)
            assert polling.done() == (poll_seconds == 0)
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

        asyncio.run(round_of_looks())
        return len(self.pretended.started) > before


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data")
    yield world
    world.store.close()


def test_a_new_commit_is_deployed_once_for_the_owner(world: World) -> None:
    assert world.poll()
    assert world.pretended.started[0][1] == world.content.owner_guid
    world.pretended.end()
    assert world.repository.last_known_commit == "1" * 40
    assert not world.poll()
    world.pretended.commit = "2" * 40
    assert world.poll()


def test_a_commit_that_fails_is_deployed_again_only_when_asked_for(world: World) -> None:
    assert world.look()
    assert world.pretended.started[0][1] == "bob"
    world.pretended.end("The app did not start.")
    assert world.repository.last_known_commit == "1" * 40
    assert world.repositories.last_error(world.repository) == "The app did not start."
    assert not world.poll()
    assert world.look()
    world.pretended.end()
    assert world.repositories.last_error(world.repository) == ""
    assert not world.look()


def test_a_repository_that_cannot_be_read(world: World) -> None:
    assert world.look()
    world.pretended.end()
    world.pretended.unread = "There is no network."
    with pytest.raises(ApiError, match=r"There is no network\."):
        world.look()
    assert world.repositories.last_error(world.repository) == "There is no network."
    # nothing about what is deployed has changed
    world.pretended.unread = ""
    assert not world.look()
    assert world.repositories.last_error(world.repository) == ""


def test_looks_are_due_after_a_while(world: World) -> None:
    world.put()
    # whoever sets a repository deploys it next, as a rule
    assert not world.poll(restarted=False)
    assert world.pretended.looks == 0
    due = world.repositories.next_look(world.repository)
    assert due is not None
    assert world.poll()
    again = world.repositories.next_look(world.repository)
    assert again is not None
    assert 0 < (again - due).total_seconds() < 60


def test_who_is_not_looked_at(world: World) -> None:
    assert not world.poll(poll_seconds=0)
    assert world.repositories.next_look(world.repository) is None
    with world.store.session() as session:
        session.get_one(Content, world.content.id).locked = True
    assert not world.poll()
    with world.store.session() as session:
        session.get_one(Content, world.content.id).locked = False
    world.put(polling=False)
    assert not world.poll()
    assert world.repositories.next_look(world.repository) is None
    assert world.pretended.looks == 0
    world.pretended.locked = True
    with pytest.raises(Conflict):
        world.look()
    assert world.pretended.looks == 0


def test_a_full_disk_does_not_end_the_looks(world: World) -> None:
    world.pretended.is_full = True
    assert not world.poll()
    assert world.pretended.looks == 1


def test_one_deployment_at_a_time(world: World) -> None:
    assert world.look()
    with pytest.raises(Conflict, match="goes on"):
        world.look()
    assert not world.poll(restarted=False)
    world.pretended.end()
    world.pretended.commit = "2" * 40
    assert world.look()


def test_another_place_is_new(world: World) -> None:
    assert world.look()
    world.pretended.end("It failed.")
    world.put(polling=False)
    assert world.repository.last_error == "It failed."
    for change in ({"branch": "trunk"}, {"directory": "a"}, {"repository": "/b"}):
        world.put(**change)
        assert (world.repository.last_known_commit, world.repository.last_error) == ("", "")
        assert world.look()
        # what is told of the place before comes too late
        world.put()
        world.pretended.end("It failed.")
        assert (world.repository.last_known_commit, world.repository.last_error) == ("", "")
    assert world.look()
    world.repositories.delete(world.content.guid)
    world.pretended.end()
    assert world.repositories.get(world.content.guid) is None


def test_what_the_end_of_the_server_cuts_short_is_done_at_the_next_start(world: World) -> None:
    assert world.look()
    world.repositories.stop()
    world.pretended.end("The server stopped before the work was done.")
    assert (world.repository.last_known_commit, world.repository.last_error) == ("", "")
    assert world.poll()


def test_a_place_that_is_changed_during_the_look(world: World) -> None:
    world.pretended.meanwhile = lambda: world.put(branch="trunk")
    assert not world.look()
    world.pretended.meanwhile = lambda: world.repositories.delete(world.content.guid)
    assert not world.look()
    assert world.pretended.started == []


def test_what_a_bundle_of_the_same_place_tells_of_the_repository(world: World) -> None:
    def known() -> tuple[str, str]:
        return world.repository.last_known_commit, world.repository.last_error

    world.pretended.unread = "There is no network."
    assert world.make_bundle() == "There is no network."
    assert known() == ("", "There is no network.")
    world.pretended.unread = ""
    assert world.make_bundle() == ""
    assert known() == ("1" * 40, "")
    world.pretended.commit, world.pretended.archive = "2" * 40, b"no archive"
    error = world.make_bundle()
    assert error.startswith("The bundle is not a whole gzipped tar archive")
    assert known() == ("2" * 40, error)
    # of another place it tells nothing
    world.pretended.archive = archive_of({"app.py": b""})
    assert world.make_bundle(Place("/apis", "trunk", ".")) == ""
    assert known() == ("2" * 40, error)


def test_content_that_is_deleted_while_its_bundle_comes(world: World) -> None:
    def delete() -> None:
        with world.store.session() as session:
            session.delete(session.get_one(Content, world.content.id))

    world.pretended.meanwhile = delete
    assert world.make_bundle() == "The content was deleted meanwhile."
    assert list(world.store.bundles.iterdir()) == []


def test_a_deployment_whose_end_cannot_be_recorded(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.look()
    with world.store.session() as session:
        session.execute(text("DROP TABLE repositories"))
    world.pretended.end()
    said = "How /apis was deployed could not be recorded: no such table: repositories\n"
    assert capsys.readouterr().err == said
