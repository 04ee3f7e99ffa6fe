"""Content processes: started on demand, shared by requests, stopped when idle or replaced.

Each runs one bundle in its own environment and session, reachable through a Unix
socket in a directory that only this user can enter.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import aiohttp
import waitress

from local_connect import content_process
from local_connect.log import log

#: lines of a process's output that are kept
_OUTPUT_LINES = 500

#: seconds that a process told to stop may take before it is killed
_GRACE = 5.0

#: seconds to read what a process printed last, while another may hold its output open
_LAST_WORDS = 1.0

#: seconds from the first closed socket of a process that dies to its end
_DYING = 0.5

#: bytes of one header that content may answer with
_HEADER_BYTES = 1 << 20


class ProcessFailed(Exception):
    """A process that did not come up; `output` holds what it printed."""

    def __init__(self, message: str, output: list[str]) -> None:
        super().__init__(message)
        self.output = output


class ProcessTooSlow(ProcessFailed):
    """A process that was not ready in time."""


@dataclass(frozen=True)
class Launch:
    """All that a process needs to run one bundle."""

    content_guid: str
    #: shown before each line that the process prints
    content_name: str
    bundle_id: int
    app: Path
    python: Path
    entrypoint: str
    #: the whole environment of the process; nothing of the server's is added
    environment: Mapping[str, str]
    threads: int
    init_timeout: float
    idle_timeout: float
    connection_timeout: float
    read_timeout: float


class ContentProcess:
    """One running process, its connection pool and its last lines of output."""

    def __init__(self, launch: Launch, job_key: str, socket_path: Path) -> None:
        self.launch = launch
        self.job_key = job_key
        self.output: deque[str] = deque(maxlen=_OUTPUT_LINES)
        self.requests = 0
        #: whether it cannot be reached any more, which shows before its end is known
        self.lost = False
        self.last_used = time.monotonic()
        self._socket = socket_path
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: socket.socket | None = None
        self._pipe: asyncio.ReadTransport | None = None
        self._reader: asyncio.Task[None] | None = None
        self._client: aiohttp.ClientSession | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def client(self) -> aiohttp.ClientSession:
        """An HTTP client whose every connection leads to this process."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(self._socket), limit=0),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                max_line_size=_HEADER_BYTES,
                max_field_size=_HEADER_BYTES,
                read_bufsize=1 << 18,
            )
        return self._client

    @property
    def alive(self) -> bool:
        return not self.lost and self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Return once the app listens; raise `ProcessFailed` if it ends or takes too long."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._lifeline = ours
        output = await self._open_output()
        with theirs, output:
            self._process = await asyncio.create_subprocess_exec(
                str(self.launch.python),
                content_process.__file__,
                *("--entrypoint", self.launch.entrypoint),
                *("--socket", str(self._socket)),
                *("--lifeline", str(theirs.fileno())),
                *("--waitress", str(Path(waitress.__file__).parent)),
                *("--threads", str(self.launch.threads)),
                cwd=self.launch.app,
                env=self.launch.environment,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            async with asyncio.timeout(self.launch.init_timeout):
                ready = await asyncio.get_running_loop().sock_recv(ours, 16)
        except TimeoutError:
            await self.stop()
            raise ProcessTooSlow(
                f"The app was not ready within {self.launch.init_timeout:g} seconds "
                "(its init_timeout).",
                list(self.output),
            ) from None
        except BaseException:
            await self.stop()
            raise
        if not ready:
            status = await self._process.wait()
            await self.stop()
            raise ProcessFailed(
                f"The app did not start: its process ended with status {status}.",
                list(self.output),
            )

    async def ends(self) -> bool:
        """Whether it ends now that it has broken off an answer.

        Its sockets close one by one before its end is known, so without a moment's wait
        the next request might still go to it.
        """
        assert self._process is not None  # noqa: S101 (started before)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DYING):
                await self._process.wait()
        return not self.alive

    async def drain(self, seconds: float) -> None:
        """Wait until no request is under way, but not longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log(f"{self.launch.content_name}: requests were cut short when its process stopped")

    async def stop(self) -> None:
        """End the process and whatever it started; close all that belongs to it."""
        if self._client:
            await self._client.close()
        if self._process:
            if self.alive:
                self._process.send_signal(signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GRACE):
                        await self._process.wait()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if self._lifeline:
            self._lifeline.close()
        if self._reader:
            await asyncio.wait((self._reader,), timeout=_LAST_WORDS)
            self._reader.cancel()
        if self._pipe:
            self._pipe.close()
        self._socket.unlink(missing_ok=True)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[ContentProcess]:
        """Count one request as under way, for idling and draining."""
        self.requests += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self.requests -= 1
            self.last_used = time.monotonic()
            if not self.requests:
                self._idle.set()

    async def _open_output(self) -> IO[bytes]:
        """Where the process is to print; what it prints is read from now on.

        The pipe is ours and not asyncio's, which would take the process for running as
        long as anyone holds its output open.
        """
        reading, writing = os.pipe()
        printed = asyncio.StreamReader(limit=1 << 20)
        self._pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(printed), os.fdopen(reading, "rb", buffering=0)
        )
        self._reader = asyncio.create_task(self._read_output(printed))
        return os.fdopen(writing, "wb", buffering=0)

    async def _read_output(self, printed: asyncio.StreamReader) -> None:
        while True:
            try:
                raw = await printed.readline()
            except ValueError:
                # a line longer than the reader's limit: what was read of it is dropped
                continue
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            self.output.append(line)
            log(f"{self.launch.content_name} | {line}")


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again when its connection breaks.

    The app may have done what it was asked before it broke off.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


class Processes:
    """The processes of all content: at most one for each bundle that is in use."""

    def __init__(self) -> None:
        # a short path of its own: a Unix socket's name may have about 100 bytes only
        self._sockets = Path(tempfile.mkdtemp(prefix="local-connect-"))
        self._processes: dict[int, ContentProcess] = {}
        self._starting: dict[int, asyncio.Task[ContentProcess]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._owners: dict[str, str] = {}
        self._reaper: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Begin to look for processes that idle."""
        self._reaper = asyncio.create_task(self._stop_idle())

    def owner_of_key(self, api_key: str) -> str | None:
        """The GUID of the user as whom a running process acts with its `CONNECT_API_KEY`."""
        return self._owners.get(api_key)

    def running(self, bundle_id: int) -> ContentProcess | None:
        """The process that runs a bundle now, if there is one."""
        process = self._processes.get(bundle_id)
        return process if process and process.alive else None

    async def get(self, launch: Launch, *, owner_guid: str) -> ContentProcess:
        """The running process of a bundle, started first where there is none.

        Whoever asks while it starts waits for the same start. Raises `ProcessFailed`.
        """
        if process := self.running(launch.bundle_id):
            return process
        starting = self._starting.get(launch.bundle_id)
        if starting is None:
            starting = asyncio.create_task(self._start(launch, owner_guid))
            self._starting[launch.bundle_id] = starting
            starting.add_done_callback(lambda _: self._starting.pop(launch.bundle_id, None))
        return await asyncio.shield(starting)

    async def retire(self, content_guid: str, *, keep: int | None = None) -> None:
        """Take the processes of a content out of use, but for the one of bundle `keep`.

        They finish the requests that they have, in the background, and then end.
        """
        for bundle_id, process in list(self._processes.items()):
            if process.launch.content_guid == content_guid and bundle_id != keep:
                self._retire(bundle_id)

    async def stop(self) -> None:
        """End every process, at once."""
        if self._reaper:
            self._reaper.cancel()
        for starting in list(self._starting.values()):
            starting.cancel()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        for task in list(self._stopping):
            task.cancel()
        await asyncio.gather(
            *self._stopping,
            *(process.stop() for process in self._processes.values()),
            return_exceptions=True,
        )
        shutil.rmtree(self._sockets, ignore_errors=True)

    async def _start(self, launch: Launch, owner_guid: str) -> ContentProcess:
        self._forget(launch.bundle_id)
        job_key = secrets.token_hex(8)
        api_key = secrets.token_hex(16)
        process = ContentProcess(
            replace(
                launch,
                environment={
                    **launch.environment,
                    "CONNECT_API_KEY": api_key,
                    "CONNECT_CONTENT_JOB_KEY": job_key,
                },
            ),
            job_key,
            self._sockets / f"{job_key}.sock",
        )
        self._owners[api_key] = owner_guid
        try:
            await process.start()
        except BaseException:
            del self._owners[api_key]
            raise
        self._processes[launch.bundle_id] = process
        return process

    def _forget(self, bundle_id: int) -> None:
        """Drop the record of a process that ended by itself."""
        if bundle_id in self._processes:
            self._retire(bundle_id)

    def _retire(self, bundle_id: int) -> None:
        process = self._processes.pop(bundle_id)

        async def end() -> None:
            try:
                await process.drain(process.launch.idle_timeout)
            finally:
                self._owners.pop(process.launch.environment["CONNECT_API_KEY"], None)
                await process.stop()

        task = asyncio.create_task(end())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop_idle(self) -> None:
        while True:
            await asyncio.sleep(1)
            for bundle_id, process in list(self._processes.items()):
                unused = time.monotonic() - process.last_used
                if not process.alive or (
                    not process.requests and unused > process.launch.idle_timeout
                ):
                    self._retire(bundle_id)


def content_environment(python: Path, home: Path) -> dict[str, str]:
    """The part of a content process's environment that is the same for all content."""
    return {
        "PATH": f"{python.parent}{os.pathsep}{os.defpath}",
        "HOME": str(home),
        "LANG": "C.UTF-8" if sys.platform != "darwin" else "en_US.UTF-8",
        "POSIT_PRODUCT": "CONNECT",
        "RSTUDIO_PRODUCT": "CONNECT",
    }
