"""The way of a bundle to a live process: environment, process, activate."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version
from sqlalchemy import delete, select

from local_connect.config import SchedulingDefaults
from local_connect.errors import Conflict, NotFound
from local_connect.records.snapshot import Snapshot
from local_connect.records.store import (
    SERVICE_ACCOUNT,
    Association,
    Bundle,
    Content,
    EnvironmentVariable,
    Integration,
    Store,
    now,
)
from local_connect.runtime import requirements
from local_connect.runtime.environments import Environments, Log, Pythons
from local_connect.runtime.history import History, Kind
from local_connect.runtime.jobs import Jobs
from local_connect.runtime.manifests import Manifest
from local_connect.runtime.pools import Processes
from local_connect.runtime.processes import (
    ContentProcess,
    Launch,
    ProcessFailed,
    content_environment,
)
from local_connect.runtime.tasks import Task, TaskFailed, Tasks


@dataclass(frozen=True)
class Source:
    """Where the bundle of a deployment comes from, if it was not sent before."""

    #: receives the bundle, and says so in the log of the deployment
    receive: Callable[[Task], Awaitable[None]]
    #: is told how the deployment ended
    at_end: Callable[[Task], None]


class Deploys:
    """Builds, launches and activates bundles; one at a time for each content."""

    def __init__(
        self,
        *,
        store: Store,
        snapshot: Snapshot,
        environments: Environments,
        processes: Processes,
        tasks: Tasks,
        jobs: Jobs,
        history: History,
        pythons: Pythons,
        scheduling: SchedulingDefaults,
        debugged: Mapping[str, int],
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._environments = environments
        self._processes = processes
        self._tasks = tasks
        self._jobs = jobs
        self._history = history
        self._pythons = pythons
        self._scheduling = scheduling
        #: the ports at which debuggers attach, by the GUIDs of content
        self._debugged = debugged
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        #: where content processes reach this server, set once it listens
        self.server_url = ""

    def start(
        self,
        user_guid: str,
        content_guid: str,
        bundle_id: int,
        *,
        activate: bool,
        source: Source | None = None,
    ) -> Task:
        """Begin a deployment for this user, in the background and on record.

        With a `source` the bundle is yet to come from there.
        """
        work = partial(self._deploy, content_guid, bundle_id, activate, source)
        return self._begin(
            user_guid, content_guid, bundle_id, "deploy", work, activate=activate, source=source
        )

    def start_build(self, user_guid: str, content_guid: str, bundle_id: int) -> Task:
        """Begin to make a bundle's environment, without starting or activating anything."""
        work = partial(self._build_alone, content_guid, bundle_id)
        return self._begin(user_guid, content_guid, bundle_id, "build", work, activate=False)

    def _begin(
        self,
        user_guid: str,
        content_guid: str,
        bundle_id: int,
        kind: Kind,
        work: Callable[[Task], Awaitable[None]],
        *,
        activate: bool,
        source: Source | None = None,
    ) -> Task:
        self.check_unlocked(content_guid)

        def at_start(task: Task) -> None:
            self._history.begin(
                task, content_guid=content_guid, bundle_id=bundle_id, kind=kind, activate=activate
            )
            # a client that asks for the content's jobs next finds the build among them
            self._jobs.begin_build(task.id, content_guid=content_guid, bundle_id=bundle_id)

        def at_end(task: Task) -> None:
            self._history.end(task)
            self._jobs.end(task.id, task.code)
            if source:
                source.at_end(task)

        return self._tasks.start(user_guid, work, at_start=at_start, at_end=at_end)

    def check_unlocked(self, content_guid: str) -> None:
        """Raise where the content is locked, so that nothing may be deployed to it."""
        content = self._store.content(content_guid)
        if content and content.locked:
            raise Conflict("This content is locked, so nothing is deployed to it.", code=0)

    def stop_build(self, key: str) -> None:
        """Stop the build whose job has this key, and so the deployment that it is of."""
        self._tasks.cancel(key, "The build was stopped.")

    async def _deploy(
        self,
        content_guid: str,
        bundle_id: int,
        activate: bool,
        source: Source | None,
        task: Task,
    ) -> None:
        """Build a bundle, start it and, with `activate`, make it the one that is served.

        Connect's own words go to the task's log. A bundle that cannot be built raises
        `TaskFailed`, and what was served before still is. One that is built and does not start
        ends well, as on Connect: the log has what the app printed, and visitors get the failure,
        rsconnect among them, which looks at a draft before it activates that. Nobody looks at
        what comes from a `source`, so there it fails where another bundle is served.
        """
        async with self._locks[content_guid]:
            if source:
                await source.receive(task)
            bundle = self.check(content_guid, bundle_id)
            await self._build(task, bundle)
            await task.log(f"Launching {_kind(Manifest.parse(bundle.manifest))}...")
            try:
                await self.process(content_guid, bundle_id, retry=True)
            except ProcessFailed as failure:
                for line in (*failure.output, failure.explained):
                    await task.log(line)
                if source and activate and self._is_served(content_guid):
                    raise TaskFailed("The app did not start, so it was not activated.") from failure
            if activate:
                self._activate(bundle)
                self.retire(content_guid, keep=bundle_id)
                self._keep_minimum(content_guid, bundle_id)

    async def _build_alone(self, content_guid: str, bundle_id: int, task: Task) -> None:
        async with self._locks[content_guid]:
            await self._build(task, self.check(content_guid, bundle_id))

    async def delete(self, content_guid: str, bundle_id: int) -> None:
        """Delete a bundle that is not active, and the environment that only it used."""
        async with self._locks[content_guid]:
            bundle = self.check(content_guid, bundle_id)
            with self._store.session() as session:
                content = session.query(Content).filter_by(guid=content_guid).one()
                if content.bundle_id == bundle.id:
                    raise Conflict("The active bundle cannot be deleted.", code=0)
                session.delete(session.get_one(Bundle, bundle.id))
            self._processes.retire(bundle.id)
            await self._remove([bundle.id])

    async def delete_content(self, content: Content) -> None:
        """Delete content with all its bundles; its processes finish what they have."""
        async with self._locks[content.guid]:
            self.retire(content.guid)
            with self._store.session() as session:
                bundle_ids = list(
                    session.scalars(select(Bundle.id).filter_by(content_guid=content.guid))
                )
                # whatever belongs to it goes by the database's own cascade
                session.execute(delete(Content).filter_by(id=content.id))
            await self._remove(bundle_ids)

    async def clean(self) -> None:
        """Remove environments that no bundle uses, nor one of the snapshot's."""
        with self._store.session() as session:
            used = session.scalars(
                select(Bundle.environment).where(Bundle.environment.is_not(None))
            )
            names = {name for name in used if name} | self._snapshot.environments()
        await self._environments.clean(names)

    def has_environments(self, names: Iterable[str]) -> bool:
        """Whether all the environments of these names are there."""
        return all(self._environments.get(name) for name in names)

    def caches(self) -> list[str]:
        """The Pythons, by version, for which there are environments."""
        built = [bundle.py_version for bundle in self._built()]
        return sorted({version for version in built if version}, key=Version)

    def delete_cache(self, user_guid: str, py_version: str) -> Task:
        """Begin to remove the environments for a Python, and end the processes that use them.

        What ran in one of them has to be built or deployed again.
        """

        async def delete(task: Task) -> None:
            for bundle in self._built():
                if bundle.py_version == py_version:
                    self._processes.retire(bundle.id)
            built = self._built()
            names = {bundle.environment or "" for bundle in built}
            gone = {bundle.environment or "" for bundle in built if bundle.py_version == py_version}
            await self._environments.clean((names | self._snapshot.environments()) - gone)
            await task.log(f"Deleted the environments for Python {py_version}")

        return self._tasks.start(user_guid, delete, at_start=lambda _: None, at_end=lambda _: None)

    def _built(self) -> list[Bundle]:
        """The bundles that have an environment."""
        with self._store.session() as session:
            bundles = session.scalars(select(Bundle).where(Bundle.environment.is_not(None))).all()
        return [bundle for bundle in bundles if self._environments.get(bundle.environment or "")]

    async def _remove(self, bundle_ids: list[int]) -> None:
        for bundle_id in bundle_ids:
            directory = self._store.bundle_directory(bundle_id)
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        await self.clean()

    def resume(self) -> None:
        """Start what the content of a server that has just started is to have."""
        with self._store.session() as session:
            active = session.query(Content).where(Content.bundle_id.is_not(None)).all()
            active = [content for content in active if not content.locked]
        for content in active:
            if self._setting(content, "min_processes") and content.bundle_id is not None:
                self._keep_minimum(content.guid, content.bundle_id)

    async def process(
        self, content_guid: str, bundle_id: int, *, retry: bool = False
    ) -> ContentProcess:
        """The process that serves a built bundle, started if need be.

        Raises `ProcessFailed`. One that has just failed fails again, unless `retry` is set.
        """
        launch = partial(self._launch, content_guid, bundle_id)
        return await self._processes.get(bundle_id, launch, retry=retry)

    def end_idle(self, bundle_id: int) -> None:
        """End a bundle's processes as those that idle: the next request starts one."""
        self._processes.end_idle(bundle_id)

    async def replace(self, content_guid: str) -> None:
        """Let changed settings and variables take effect, by processes that replace the old."""
        with self._store.session() as session:
            content = session.query(Content).filter_by(guid=content_guid).one()
        if content.locked:
            self.retire(content_guid)
            return
        # the port of a debugger is one process's at a time
        kept = None if content_guid in self._debugged else content.bundle_id
        self.retire(content_guid, keep=kept)
        if content.bundle_id is not None:
            await self._processes.replace(
                content.bundle_id,
                partial(self._launch, content_guid, content.bundle_id),
                self._setting(content, "min_processes"),
            )

    def retire(self, content_guid: str, *, keep: int | None = None) -> None:
        """Let the content's processes finish and end, but for those of bundle `keep`."""
        with self._store.session() as session:
            bundle_ids = session.scalars(select(Bundle.id).filter_by(content_guid=content_guid))
            for bundle_id in bundle_ids:
                if bundle_id != keep:
                    self._processes.retire(bundle_id)

    def _keep_minimum(self, content_guid: str, bundle_id: int) -> None:
        with self._store.session() as session:
            content = session.query(Content).filter_by(guid=content_guid).one()
        launch = partial(self._launch, content_guid, bundle_id)
        self._processes.keep(bundle_id, launch, self._setting(content, "min_processes"))

    def _launch(self, content_guid: str, bundle_id: int) -> Launch:
        """How a process of the bundle starts now; `ProcessFailed` where it has not been built."""
        with self._store.session() as session:
            bundle = session.get_one(Bundle, bundle_id)
            content = session.query(Content).filter_by(guid=content_guid).one()
            variables = {
                variable.name: variable.value
                for variable in session.query(EnvironmentVariable).filter_by(
                    content_guid=content_guid
                )
            }
            has_service_account = session.scalars(
                select(Integration.guid)
                .join(Association, Association.integration_guid == Integration.guid)
                .where(Association.content_guid == content_guid)
                .where(Integration.auth_type == SERVICE_ACCOUNT)
            ).first()
        environment = self._environments.get(bundle.environment or "")
        if environment is None:
            raise ProcessFailed(f"Bundle {bundle_id} has not been built. Deploy it again.", [])
        home = self._store.bundle_directory(bundle_id) / "home"
        home.mkdir(exist_ok=True)
        manifest = Manifest.parse(bundle.manifest)
        launch = Launch(
            content_guid=content_guid,
            owner_guid=content.owner_guid,
            content_name=content.name,
            bundle_id=bundle_id,
            app=self._store.app_directory(bundle_id),
            python=environment.python,
            app_mode=manifest.app_mode,
            entrypoint=manifest.entrypoint,
            environment={
                **content_environment(environment.python, home),
                **variables,
                "CONNECT_SERVER": self.server_url,
                "CONNECT_CONTENT_GUID": content_guid,
            },
            max_processes=self._setting(content, "max_processes"),
            load_factor=self._setting(content, "load_factor"),
            threads=self._setting(content, "max_conns_per_process"),
            init_timeout=self._setting(content, "init_timeout"),
            idle_timeout=self._setting(content, "idle_timeout"),
            connection_timeout=self._setting(content, "connection_timeout"),
            read_timeout=self._setting(content, "read_timeout"),
            has_service_account=has_service_account is not None,
        )
        port = self._debugged.get(content_guid)
        return launch if port is None else self._for_debugger(launch, port)

    def _for_debugger(self, launch: Launch, port: int) -> Launch:
        """The same for content that a debugger attaches to: one process, which nothing hurries.

        It runs where the last one did, as a debugger is told once where the files are, and others
        of the content let go of the port.
        """
        self.retire(launch.content_guid, keep=launch.bundle_id)
        directory = self._store.debugged_directory(launch.content_name)
        directory.mkdir(parents=True, exist_ok=True)
        # the directory itself stays: a process that ends may still be in it
        for path in directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        shutil.copytree(launch.app, directory, symlinks=True, dirs_exist_ok=True)
        return replace(
            launch,
            app=directory,
            max_processes=1,
            init_timeout=math.inf,
            idle_timeout=math.inf,
            connection_timeout=0,
            debug_port=port,
        )

    def _setting(self, content: Content, name: str) -> Any:
        """A scheduling field of the content, or the server's default where it is null."""
        value = getattr(content, name)
        return getattr(self._scheduling, name) if value is None else value

    async def _build(self, task: Task, bundle: Bundle) -> None:
        """Make the bundle's environment; its job has all that is said of it."""
        job_log = self._jobs.open_log(task.id)

        async def log(text: str) -> None:
            await task.log(text)
            for line in text.splitlines():
                job_log.write(line)

        await self._build_environment(bundle, log)
        self._jobs.end(task.id, 0)

    async def _build_environment(self, bundle: Bundle, log: Log) -> None:
        manifest = Manifest.parse(bundle.manifest)
        app: Path = self._store.app_directory(bundle.id)
        await log(f"Building {_kind(manifest)}...")
        for warning in bundle.warnings:
            await log(f"Warning: {warning}")
        python = await self._pythons.choose(manifest)
        await log(
            f"Bundle requested Python version {manifest.python_version}; "
            f"using {python.executable} which has version {python.version}"
        )
        await log(f"Building environment using Python {python.version}")
        environment = await self._environments.ensure(manifest, app, python, log)
        with self._store.session() as session:
            record = session.get_one(Bundle, bundle.id)
            record.environment = environment.name
            record.py_version = str(python.version)
        await log("Creating lockfile: python/requirements.txt.lock")
        await log(f"Completed Python build against Python version: '{python.version}'")

    def _activate(self, bundle: Bundle) -> None:
        with self._store.session() as session:
            content = session.query(Content).filter_by(guid=bundle.content_guid).one()
            record = session.get_one(Bundle, bundle.id)
            content.bundle_id = record.id
            content.app_mode = Manifest.parse(record.manifest).app_mode
            content.py_version = record.py_version
            content.last_deployed_time = now()

    def _is_served(self, content_guid: str) -> bool:
        """Whether any bundle of the content is active."""
        with self._store.session() as session:
            content = session.query(Content).filter_by(guid=content_guid).one()
        return content.bundle_id is not None

    def packages(self, content: Content) -> tuple[str, ...] | None:
        """The packages that the active bundle runs with, as `name==version`."""
        if content.bundle_id is None:
            return None
        environment = self._environments.get(
            self.check(content.guid, content.bundle_id).environment or ""
        )
        return environment.packages if environment else None

    def requirements(self, content: Content) -> tuple[str, ...]:
        """Those of the packages that the active bundle asks for itself."""
        packages = self.packages(content)
        if packages is None or content.bundle_id is None:
            return ()
        bundle = self.check(content.guid, content.bundle_id)
        package_file = Manifest.parse(bundle.manifest).package_file
        if package_file is None:
            return ()
        names = requirements.read(self._store.app_directory(bundle.id), package_file).names
        return tuple(
            package
            for package in packages
            if canonicalize_name(package.partition("==")[0]) in names
        )

    def state(self, content: Content) -> str:
        """Whether content is `live`, `starting`, `failed`, `idle`, or `empty` of bundles."""
        state = "empty" if content.bundle_id is None else self._processes.state(content.bundle_id)
        if state != "live" and self._locks[content.guid].locked():
            return "starting"
        return state

    def check(self, content_guid: str, bundle_id: int) -> Bundle:
        """The content's bundle of that id, or an `ApiError`."""
        with self._store.session() as session:
            bundle = session.get(Bundle, bundle_id)
        if bundle is None or bundle.content_guid != content_guid:
            raise NotFound(f"This content has no bundle {bundle_id}.")
        return bundle


def _kind(manifest: Manifest) -> str:
    """What Connect's logs call content of this type; for ASGI apps that is inferred."""
    return "Python API" if manifest.app_mode == "python-api" else "FastAPI application"
