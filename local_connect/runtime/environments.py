"""Finds the Pythons of this machine and builds environments with uv.

One environment for each distinct set of requirements and Python, cached, shared
between bundles. Nothing of this server's own environment is in them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import socket
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from uv import find_uv_bin

from local_connect.content import lifeline
from local_connect.runtime.bundles import Manifest
from local_connect.runtime.tasks import TaskFailed

#: written last, so that an environment whose build was interrupted is built again
_COMPLETE = "complete.json"

#: what the code inside a content process needs, by the type of content
_OLDEST_PYTHONS = {"python-api": Version("3.9"), "python-fastapi": Version("3.10")}

#: how a line of a requirements file names a file or a directory
_LEADS_TO_FILES = (
    *(".", "/", "-r", "-c", "-e", "-f"),
    *("--requirement", "--constraint", "--editable", "--find-links"),
)

Log = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Python:
    """One interpreter of this machine."""

    version: Version
    executable: str


@dataclass(frozen=True)
class Environment:
    """A built environment: its name, its interpreter and what is in it."""

    name: str
    directory: Path
    packages: tuple[str, ...]

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"


class Pythons:
    """The interpreters of this machine, which are looked for once, when there is a need to.

    To look takes uv more than a second of the processor where a version manager keeps many.
    """

    def __init__(self) -> None:
        self._own = Python(Version(".".join(map(str, sys.version_info[:3]))), _own_executable())
        self._search: asyncio.Task[tuple[Python, ...]] | None = None

    async def all(self) -> tuple[Python, ...]:
        """Those that content can run on, newest first; our own is always among them."""
        if self._search is None:
            self._search = asyncio.create_task(_find_pythons(self._own))
        # whoever asked may go away; the next gets the answer
        return await asyncio.shield(self._search)

    async def choose(self, manifest: Manifest) -> Python:
        """The Python for a bundle, as `choose_python` says.

        Where that is the very version that we run on, as it is for what is deployed from the
        same environment, there is no need to look for others.
        """
        if manifest.python_version == str(self._own.version):
            with suppress(TaskFailed):
                return choose_python(manifest, (self._own,))
        return choose_python(manifest, await self.all())

    async def stop(self) -> None:
        """Give up a search that goes on."""
        if self._search:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)


async def _find_pythons(own: Python) -> tuple[Python, ...]:
    found = {own.version: own}
    for entry in await _list_pythons():
        try:
            version = Version(entry["version"])
        except InvalidVersion:
            continue
        if entry["implementation"] == "cpython" and version >= min(_OLDEST_PYTHONS.values()):
            found.setdefault(version, Python(version, entry["path"]))
    return tuple(sorted(found.values(), key=lambda python: python.version, reverse=True))


def choose_python(manifest: Manifest, pythons: tuple[Python, ...]) -> Python:
    """The Python for a bundle, or `TaskFailed` with what was asked for and what there is.

    A specifier in `environment.python.requires` decides where there is one
    (documented). Else the same minor release is wanted, the bundle's own patch
    release first: Connect's matching depends on its configuration, and this is
    the strict reading of it.
    """
    try:
        requested = Version(manifest.python_version)
        specifier = (
            SpecifierSet(_as_specifier(manifest.python_requires))
            if manifest.python_requires
            else SpecifierSet(f"=={requested.major}.{requested.minor}.*")
        )
    except (InvalidVersion, InvalidSpecifier) as error:
        raise TaskFailed(f"The manifest asks for a Python that cannot be read: {error}.") from error
    oldest = _OLDEST_PYTHONS[manifest.app_mode]
    pythons = tuple(python for python in pythons if python.version >= oldest)
    matching = [python for python in pythons if python.version in specifier]
    if not matching:
        wanted = manifest.python_requires or manifest.python_version
        available = ", ".join(str(python.version) for python in pythons)
        raise TaskFailed(
            f"Unable to find a compatible version of Python: the bundle wants {wanted}, "
            f"this server has {available}. Deploy from one of these, or install the one "
            "that is wanted and start the server again."
        )
    return next((python for python in matching if python.version == requested), matching[0])


class Environments:
    """The cache of environments below one directory."""

    def __init__(self, directory: Path, *, build_seconds: float) -> None:
        self._directory = directory
        self._build_seconds = build_seconds
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ensure(self, manifest: Manifest, app: Path, python: Python, log: Log) -> Environment:
        """The environment for a bundle unpacked at `app`, built if there is none yet.

        Raises `TaskFailed` after the installer's own words have gone to the log.
        """
        name = _name(app / manifest.package_file, app, python)
        async with self._locks[name]:
            environment = self.get(name)
            if environment:
                await log(f"Using cached environment: {name}")
            else:
                await log(f"Creating environment: {name}")
                environment = await self._build(name, manifest, app, python, log)
            await log(f"Packages in the environment: {', '.join(environment.packages)}")
            return environment

    def get(self, name: str) -> Environment | None:
        """A complete environment by its name."""
        directory = self._directory / name
        try:
            packages = json.loads((directory / _COMPLETE).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return Environment(name, directory, tuple(packages))

    async def clean(self, used: set[str]) -> None:
        """Remove what no bundle uses, and what an interrupted build left."""
        for directory in self._directory.iterdir():
            name = directory.name
            if name not in used and not self._locks[name].locked():
                async with self._locks[name]:
                    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _build(
        self, name: str, manifest: Manifest, app: Path, python: Python, log: Log
    ) -> Environment:
        directory = self._directory / name
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        try:
            await self._uv(log, "venv", "--quiet", "--python", python.executable, str(directory))
            await self._uv(
                log,
                "pip",
                "install",
                "--python",
                str(directory / "bin" / "python"),
                "--requirements",
                str(app / manifest.package_file),
                cwd=app,
            )
            packages = await self._uv(
                None, "pip", "freeze", "--quiet", "--python", str(directory / "bin" / "python")
            )
        except BaseException:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))
            raise
        (directory / _COMPLETE).write_text(json.dumps(packages), "utf-8")
        return Environment(name, directory, tuple(packages))

    async def _uv(self, log: Log | None, *arguments: str, cwd: Path | None = None) -> list[str]:
        """Run uv to its end; its output, line by line, also to `log` as it comes."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, lifeline.__file__, str(theirs.fileno())),
                *(find_uv_bin(), *arguments),
                cwd=cwd or self._directory,
                env=os.environ | {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "VIRTUAL_ENV": ""},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        assert process.stdout is not None  # noqa: S101 (it is a pipe, by the call above)
        lines = []
        try:
            async with asyncio.timeout(self._build_seconds):
                async for raw in process.stdout:
                    lines.append(raw.decode("utf-8", "replace").rstrip())
                    if log:
                        await log(lines[-1])
                status = await process.wait()
        except TimeoutError:
            raise TaskFailed(
                f"The environment was not built within {self._build_seconds:.0f} seconds."
            ) from None
        finally:
            # ends uv and what it started, where that is still at work
            ours.close()
            await process.wait()
        if status:
            raise TaskFailed(_build_error(lines))
        return lines


