"""The way of a bundle to a live process: environment, process, activate."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

from local_connect.bundles import Manifest
from local_connect.config import SchedulingDefaults
from local_connect.environments import Environments, Python, choose_python
from local_connect.errors import NotFound
from local_connect.processes import (
    ContentProcess,
    Launch,
    Processes,
    ProcessFailed,
    content_environment,
)
from local_connect.store import Bundle, Content, EnvironmentVariable, Store, now
from local_connect.tasks import Task, TaskFailed


class Deploys:
    """Builds, launches and activates bundles; one at a time for each content."""

    def __init__(
        self,
        *,
        store: Store,
        environments: Environments,
        processes: Processes,
        pythons: tuple[Python, ...],
        scheduling: SchedulingDefaults,
    ) -> None:
        self._store = store
        self._environments = environments
        self._processes = processes
        self._pythons = pythons
        self._scheduling = scheduling
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        #: where content processes reach this server, set once it listens
        self.server_url = ""

    async def deploy(
        self, task: Task, content_guid: str, bundle_id: int, *, activate: bool
    ) -> None:
        """Bring a bundle up and, with `activate`, make it the one that is served.

        Connect's own words go to the task's log. A bundle that cannot be built or
        does not start raises `TaskFailed`; what was served before still is.
        """
        async with self._locks[content_guid]:
            bundle = self.check(content_guid, bundle_id)
            await self._build(task, bundle)
            await task.log("Launching Python API...")
            try:
                await self.process(content_guid, bundle_id)
            except ProcessFailed as failure:
                for line in failure.output:
                    await task.log(line)
                raise TaskFailed(str(failure)) from failure
            if activate:
                self._activate(bundle)
                await self._processes.retire(content_guid, keep=bundle_id)

    async def process(self, content_guid: str, bundle_id: int) -> ContentProcess:
        """The process that serves a built bundle, started if need be."""
        if running := self._processes.running(bundle_id):
            return running
        with self._store.session() as session:
            bundle = session.get_one(Bundle, bundle_id)
            content = session.query(Content).filter_by(guid=content_guid).one()
            variables = {
                variable.name: variable.value
                for variable in session.query(EnvironmentVariable).filter_by(
                    content_guid=content_guid
                )
            }
        environment = self._environments.get(bundle.environment or "")
        if environment is None:
            raise ProcessFailed(f"Bundle {bundle_id} has not been built. Deploy it again.", [])
        home = self._store.bundle_directory(bundle_id) / "home"
        home.mkdir(exist_ok=True)
        launch = Launch(
            content_guid=content_guid,
            content_name=content.name,
            bundle_id=bundle_id,
            app=self._store.app_directory(bundle_id),
            python=environment.python,
            entrypoint=Manifest.parse(bundle.manifest).entrypoint,
            environment={
                **content_environment(environment.python, home),
                **variables,
                "CONNECT_SERVER": self.server_url,
                "CONNECT_CONTENT_GUID": content_guid,
            },
            threads=self._setting(content, "max_conns_per_process"),
            init_timeout=self._setting(content, "init_timeout"),
            idle_timeout=self._setting(content, "idle_timeout"),
            connection_timeout=self._setting(content, "connection_timeout"),
            read_timeout=self._setting(content, "read_timeout"),
        )
        return await self._processes.get(launch, owner_guid=content.owner_guid)

    def _setting(self, content: Content, name: str) -> int:
        """A scheduling field of the content, or the server's default where it is null."""
        value = getattr(content, name)
        return int(getattr(self._scheduling, name) if value is None else value)

    async def _build(self, task: Task, bundle: Bundle) -> None:
        manifest = Manifest.parse(bundle.manifest)
        app: Path = self._store.app_directory(bundle.id)
        await task.log("Building Python API...")
        python = choose_python(manifest, self._pythons)
        await task.log(
            f"Bundle requested Python version {manifest.python_version}; "
            f"using {python.executable} which has version {python.version}"
        )
        await task.log(f"Building environment using Python {python.version}")
        environment = await self._environments.ensure(manifest, app, python, task.log)
        await task.log("Creating lockfile: python/requirements.txt.lock")
        with self._store.session() as session:
            record = session.get_one(Bundle, bundle.id)
            record.environment = environment.name
            record.py_version = str(python.version)
        await task.log(f"Completed Python build against Python version: '{python.version}'")

    def _activate(self, bundle: Bundle) -> None:
        with self._store.session() as session:
            content = session.query(Content).filter_by(guid=bundle.content_guid).one()
            record = session.get_one(Bundle, bundle.id)
            content.bundle_id = record.id
            content.app_mode = Manifest.parse(record.manifest).app_mode
            content.py_version = record.py_version
            content.last_deployed_time = now()

    def packages(self, content: Content) -> tuple[str, ...] | None:
        """The packages that the active bundle runs with, as `name==version`."""
        if content.bundle_id is None:
            return None
        environment = self._environments.get(
            self.check(content.guid, content.bundle_id).environment or ""
        )
        return environment.packages if environment else None

    def check(self, content_guid: str, bundle_id: int) -> Bundle:
        """The content's bundle of that id, or an `ApiError`."""
        with self._store.session() as session:
            bundle = session.get(Bundle, bundle_id)
        if bundle is None or bundle.content_guid != content_guid:
            raise NotFound(f"This content has no bundle {bundle_id}.")
        return bundle
