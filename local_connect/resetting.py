"""Back to the seed: what a server begins with, at its start and at each reset."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from local_connect.access import rights
from local_connect.access.identity import Identity
from local_connect.api.common import SERVICES, Services, caller, services
from local_connect.client import seed as seeds
from local_connect.client.seed import Seed
from local_connect.client.seeding import apply
from local_connect.errors import Conflict, LocalConnectError
from local_connect.gateway.faults import FAULTS
from local_connect.gateway.recorder import Recorder
from local_connect.log import log
from local_connect.records.snapshot import Snapshot, clear, is_new
from local_connect.runtime.bundles import unpack

routes = web.RouteTableDef()

#: what a deployment says that a reset ended
_WHY = "The server was reset."


class Resets:
    """Brings one server to what its seed says, or to nothing where it has none.

    Once everything of the seed is deployed, a snapshot is kept; while the seed stays as it is, a
    reset goes back to that, which takes no deployment. Else it deploys the seed again.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        snapshot: Snapshot,
        identities: tuple[Identity, ...],
        directory: Path | None,
        recorder: Recorder | None,
        url: Callable[[], str],
    ) -> None:
        self._app = app
        self._snapshot = snapshot
        self._identities = identities
        self._directory = directory
        self._recorder = recorder
        self._url = url
        self._lock = asyncio.Lock()
        self._removing: set[asyncio.Task[None]] = set()

    async def begin(self) -> list[str]:
        """Deploy what the seed has and the server has not; the names of what could not be.

        Where the server had nothing before, a reset goes back to what it has then.
        """
        seed = self._read()
        async with self._lock:
            mark = await asyncio.to_thread(seed.digest) if seed else ""
            if not self._snapshot.is_of(mark):
                self._snapshot.discard()
            if seed is None:
                return []
            return await self._deploy(seed, mark if is_new(self._services.store) else "")

    async def reset(self) -> list[str]:
        """Go back to the seed; the names of what of it could not be deployed.

        Requests under way are answered by the processes that have them. Deployments end. Raises
        `Conflict` where the seed is not in order any more.
        """
        try:
            seed = self._read()
        except LocalConnectError as error:
            raise Conflict(str(error), code=0) from error
        async with self._lock:
            mark = await asyncio.to_thread(seed.digest) if seed else ""
            kept = self._snapshot.is_of(mark) and self._services.deploys.has_environments(
                self._snapshot.environments()
            )
            await self._go_back(mark if kept else "")
            return [] if seed is None or kept else await self._deploy(seed, mark)

    async def stop(self) -> None:
        """Remove what is left of the bundles that were replaced."""
        for task in self._removing:
            task.cancel()
        await asyncio.gather(*self._removing, return_exceptions=True)

    @property
    def _services(self) -> Services:
        return self._app[SERVICES]

    def _read(self) -> Seed | None:
        return seeds.read(self._directory, self._identities) if self._directory else None

    async def _deploy(self, seed: Seed, mark: str) -> list[str]:
        """Deploy what is not there; with a mark, keep a snapshot if all of it went well.

        It goes back to that at once: rsconnect has asked each app for a page, which may have
        changed something, and no reset would bring that.
        """
        failed = await apply(seed, url=self._url(), users=self._services.identities.all())
        if mark and not failed:
            self._snapshot.take(mark)
            await self._go_back(mark)
        return failed

    async def _go_back(self, mark: str) -> None:
        """Have what the snapshot of that mark has, and nothing without a mark."""
        with tempfile.TemporaryDirectory(
            prefix=".reset-",
            dir=self._services.store.bundles,
            # a thread may still write there where whoever asked has gone; the next start removes it
            ignore_cleanup_errors=True,
        ) as scratch:
            if mark:
                await asyncio.to_thread(self._unpack, Path(scratch))
            await self._services.tasks.stop(_WHY)
            self._replace(mark, Path(scratch))
        self._services.deploys.resume()

    def _unpack(self, scratch: Path) -> None:
        """The directories of the snapshot's bundles, as they were before any process ran there."""
        for bundle_id in self._snapshot.bundles():
            directory = scratch / str(bundle_id)
            directory.mkdir()
            archive = directory / "bundle.tar.gz"
            shutil.copy2(self._snapshot.archive(bundle_id), archive)
            unpack(archive, directory / "app", self._services.settings.limits)

    def _replace(self, mark: str, bundles: Path) -> None:
        """Have the snapshot's records, and these bundles, from one moment to the next."""
        services = self._services
        # those of the last second go with the others
        services.hits.write()
        if mark:
            self._snapshot.restore(mark)
        else:
            clear(services.store, [identity.username for identity in self._identities])
        services.processes.retire_all()
        replaced = Path(tempfile.mkdtemp(prefix=".replaced-", dir=services.store.bundles))
        for directory in list(services.store.bundles.iterdir()):
            if not directory.name.startswith("."):
                directory.rename(replaced / directory.name)
        for directory in list(bundles.iterdir()):
            directory.rename(services.store.bundles / directory.name)
        services.identities.seed(self._identities)
        services.integrations.begin_anew()
        services.vanities.reload()
        self._app[FAULTS].reset()
        if self._recorder:
            self._recorder.forget()
        removing = asyncio.create_task(self._remove(replaced))
        self._removing.add(removing)
        removing.add_done_callback(self._removing.discard)

    async def _remove(self, directory: Path) -> None:
        """Remove old bundles, once no process that finishes its requests is in them."""
        try:
            await self._services.processes.ended()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


RESETS: web.AppKey[Resets] = web.AppKey("resets", Resets)


@routes.post("/__local__/reset")
async def reset(request: web.Request) -> web.Response:
    """Go back to the seed, for an administrator; all that was changed since is gone."""
    user = caller(request)
    rights.check_administrator(user)
    services(request).identities.check_lasting(request.headers)
    began = time.monotonic()
    failed = await request.app[RESETS].reset()
    seconds = time.monotonic() - began
    log(f"Reset, as {user.username} asked for, in {seconds:.1f} s.")
    return web.json_response({"failed": failed})