def _build_error(lines: list[str]) -> str:
    """Connect's closing words for a failed build (seen in public reports), with its error code."""
    text = "\n".join(lines)
    missing = "No solution found" in text or "was not found in the package registry" in text
    code = "python-package-version-not-available" if missing else "python-package-install-failed"
    return f"An error occurred while building your content. (Error code: {code})"


def _name(requirements: Path, app: Path, python: Python) -> str:
    """A name that is the same for the same requirements on the same Python."""
    text = requirements.read_text("utf-8", "replace")
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    wanted = sorted(line for line in lines if line and not line.startswith("#"))
    digest = hashlib.sha256(f"{python.executable} {python.version}\n".encode())
    digest.update("\n".join(wanted).encode())
    if any(line.startswith(_LEADS_TO_FILES) or "file:" in line or "@ ." in line for line in wanted):
        # the requirements lead to files of the bundle, so the environment is the bundle's own
        digest.update(str(app).encode())
    return digest.hexdigest()[:16]


def _as_specifier(requires: str) -> str:
    """`.python-version` may hold a bare `3.11`, which stands for `==3.11.*`."""
    bare = requires.strip()
    if not bare[:1].isdigit():
        return bare
    return f"=={bare}" if bare.count(".") >= 2 else f"=={bare}.*"


def _own_executable() -> str:
    return str(getattr(sys, "_base_executable", None) or sys.executable)


async def _list_pythons() -> list[dict[str, str]]:
    """What uv finds on this machine, without looking for anything to download."""
    listing = await asyncio.create_subprocess_exec(
        *(find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json"),
        env=os.environ | {"UV_PYTHON_DOWNLOADS": "never"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await listing.communicate()
    except asyncio.CancelledError:
        listing.kill()
        await listing.wait()
        raise
    entries: list[dict[str, str]] = json.loads(output) if listing.returncode == 0 else []
    return entries
