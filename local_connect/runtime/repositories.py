"""Git-backed content: which repository it comes from, and what is deployed from there, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import DatabaseError, IntegrityError

from local_connect.config import Limits
from local_connect.errors import ApiError, Conflict
from local_connect.log import log
from local_connect.records.store import Content, Repository, Store
from local_connect.runtime.bundles import receive, reserve
from local_connect.runtime.deploys import Deploys, Source
from local_connect.runtime.git import Git, Place
from local_connect.runtime.tasks import Task, TaskFailed, Tasks

#: repositories that are looked at in the same moment
_AT_ONCE = 4

#: seconds between two rounds of looks, at least
_PAUSE = 0.1

#: before any server started
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Repositories:
    """The repositories of content. `poll_seconds` is the time between two looks; 0 for never."""

    def __init__(
        self,
        *,
        store: Store,
        git: Git,
        deploys: Deploys,
        tasks: Tasks,
        limits: Limits,
        poll_seconds: int,
    ) -> None:
        self._store = store
        self._git = git
        self._deploys = deploys
        self._tasks = tasks
        self._limits = limits
        self._poll_seconds = poll_seconds
        #: when the repository of a content was last looked at
        self._looked: dict[str, datetime] = {}
        #: why that was of no use
        self._unread: dict[str, str] = {}
        #: content whose newest commit is being deployed
        self._under_way: set[str] = set()
        self._stopped = False

    @property
    def available(self) -> bool:
        """Whether there is a git to fetch with."""
        return self._git.available

    def get(self, content_guid: str) -> Repository | None:
        """Where content comes from; None where it does not come from a repository."""
        with self._store.session() as session:
            return session.get(Repository, content_guid)

    def put(self, repository: Repository) -> None:
        """Let content come from a repository from now on."""
        self._git.check_available()
        before = self.get(repository.content_guid)
        same = before if before and place_of(before) == place_of(repository) else None
        repository.last_known_commit = same.last_known_commit if same else ""
        repository.last_error = same.last_error if same else ""
        with self._store.session() as session:
            session.merge(repository)
        # whoever says where content comes from asks for its deployment next, as a rule
        self._looked[repository.content_guid] = datetime.now(UTC)
        self._unread.pop(repository.content_guid, None)

    def delete(self, content_guid: str) -> None:
        """Let content come from a repository no longer; what was deployed stays."""
        with self._store.session() as session:
            session.delete(session.get_one(Repository, content_guid))

    def last_error(self, repository: Repository) -> str:
        """Why the last look was of no use, or else the last deployment; empty if all is well."""
        return self._unread.get(repository.content_guid) or repository.last_error

    def next_look(self, repository: Repository) -> datetime | None:
        """When the repository is looked at next; None where that is only done when asked for."""
        if not (repository.polling and self._poll_seconds):
            return None
        return max(self._due(repository), datetime.now(UTC))

    def deploy(
        self, user_guid: str, repository: Repository, *, activate: bool, newest: str = ""
    ) -> Task:
        """Begin to deploy the newest commit for this user; `newest` is that, where it is known."""
        self._git.check_available()
        guid = repository.content_guid
        bundle_id = reserve(self._store, guid)
        commits = [newest]

        def at_end(task: Task) -> None:
            self._under_way.discard(guid)
            self._record(repository, commits[-1], task.error)

        source = Source(
            self._receiving(user_guid, guid, bundle_id, place_of(repository), commits.append),
            at_end,
        )
        task = self._deploys.start(user_guid, guid, bundle_id, activate=activate, source=source)
        self._under_way.add(guid)
        return task

    def make_bundle(self, user_guid: str, content_guid: str, place: Place) -> tuple[int, Task]:
        """Begin to make a bundle for this user, which is yet to be deployed; its id and its task.

        Where it is of the content's own repository, its commit is known from then on.
        """
        self._git.check_available()
        self._deploys.check_unlocked(content_guid)
        bundle_id = reserve(self._store, content_guid)
        repository = self.get(content_guid)
        commits = [""]

        def at_end(task: Task) -> None:
            self._under_way.discard(content_guid)
            if repository is not None and place == place_of(repository):
                self._record(repository, commits[-1], task.error)

        task = self._tasks.start(
            user_guid,
            self._receiving(user_guid, content_guid, bundle_id, place, commits.append),
            at_start=lambda _: self._under_way.add(content_guid),
            at_end=at_end,
        )
        return bundle_id, task

    async def look(self, user_guid: str, repository: Repository) -> Task | None:
        """Deploy for this user what is new in a repository; None where nothing is.

        A commit whose deployment failed counts as new. Raises an `ApiError` where the repository
        cannot be read, the content is locked, or a deployment goes on.
        """
        return await self._look(user_guid, repository, again=True)

    async def poll(self) -> None:
        """Look at the repositories for ever, each when it is due, and deploy what is new."""
        if not self._poll_seconds:
            return
        at_once = asyncio.Semaphore(_AT_ONCE)
        while True:
            now = datetime.now(UTC)
            await asyncio.gather(
                *(
                    self._look_in_turn(at_once, owner_guid, repository)
                    for repository, owner_guid in self._polled()
                    if self._due(repository) <= now
                )
            )
            dues = [self._due(repository) for repository, _ in self._polled()]
            wait = (min(dues) - datetime.now(UTC)).total_seconds() if dues else self._poll_seconds
            await asyncio.sleep(max(wait, _PAUSE))

    def stop(self) -> None:
        """Take no more note of how deployments end: what is cut short is done at the next start."""
        self._stopped = True

    def _polled(self) -> list[tuple[Repository, str]]:
        """The repositories that are looked at by themselves, with the owners of the content."""
        query = (
            select(Repository, Content.owner_guid)
            .join(Content, Content.guid == Repository.content_guid)
            .where(Repository.polling, Content.locked.is_not(True))
        )
        with self._store.session() as session:
            return [(repository, owner_guid) for repository, owner_guid in session.execute(query)]

    def _due(self, repository: Repository) -> datetime:
        looked = self._looked.get(repository.content_guid)
        if looked is None:
            return _LONG_AGO
        return looked + timedelta(seconds=self._poll_seconds)

    async def _look_in_turn(
        self, at_once: asyncio.Semaphore, owner_guid: str, repository: Repository
    ) -> None:
        async with at_once:
            try:
                await self._look(owner_guid, repository, again=False)
            except ApiError:
                # it is shown with the content, and the next look may be of more use
                return
            except (DatabaseError, OSError) as error:
                log(f"{repository.repository} could not be looked at: {error}")

    async def _look(self, user_guid: str, repository: Repository, *, again: bool) -> Task | None:
        guid = repository.content_guid
        self._looked[guid] = datetime.now(UTC)
        self._deploys.check_unlocked(guid)
        self._check_quiet(guid)
        try:
            newest = await self._git.newest(repository.repository, repository.branch)
        except ApiError as error:
            self._unread[guid] = error.error
            raise
        self._unread.pop(guid, None)
        self._check_quiet(guid)
        current = self.get(guid)
        if current is None or place_of(current) != place_of(repository):
            return None
        if newest == current.last_known_commit and not (again and current.last_error):
            return None
        return self.deploy(user_guid, current, activate=True, newest=newest)

    def _check_quiet(self, content_guid: str) -> None:
        if content_guid in self._under_way:
            raise Conflict("A deployment from the repository goes on. Wait until it ends.", code=0)

    def _receiving(
        self,
        user_guid: str,
        content_guid: str,
        bundle_id: int,
        place: Place,
        on_commit: Callable[[str], None],
    ) -> Callable[[Task], Awaitable[None]]:
        """Work that receives a bundle from a repository, and tells of the commit before that."""

        async def work(task: Task) -> None:
            await task.log(f"Fetching {place.ref} of {place.repository}")
            async with self._git.fetch(place) as fetched:
                on_commit(fetched.commit)
                await task.log(f"Commit {fetched.commit}, directory {place.directory}")
                try:
                    await receive(
                        fetched.archive,
                        store=self._store,
                        limits=self._limits,
                        content_guid=content_guid,
                        created_by=user_guid,
                        source={
                            "source": "git",
                            "source_repo": place.repository,
                            "source_branch": place.ref,
                            "source_commit": fetched.commit,
                        },
                        bundle_id=bundle_id,
                    )
                except IntegrityError:
                    raise TaskFailed("The content was deleted meanwhile.") from None

        return work

    def _record(self, repository: Repository, commit: str, error: str) -> None:
        """Record how the deployment of a commit ended, or of none, where there was no telling."""
        if self._stopped:
            return
        try:
            with self._store.session() as session:
                current = session.get(Repository, repository.content_guid)
                if current is not None and place_of(current) == place_of(repository):
                    current.last_known_commit = commit or current.last_known_commit
                    current.last_error = error
        except DatabaseError as failure:
            log(f"How {repository.repository} was deployed could not be recorded: {failure.orig}")


def place_of(repository: Repository) -> Place:
    """What is fetched for the content."""
    return Place(repository.repository, repository.branch, repository.directory)
