"""Which process a request gets, and when one is started, ended or started again.

The pool's own rules, over processes that do nothing and a clock that the test sets.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_connect.records.store import Store
from local_connect.runtime import pools
from local_connect.runtime.jobs import Jobs
from local_connect.runtime.pools import Pool, Processes
from local_connect.runtime.processes import ContentProcess, Launch, ProcessFailed

pytestmark = pytest.mark.quick

LAUNCH = Launch(
    content_guid="",
    owner_guid="",
    content_name="greetings",
    bundle_id=1,
    app=Path(),
    python=Path(),
    app_mode="python-api",
    entrypoint="app",
    environment={},
    max_processes=3,
    load_factor=0.5,
    threads=4,
    init_timeout=60,
    idle_timeout=120,
    connection_timeout=5,
    read_timeout=30,
)

FAILED = ProcessFailed("The app did not start.", [])


class FakeProcess(ContentProcess):
    """A process that starts as the test says, and does nothing."""

    def __init__(
        self, launch: Launch, *, started: float = 0, failure: Exception | None = None
    ) -> None:
        # only what a pool looks at
        self.launch = launch
        self.requests = 0
        self.started = started
        self.failure = failure
        self.running = False
        self.idle = False
        #: set by a test that wants to see the pool while it starts
        self.may_start = asyncio.Event()
        self.may_start.set()

    @property
    def alive(self) -> bool:
        return self.running

    def idles(self) -> bool:
        return self.idle

    async def start(self) -> None:
        await self.may_start.wait()
        if self.failure:
            raise self.failure
        self.running = True

    async def drain(self, seconds: float) -> None:
        pass

    async def stop(self) -> None:
        self.running = False


class Site:
    """A pool, the processes that it has made and ended, and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.made: list[FakeProcess] = []
        self.ended: list[ContentProcess] = []
        self.launch = LAUNCH
        #: of what is made from now on
        self.failure: Exception | None = None
        self.slow = False
        #: what happens while the pool sleeps
        self.meanwhile: Callable[[], Awaitable[object]] = settle
        self.pool = Pool(self._make, self.ended.append, clock=lambda: self.now, sleep=self._sleep)

    def _make(self) -> FakeProcess:
        process = FakeProcess(self.launch, started=self.now, failure=self.failure)
        if self.slow:
            process.may_start.clear()
        self.made.append(process)
        return process

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await self.meanwhile()

    async def start(self, count: int) -> list[FakeProcess]:
        """So many processes, each started because the ones before it are busy."""
        await self.pool.start(retry=False)
        while len(self.made) < count:
            for process in self.made:
                process.requests = self.launch.threads
            self.pool.pick()
            await settle()
        for process in self.made:
            process.requests = 0
        return self.made

    def end_by_itself(self, process: FakeProcess) -> None:
        process.running = False


