"""How many processes content has, and which of them gets the next request.

A pool holds the processes of one bundle. They start on demand or by `min_processes`, share
the load up to `max_processes`, are stopped when idle or replaced, and are started again
when they end by themselves, after a pause that grows while they go on to.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from local_connect.log import log
from local_connect.runtime.jobs import Jobs
from local_connect.runtime.processes import ContentProcess, Launch, ProcessFailed

#: seconds after which a process that ends does not count as having failed to start
_STABLE = 60.0

#: seconds of the longest pause before another try
_LONGEST_PAUSE = 30.0

#: seconds to wait before the requests of a process that is to end are counted
_MOMENT = 0.1


class Pool:
    """The processes of one bundle.

    `make` gives a process to start, `end` takes one to end. `clock` tells the time in seconds, and
    `sleep` waits for so many of them.
    """

    def __init__(
        self,
        make: Callable[[], ContentProcess],
        end: Callable[[ContentProcess], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.processes: list[ContentProcess] = []
        #: processes that are kept even when they idle
        self.minimum = 0
        self._make = make
        self._end = end
        self._clock = clock
        self._sleep = sleep
        self._starting: set[asyncio.Task[ContentProcess]] = set()
        self._closed = False
        self._failures = 0
        self._not_before = 0.0
        self._failure: ProcessFailed | None = None

    @property
    def alive(self) -> list[ContentProcess]:
        return [process for process in self.processes if process.alive]

    def pick(self) -> ContentProcess | None:
        """The process with the fewest requests; one more starts where all are busy (inferred)."""
        best, busy, count = None, 0, len(self._starting)
        for process in self.processes:
            if process.alive:
                busy += process.requests
                count += 1
                if best is None or process.requests < best.requests:
                    best = process
        if best is None:
            return None
        launch = best.launch
        if count < launch.max_processes and busy >= launch.load_factor * count * launch.threads:
            self._begin()
        return best

    @property
    def state(self) -> str:
        """`live`, `starting`, `failed`, or `idle` where the next visitor starts a process."""
        if self.alive:
            return "live"
        if self._starting:
            return "starting"
        return "failed" if self._failure else "idle"

    async def start(self, *, retry: bool) -> ContentProcess:
        """A process that has just started; whoever asks meanwhile gets the same.

        Raises `ProcessFailed`. While the pause after a failed start lasts it raises the same
        again, unless `retry` is set; after a process that ended by itself it waits.
        """
        self._drop_ended()
        pause = 0.0 if retry else self._not_before - self._clock()
        if pause > 0:
            if self._failure:
                raise self._failure
            await self._sleep(pause)
        if process := self.pick():
            return process
        if not self._starting:
            self._begin()
        return await asyncio.shield(next(iter(self._starting)))

    def tend(self) -> None:
        """Drop what has ended, end what idles, start what is missing."""
        self._drop_ended()
        alive = self.alive
        idle = [process for process in alive if process.idles()]
        for process in idle[: max(0, len(alive) - self.minimum)]:
            self.drop(process)
        if len(alive) < self.minimum and not self._starting and self._clock() >= self._not_before:
            self._begin()

    def drop(self, process: ContentProcess) -> None:
        """Take a process out, and let it end when its requests are done."""
        self.processes.remove(process)
        self._end(process)

    def close(self) -> None:
        """Drop every process, and those that are still starting once they have."""
        self._closed = True
        for process in self.processes[:]:
            self.drop(process)

    def cancel(self) -> list[asyncio.Task[ContentProcess]]:
        """Give up what is starting."""
        for task in self._starting:
            task.cancel()
        return list(self._starting)

    def _begin(self) -> None:
        task = asyncio.create_task(self._run())
        self._starting.add(task)
        task.add_done_callback(self._settle)

    async def _run(self) -> ContentProcess:
        process = self._make()
        try:
            await process.start()
        except ProcessFailed as failure:
            self._failure = failure
            self._note_failure(lived=0.0)
            log(f"{process.launch.content_name}: {failure.explained}")
            raise
        self._failure = None
        self.processes.append(process)
        if self._closed:
            self.drop(process)
        return process

    def _settle(self, task: asyncio.Task[ContentProcess]) -> None:
        self._starting.discard(task)
        if task.cancelled():
            return
        failure = task.exception()
        if failure and not isinstance(failure, ProcessFailed):
            log(f"A process could not be started: {failure}")

    def _drop_ended(self) -> None:
        for process in self.processes[:]:
            if not process.alive:
                self.drop(process)
                self._note_failure(lived=self._clock() - process.started)

    def _note_failure(self, *, lived: float) -> None:
        self._failures = 1 if lived > _STABLE else self._failures + 1
        # the first that ends by itself may be replaced at once
        pause = 0.0 if lived and self._failures == 1 else 2.0 ** (self._failures - 1)
        self._not_before = self._clock() + min(_LONGEST_PAUSE, pause)


class Processes:
    """The pools of all content."""

    def __init__(self, *, jobs: Jobs, sockets: Path) -> None:
        self._jobs = jobs
        self._sockets = sockets
        self._pools: dict[int, Pool] = {}
        self._ending: set[asyncio.Task[None]] = set()
        #: what runs, by the API keys and the content session tokens that it was given
        self._by_key: dict[str, Launch] = {}
        self._by_token: dict[str, Launch] = {}
        self._keeper: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Start to end idle processes and to replace those that ended, once a second."""
        self._keeper = asyncio.create_task(self._tend())

    def owner_of_key(self, api_key: str) -> str | None:
        """The GUID of the user as whom a running process acts with its `CONNECT_API_KEY`."""
        launch = self._by_key.get(api_key)
        return launch.owner_guid if launch else None

    def content_of_key(self, api_key: str) -> str | None:
        """The GUID of the content whose running process has this `CONNECT_API_KEY`."""
        launch = self._by_key.get(api_key)
        return launch.content_guid if launch else None

    def secrets(self) -> Iterator[str]:
        """The keys and tokens of what runs, to be kept out of what is shown."""
        yield from self._by_key
        yield from self._by_token

    def content_of_token(self, token: str) -> str | None:
        """The GUID of the content whose running process has this content session token."""
        launch = self._by_token.get(token)
        return launch.content_guid if launch else None

    def running(self, bundle_id: int) -> ContentProcess | None:
        """The process of a bundle that the next request goes to, if any runs."""
        pool = self._pools.get(bundle_id)
        return pool.pick() if pool else None

    def alive(self) -> list[ContentProcess]:
        """The processes of all content that take requests."""
        return [process for pool in self._pools.values() for process in pool.alive]

    def state(self, bundle_id: int) -> str:
        """Whether a bundle is `live`, `starting`, `failed` or `idle`."""
        pool = self._pools.get(bundle_id)
        return pool.state if pool else "idle"

    async def get(
        self, bundle_id: int, launch: Callable[[], Launch], *, retry: bool = False
    ) -> ContentProcess:
        """The same, started first where none runs; each start asks `launch` how.

        Raises `ProcessFailed`. With `retry` a bundle that has just failed is tried again.
        """
        return self.running(bundle_id) or await self._pool(bundle_id, launch).start(retry=retry)

    def keep(self, bundle_id: int, launch: Callable[[], Launch], minimum: int) -> None:
        """Hold at least so many processes of a bundle from now on."""
        if minimum or bundle_id in self._pools:
            self._pool(bundle_id, launch).minimum = minimum

    async def replace(self, bundle_id: int, launch: Callable[[], Launch], minimum: int) -> None:
        """Give a bundle processes with new settings, without a gap.

        Where none runs, the next to start has them. Where a new one does not start, the
        old ones go on.
        """
        old = self._pools.get(bundle_id)
        if old and old.alive:
            new = self._new_pool(launch)
            try:
                await new.start(retry=True)
            except ProcessFailed as failure:
                log(f"The content's old processes go on as they are: {failure.explained}")
                return
            if self._pools.get(bundle_id) is not old:
                new.close()
                return
            self._pools[bundle_id] = new
            old.close()
        else:
            self.retire(bundle_id)
        self.keep(bundle_id, launch, minimum)

    def end_idle(self, bundle_id: int) -> None:
        """End the processes of a bundle as those that idle: the next request starts one."""
        if pool := self._pools.get(bundle_id):
            for process in pool.alive:
                pool.drop(process)

    def retire(self, bundle_id: int) -> None:
        """Take the processes of a bundle out of use.

        They finish the requests that they have, in the background, and then end.
        """
        if pool := self._pools.pop(bundle_id, None):
            pool.close()

    async def kill(self, job_key: str) -> None:
        """End the process of a job at once, even with requests under way."""
        for pool in self._pools.values():
            for process in pool.processes:
                if process.job_key == job_key:
                    pool.processes.remove(process)
                    await process.stop()
                    return

    async def stop(self) -> None:
        """End every process, at once."""
        if self._keeper:
            self._keeper.cancel()
        starting = [task for pool in self._pools.values() for task in pool.cancel()]
        await asyncio.gather(*starting, return_exceptions=True)
        for bundle_id in list(self._pools):
            self.retire(bundle_id)
        # a task that is cancelled before its first step runs none of its own clean-up
        await asyncio.sleep(0)
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _pool(self, bundle_id: int, launch: Callable[[], Launch]) -> Pool:
        if bundle_id not in self._pools:
            self._pools[bundle_id] = self._new_pool(launch)
        return self._pools[bundle_id]

    def _new_pool(self, launch: Callable[[], Launch]) -> Pool:
        return Pool(partial(self._make, launch), self._end)

    def _make(self, launch: Callable[[], Launch]) -> ContentProcess:
        """A process that is ready to be started, with a job and a key of its own."""
        how = launch()
        job_key, api_key = secrets.token_hex(8), secrets.token_hex(16)
        own = {"CONNECT_API_KEY": api_key, "CONNECT_CONTENT_JOB_KEY": job_key}
        token, token_file = secrets.token_urlsafe(32), self._sockets / f"{job_key}.token"
        if how.has_service_account:
            token_file.write_text(token, "utf-8")
            own["CONNECT_CONTENT_SESSION_TOKEN_FILE"] = str(token_file)
            self._by_token[token] = how
        self._by_key[api_key] = how

        def forget() -> None:
            self._by_key.pop(api_key, None)
            self._by_token.pop(token, None)
            token_file.unlink(missing_ok=True)

        return ContentProcess(
            replace(how, environment={**how.environment, **own}),
            job_key=job_key,
            jobs=self._jobs,
            socket_path=self._sockets / f"{job_key}.sock",
            at_end=forget,
        )

    def _end(self, process: ContentProcess) -> None:
        """Let a process finish its requests, in the background, and end it."""

        async def end() -> None:
            try:
                # a request that was just given this process may not have been counted yet
                await asyncio.sleep(_MOMENT)
                await process.drain(process.launch.idle_timeout)
            finally:
                await process.stop()

        task = asyncio.create_task(end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(1)
            for pool in list(self._pools.values()):
                pool.tend()
