"""`--watch DIR`: deploys a directory by the real `rsconnect`, and again on each change in it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from watchfiles import Change, awatch
from watchfiles.main import FileChange

from local_connect.client import rsconnect
from local_connect.errors import LocalConnectError
from local_connect.log import clear_progress, log, progress
from local_connect.records.store import User

#: milliseconds without a change that end a burst of them, and after which it counts as ended
_QUIET = 100
_LONGEST_BURST = 1600

#: bytes of one line that rsconnect prints, such as that of all packages
_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class Watched:
    """A directory, and how rsconnect is to deploy it."""

    directory: Path
    kind: str
    entrypoint: str | None
    #: the port at which a debugger attaches; None where none does
    debug_port: int | None = None

    @property
    def name(self) -> str:
        return rsconnect.content_name(self.directory)


async def watch(
    watched: Watched,
    *,
    url: str,
    author: User,
    data: Path,
    failures: dict[str, str],
    debugged: dict[str, int],
) -> None:
    """Deploy to the server at `url` as `author`, until cancelled.

    What is in the server's `data` is left out. What fails is said on the terminal, and written to
    `failures` by the content's GUID, as its debugger's port is to `debugged`. Raises
    `LocalConnectError` where there is nothing to watch any more.
    """

    def matters(_change: Change, path: str) -> bool:
        changed = Path(path)
        return rsconnect.is_deployed(changed, watched.directory) and not changed.is_relative_to(
            data
        )

    changes = awatch(watched.directory, watch_filter=matters, debounce=_LONGEST_BURST, step=_QUIET)
    with tempfile.TemporaryDirectory(prefix="local-connect-watch-") as scratch:
        deployment = _Deployment(watched, Path(scratch), url, author, data, failures, debugged)
        while True:
            change = asyncio.create_task(anext(changes))
            # it listens from here on, so that nothing is lost while rsconnect deploys
            await asyncio.sleep(0)
            try:
                await deployment.deploy()
                await _seen(change, watched.directory)
            finally:
                change.cancel()


async def _seen(change: asyncio.Task[set[FileChange]], directory: Path) -> None:
    """Wait for the change; what the system cannot do for us is said in words."""
    try:
        await change
    except (OSError, RuntimeError) as error:
        raise LocalConnectError(
            f"{directory} cannot be watched: {error}. With WATCHFILES_FORCE_POLLING=1 in the "
            "environment it is looked through every so often, without the system's help."
        ) from error


class _Deployment:
    """One content item, and what was deployed to it last."""

    def __init__(
        self,
        watched: Watched,
        scratch: Path,
        url: str,
        author: User,
        data: Path,
        failures: dict[str, str],
        debugged: dict[str, int],
    ) -> None:
        self._watched = watched
        self._scratch = scratch
        self._url = url
        self._author = author
        self._data = data
        self._failures = failures
        self._debugged = debugged
        self._guid = ""
        self._deployed = ""

    @property
    def _address(self) -> str:
        return f"{self._url}/content/{self._guid}/"

    async def _find_content(self) -> None:
        """Take the author's content of the directory's name; new content is open to everyone."""
        name = self._watched.name
        async with self._client() as client:
            query = {"name": name, "owner_guid": self._author.guid}
            async with client.get("/__api__/v1/content", params=query) as answer:
                found: list[dict[str, Any]] = await answer.json()
            if not found:
                new = {"name": name, "title": name, "access_type": "all"}
                async with client.post("/__api__/v1/content", json=new) as answer:
                    found = [await answer.json()]
        self._guid = found[0]["guid"]
        if self._watched.debug_port is not None:
            self._debugged[self._guid] = self._watched.debug_port

    async def deploy(self) -> None:
        """Deploy the directory as it is now, unless that is what is served already."""
        name = self._watched.name
        began = time.monotonic()
        if not self._watched.directory.is_dir():
            raise LocalConnectError(f"{self._watched.directory}, which was watched, is gone.")
        with tempfile.TemporaryDirectory(dir=self._scratch) as parent:
            copy = Path(parent) / self._watched.directory.name
            try:
                digest = await asyncio.to_thread(
                    rsconnect.copy, self._watched.directory, copy, leave_out=self._data
                )
            except OSError as error:
                # often it is being written, and will have changed again in a moment
                log(f"{name}: not deployed: {error.filename}: {error.strerror}", colour="red")
                return
            if digest == self._deployed:
                return
            log(f"{name}: deploying {self._watched.directory}")
            await self._find_content()
            status, output = await self._run(copy)
        clear_progress()
        if status == 0:
            self._deployed = digest
            self._failures.pop(self._guid, None)
            seconds = time.monotonic() - began
            log(f"{name}: deployed in {seconds:.1f} s: {self._address}", colour="green")
            return
        self._deployed = ""
        said = output.replace(str(copy), str(self._watched.directory))
        for line in said.splitlines():
            log(f"{name} | {line}")
        printed = await self._printed()
        if printed not in said:
            # the terminal has had it, line by line
            said += f"\nThe app printed:\n\n{printed}"
        self._failures[self._guid] = said
        log(
            f"{name}: NOT DEPLOYED, as is said above. A browser gets that too; programs get what "
            f"was there before. {self._address}",
            colour="red",
        )

    async def _printed(self) -> str:
        """What the newest process of the content has printed."""
        jobs = f"/__api__/v1/content/{self._guid}/jobs"
        async with self._client() as client:
            async with client.get(jobs) as answer:
                processes = [job for job in await answer.json() if job["tag"].startswith("run_")]
            if not processes:
                return ""
            async with client.get(f"{jobs}/{processes[0]['key']}/log") as answer:
                lines = [entry["data"] for entry in (await answer.json())["entries"]]
        return "\n".join(lines)

    def _client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            self._url, headers={"Authorization": f"Key {self._author.api_key}"}
        )

    async def _run(self, copy: Path) -> tuple[int, str]:
        """Run rsconnect to its end: its status, and what it printed."""
        watched = self._watched
        process = await asyncio.create_subprocess_exec(
            *(rsconnect.find(), "deploy", watched.kind, "--app-id", self._guid),
            *(("--entrypoint", watched.entrypoint) if watched.entrypoint else ()),
            str(copy),
            env=rsconnect.environment(
                self._scratch / "home",
                {
                    "CONNECT_SERVER": self._url,
                    "CONNECT_API_KEY": self._author.api_key,
                    # it looks at what it has deployed, which may stand at a breakpoint
                    **({} if watched.debug_port is None else {"CONNECT_REQUEST_TIMEOUT": "86400"}),
                },
            ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_BYTES,
        )
        assert process.stdout is not None  # noqa: S101 (it is a pipe, by the call above)
        output = ""
        try:
            async for raw in process.stdout:
                line = rsconnect.plain(raw.decode("utf-8", "replace"))
                output += line
                progress(f"{watched.name}: {line.strip()}")
            return await process.wait(), output
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