async def settle() -> None:
    """Let the tasks that the pool has begun come as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def hold(rule: Callable[[Site], Awaitable[None]]) -> None:
    """Run what a test says of a pool."""

    async def run() -> None:
        await rule(Site())

    asyncio.run(run())


def test_the_first_visitor_starts_a_process_and_all_who_wait_share_it() -> None:
    async def rule(site: Site) -> None:
        assert site.pool.pick() is None
        site.slow = True
        waiting = [asyncio.create_task(site.pool.start(retry=False)) for _ in range(3)]
        await settle()
        assert site.pool.state == "starting"
        assert len(site.made) == 1
        site.made[0].may_start.set()
        assert set(await asyncio.gather(*waiting)) == {site.made[0]}
        assert site.pool.state == "live"

    hold(rule)


def test_the_least_busy_process_is_picked() -> None:
    async def rule(site: Site) -> None:
        first, second = await site.start(2)
        first.requests, second.requests = 2, 1
        assert site.pool.pick() is second
        first.requests = 0
        assert site.pool.pick() is first

    hold(rule)


@pytest.mark.parametrize(
    ("running", "busy", "grows"),
    [
        # half of the four requests that one process takes at a time
        (1, [1], False),
        (1, [2], True),
        # of two processes, half of eight, however they are spread
        (2, [3, 0], False),
        (2, [4, 0], True),
        (2, [2, 2], True),
        # three are the maximum
        (3, [4, 4, 4], False),
    ],
)
def test_one_more_starts_exactly_at_the_load_factor(
    running: int, busy: list[int], grows: bool
) -> None:
    async def rule(site: Site) -> None:
        for process, requests in zip(await site.start(running), busy, strict=True):
            process.requests = requests
        site.pool.pick()
        await settle()
        assert len(site.made) == running + grows

    hold(rule)


def test_what_is_starting_counts_towards_the_load_and_the_maximum() -> None:
    async def rule(site: Site) -> None:
        (first,) = await site.start(1)
        site.slow = True
        first.requests = 2
        site.pool.pick()
        site.pool.pick()
        # of the eight that two will take, two are under way
        assert len(site.pool.cancel()) == 1
        first.requests = 100
        for _ in range(5):
            site.pool.pick()
        await settle()
        assert len(site.made) <= LAUNCH.max_processes

    hold(rule)


def test_a_process_that_ended_is_not_picked() -> None:
    async def rule(site: Site) -> None:
        first, second = await site.start(2)
        site.end_by_itself(first)
        second.requests = 1
        assert site.pool.pick() is second
        site.end_by_itself(second)
        assert site.pool.pick() is None

    hold(rule)


@pytest.mark.parametrize(
    ("minimum", "idle", "kept"),
    [(0, 3, 0), (1, 3, 1), (2, 3, 2), (3, 3, 3), (2, 1, 2), (1, 1, 2), (0, 0, 3)],
)
def test_idle_processes_end_down_to_the_minimum(minimum: int, idle: int, kept: int) -> None:
    async def rule(site: Site) -> None:
        for process in (await site.start(3))[:idle]:
            process.idle = True
        site.pool.minimum = minimum
        site.pool.tend()
        assert len(site.pool.alive) == kept
        assert len(site.ended) == 3 - kept
        assert all(process.idles() for process in site.made if process in site.ended)

    hold(rule)


def test_what_is_missing_of_the_minimum_is_started_one_at_a_time() -> None:
    async def rule(site: Site) -> None:
        site.pool.minimum = 2
        site.slow = True
        site.pool.tend()
        await settle()
        site.pool.tend()
        await settle()
        assert len(site.made) == 1
        site.made[0].may_start.set()
        await settle()
        site.pool.tend()
        await settle()
        assert len(site.made) == 2

    hold(rule)


def test_the_first_that_ends_by_itself_is_replaced_at_once_and_later_ones_after_pauses() -> None:
    async def rule(site: Site) -> None:
        for _ in range(8):
            process = await site.pool.start(retry=False)
            assert isinstance(process, FakeProcess)
            site.now += 1
            site.end_by_itself(process)
        # the first at once, then twice as long each time, and never longer than half a minute
        assert site.slept == [2, 4, 8, 16, 30, 30]

    hold(rule)


def test_the_minimum_is_not_restored_before_the_pause_is_over() -> None:
    async def rule(site: Site) -> None:
        site.pool.minimum = 1
        for _ in range(2):
            site.pool.tend()
            await settle()
            site.now += 1
            site.end_by_itself(site.made[-1])
        site.pool.tend()
        await settle()
        assert len(site.made) == 2
        site.now += 2
        site.pool.tend()
        await settle()
        assert len(site.made) == 3

    hold(rule)


def test_a_long_life_makes_up_for_earlier_failures() -> None:
    async def rule(site: Site) -> None:
        for lived in (1, 1, 1, 61):
            process = await site.pool.start(retry=False)
            assert isinstance(process, FakeProcess)
            site.now += lived
            site.end_by_itself(process)
        slept = len(site.slept)
        await site.pool.start(retry=False)
        assert len(site.slept) == slept

    hold(rule)


def test_a_failed_start_is_told_again_until_its_pause_is_over() -> None:
    async def rule(site: Site) -> None:
        site.failure = FAILED
        for made, pause in ((1, 1), (2, 2), (3, 4)):
            with pytest.raises(ProcessFailed):
                await site.pool.start(retry=False)
            assert site.pool.state == "failed"
            assert len(site.made) == made
            site.now += pause - 0.1
            with pytest.raises(ProcessFailed):
                await site.pool.start(retry=False)
            assert len(site.made) == made
            site.now += 0.2
        assert site.slept == []

    hold(rule)


def test_a_deployment_does_not_wait_for_the_pause() -> None:
    async def rule(site: Site) -> None:
        site.failure = FAILED
        with pytest.raises(ProcessFailed):
            await site.pool.start(retry=False)
        site.failure = None
        assert await site.pool.start(retry=True) is site.made[1]
        assert site.pool.state == "live"

    hold(rule)


def test_who_waits_for_the_pause_gets_what_was_started_meanwhile() -> None:
    async def rule(site: Site) -> None:
        for _ in range(2):
            process = await site.pool.start(retry=False)
            assert isinstance(process, FakeProcess)
            site.now += 1
            site.end_by_itself(process)

        async def deploy() -> None:
            site.meanwhile = settle
            await site.pool.start(retry=True)

        site.meanwhile = deploy
        assert await site.pool.start(retry=False) is site.made[2]
        assert (len(site.made), site.slept) == (3, [2])

    hold(rule)


def test_what_keeps_a_process_from_being_begun_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    async def rule(site: Site) -> None:
        site.failure = OSError("Too many open files")
        with pytest.raises(OSError, match="Too many open files"):
            await site.pool.start(retry=False)
        # it is nothing that the app has done, so the next visitor need not wait
        assert site.pool.state == "idle"
        site.failure = None
        assert await site.pool.start(retry=False) is site.made[1]
        assert site.slept == []

    hold(rule)
    assert capsys.readouterr().err == "A process could not be started: Too many open files\n"


def test_a_closed_pool_ends_what_it_has_and_what_is_still_starting() -> None:
    async def rule(site: Site) -> None:
        (first,) = await site.start(1)
        site.slow = True
        first.requests = 2
        site.pool.pick()
        await settle()
        site.pool.close()
        assert site.ended == [first]
        site.made[1].may_start.set()
        await settle()
        assert site.ended == [first, site.made[1]]

    hold(rule)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    """The processes that the pools of all content make, oldest first."""
    made: list[FakeProcess] = []

    def make(launch: Launch, *, job_key: str, **_: Any) -> FakeProcess:
        process = FakeProcess(launch)
        process.job_key = job_key
        # only the first starts by itself
        if made:
            process.may_start.clear()
        made.append(process)
        return process

    monkeypatch.setattr(pools, "ContentProcess", make)
    monkeypatch.setattr(pools, "_MOMENT", 0)
    return made


def launch() -> Launch:
    return LAUNCH


def test_new_settings_for_a_bundle_that_is_taken_out_of_use_meanwhile(
    tmp_path: Path, made: list[FakeProcess]
) -> None:
    async def test() -> None:
        jobs: Any = None
        processes = Processes(jobs=jobs, sockets=tmp_path)
        await processes.get(1, launch)
        replacing = asyncio.create_task(processes.replace(1, launch, 1))
        await settle()
        processes.retire(1)
        made[1].may_start.set()
        await replacing
        assert processes.state(1) == "idle"
        await processes.ended()
        assert [process.alive for process in made] == [False, False]

    asyncio.run(test())


def test_what_does_not_run_is_not_ended(tmp_path: Path, made: list[FakeProcess]) -> None:
    async def test() -> None:
        jobs: Any = None
        processes = Processes(jobs=jobs, sockets=tmp_path)
        process = await processes.get(1, launch)
        processes.end_idle(2)
        await processes.kill("of another job")
        assert processes.alive() == made == [process]
        await processes.kill(process.job_key)
        assert not process.alive

    asyncio.run(test())


def test_a_process_that_never_started_is_forgotten_as_any_other(
    store: Store, tmp_path: Path
) -> None:
    forgotten = []

    async def test() -> None:
        process = ContentProcess(
            LAUNCH,
            job_key="job",
            jobs=Jobs(store),
            socket_path=tmp_path / "socket",
            at_end=lambda: forgotten.append("job"),
        )
        await process.stop()

    asyncio.run(test())
    assert forgotten == ["job"]


def test_a_process_that_the_system_does_not_start_is_forgotten_too(
    store: Store, tmp_path: Path
) -> None:
    forgotten = []
    gone = tmp_path / "bin" / "python"

    async def test() -> None:
        process = ContentProcess(
            replace(LAUNCH, app=tmp_path, python=gone),
            job_key="job",
            jobs=Jobs(store),
            socket_path=tmp_path / "socket",
            at_end=lambda: forgotten.append("job"),
        )
        with pytest.raises(ProcessFailed) as failed:
            await process.start()
        # visitors are told no path
        assert str(failed.value).endswith("the system did not let its process begin.")
        assert f"No such file or directory: '{gone}'." in failed.value.explained

    asyncio.run(test())
    assert forgotten == ["job"]
