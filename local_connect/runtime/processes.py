"""One content process: how it is started, reached and ended.

It runs one bundle in the bundle's own environment and in a session of its own, reachable
through a Unix socket in a directory that only this user can enter.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from local_connect.content import process as content_process
from local_connect.log import log
from local_connect.runtime.jobs import JobLog, Jobs
from local_connect.runtime.upstream import Upstream

#: lines of a process's output that are kept
_OUTPUT_LINES = 500

#: seconds that a process told to stop may take before it is killed
_GRACE = 5.0

#: seconds to read what a process printed last, while another may hold its output open
_LAST_WORDS = 1.0

#: seconds from the first closed socket of a process that dies to its end
_DYING = 0.5

#: seconds that a process may take to say what it is at
_ANSWER = 2.0

#: bytes of one line that a process prints; of a longer one only the end is kept
_LINE_BYTES = 1 << 20

#: what a service of a Linux system has, as Connect is one (inferred)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: what of our own installation serves apps: pure Python, so any Python runs it
_WSGI_PACKAGES = ["waitress"]
_ASGI_PACKAGES = ["uvicorn", "h11", "wsproto", "click", "typing_extensions"]


class ProcessFailed(Exception):
    """A process that did not come up. Its text is for anyone who asks for the content.

    `output` is what it printed, and `explained` says more of the reason, with lines of its code:
    these are for whoever deployed it.
    """

    def __init__(self, message: str, output: list[str], *, reason: str = "") -> None:
        super().__init__(message)
        self.output = output
        self.explained = f"{message} {reason}".rstrip()


class ProcessTooSlow(ProcessFailed):
    """A process that was not ready in time."""


@dataclass(frozen=True)
class Launch:
    """All that a process needs to run one bundle."""

    content_guid: str
    owner_guid: str
    #: shown before each line that the process prints
    content_name: str
    bundle_id: int
    app: Path
    python: Path
    #: the type of content, which says how it is served
    app_mode: str
    entrypoint: str
    #: the whole environment of the process; nothing of the server's is added
    environment: Mapping[str, str]
    max_processes: int
    load_factor: float
    #: requests that a process answers at a time
    threads: int
    init_timeout: float
    idle_timeout: float
    connection_timeout: float
    read_timeout: float
    #: whether it is given a content session token
    has_service_account: bool = False
    #: the port of this machine at which a debugger attaches; 0 for none
    debug_port: int = 0

    @property
    def is_asgi(self) -> bool:
        return self.app_mode == "python-fastapi"


class ContentProcess:
    """One running process, the connections to it and its last lines of output."""

    def __init__(
        self,
        launch: Launch,
        *,
        job_key: str,
        jobs: Jobs,
        socket_path: Path,
        at_end: Callable[[], object],
    ) -> None:
        self.launch = launch
        self.job_key = job_key
        self.started = time.monotonic()
        self.output: deque[str] = deque(maxlen=_OUTPUT_LINES)
        self.requests = 0
        #: whether it cannot be reached any more, which shows before its end is known
        self.lost = False
        self._last_used = self.started
        self._jobs = jobs
        self._at_end = at_end
        #: where it listens
        self.socket_path = socket_path
        #: the connections to this process that requests share
        self.upstream = Upstream(socket_path, connection_timeout=launch.connection_timeout)
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: socket.socket | None = None
        self._output: asyncio.ReadTransport | None = None
        self._reader: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def alive(self) -> bool:
        return not self.lost and self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None  # noqa: S101 (started before)
        return self._process.pid

    def idles(self) -> bool:
        """Whether it has had nothing to do for its `idle_timeout`."""
        unused = time.monotonic() - self._last_used
        return not self.requests and unused > self.launch.idle_timeout

    async def start(self) -> None:
        """Return once the app listens; raise `ProcessFailed` if it ends or takes too long."""
        seconds = self.launch.init_timeout
        try:
            process, lifeline = await self._spawn()
            try:
                async with asyncio.timeout(seconds):
                    if await asyncio.get_running_loop().sock_recv(lifeline, 16):
                        return
            except TimeoutError:
                failed: type[ProcessFailed] = ProcessTooSlow
                message = f"The app was not ready within {seconds:g} seconds (its init_timeout)."
                gist = await self._ask_what_it_is_at(lifeline)
            else:
                failed, gist = ProcessFailed, ""
                status = await process.wait()
                message = f"The app did not start: its process ended with status {status}."
        except BaseException:
            await self.stop()
            raise
        await self.stop()
        # with what it printed last
        raise failed(message, list(self.output), reason=gist)

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """Let the process begin; it, and our end of its lifeline.

        Raises `ProcessFailed` where the system does not let it.
        """
        try:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            self._lifeline = ours
            with theirs:
                output, printed = await self._open_output()
                with printed:
                    self._process = process = await self._execute(theirs, printed)
        except OSError as error:
            raise ProcessFailed(
                "The app did not start: the system did not let its process begin.",
                [],
                reason=f"{error}.",
            ) from error
        job_log = self._jobs.begin(
            self.job_key,
            content_guid=self.launch.content_guid,
            bundle_id=self.launch.bundle_id,
            app_mode=self.launch.app_mode,
            pid=process.pid,
        )
        self._reader = asyncio.create_task(self._read_output(output, job_log))
        return process, ours

    async def _execute(
        self, lifeline: socket.socket, printed: IO[bytes]
    ) -> asyncio.subprocess.Process:
        """Start the program, with its end of the lifeline, and of the pipe for what it prints."""
        server, packages = "wsgi.py", _WSGI_PACKAGES
        if self.launch.is_asgi:
            server, packages = "asgi.py", _ASGI_PACKAGES
        if self.launch.debug_port:
            packages = [*packages, "debugpy"]
        return await asyncio.create_subprocess_exec(
            str(self.launch.python),
            content_process.__file__,
            *("--entrypoint", self.launch.entrypoint),
            *("--socket", str(self.socket_path)),
            *("--lifeline", str(lifeline.fileno())),
            *("--app-mode", self.launch.app_mode),
            *("--packages", json.dumps(_locate(packages))),
            *("--server", str(Path(content_process.__file__).with_name(server))),
            *("--threads", str(self.launch.threads)),
            *("--debug-port", str(self.launch.debug_port)),
            cwd=self.launch.app,
            env=self.launch.environment,
            pass_fds=(lifeline.fileno(),),
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=printed,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def _ask_what_it_is_at(self, lifeline: socket.socket) -> str:
        """Let a process that does not come up print where the app is, and say it in a sentence."""
        assert self._process is not None  # noqa: S101 (started before)
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_ANSWER):
                await loop.sock_sendall(lifeline, b"?")
                said = await loop.sock_recv(lifeline, 1 << 16)
                # it may have come up just now
                return said.removeprefix(b"ready\n").decode("utf-8", "replace").strip()
        # code that lets no other thread run: Python prints where it is when it is aborted
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)
        return "It let no other thread run; what it printed last says where it was."

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
        self.upstream.close()
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
        if self._output:
            self._output.close()
        self.socket_path.unlink(missing_ok=True)
        self._jobs.end(self.job_key, self._process.returncode if self._process else None)
        self._at_end()

    async def kill(self) -> None:
        """End the process as the system does where memory runs out: without a word to it."""
        assert self._process is not None  # noqa: S101 (started before)
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def begin(self) -> None:
        """Count one request as under way, for idling and draining, until `finish`."""
        self.requests += 1
        self._idle.clear()

    def finish(self) -> None:
        """A request that had begun is over, in whatever way."""
        self.requests -= 1
        self._last_used = time.monotonic()
        if not self.requests:
            self._idle.set()

    async def _open_output(self) -> tuple[asyncio.StreamReader, IO[bytes]]:
        """Both ends of a pipe of our own.

        asyncio waits with a process for everyone who holds a pipe of asyncio's making open,
        and a daemon that the app has left behind may hold it for ever.
        """
        output = asyncio.StreamReader(limit=_LINE_BYTES)
        read_end, write_end = os.pipe()
        self._output, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(read_end, "rb", 0)
        )
        return output, os.fdopen(write_end, "wb", 0)

    async def _read_output(self, output: asyncio.StreamReader, job_log: JobLog) -> None:
        while True:
            try:
                raw = await output.readline()
            except ValueError:
                # it is longer, and what was read of it is dropped
                continue
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            self.output.append(line)
            job_log.write(line)
            log(f"{self.launch.content_name} | {line}")


def _locate(packages: list[str]) -> dict[str, str]:
    """The directories that hold these packages of our own installation, by their names."""
    found = {}
    for name in packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None  # noqa: S101 (this package requires it)
        assert spec.origin is not None  # noqa: S101
        module = Path(spec.origin)
        found[name] = str(module.parents[1] if module.name == "__init__.py" else module.parent)
    return found


def socket_directory(data: Path) -> Path:
    """A fresh private directory for sockets, in place of the one that the last server left.

    It is not in the data directory, because a Unix socket's name may have about 100 bytes only.
    """
    link = data / "sockets"
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    directory = Path(tempfile.mkdtemp(prefix="local-connect-"))
    link.symlink_to(directory)
    return directory


def content_environment(python: Path, home: Path) -> dict[str, str]:
    """The part of a content process's environment that is the same for all content."""
    return {
        "PATH": f"{python.parent}{os.pathsep}{_PATH}",
        "HOME": str(home),
        "LANG": "C.UTF-8" if sys.platform != "darwin" else "en_US.UTF-8",
        "POSIT_PRODUCT": "CONNECT",
        "RSTUDIO_PRODUCT": "CONNECT",
    }
