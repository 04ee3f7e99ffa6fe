"""Finds the Pythons of this machine and builds environments, with uv or with pip.

One environment for each distinct set of requirements, Python and installer, cached, shared
between bundles. Nothing of this server's own environment is in them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from uv import find_uv_bin

from local_connect.runtime import pip_settings, requirements
from local_connect.runtime.commands import started
from local_connect.runtime.manifests import Manifest
from local_connect.runtime.pip_settings import ForUv
from local_connect.runtime.requirements import Requirements
from local_connect.runtime.tasks import TaskFailed

#: written last, so that an environment whose build was interrupted is built again
_COMPLETE = "complete.json"

#: what the code inside a content process needs, by the type of content
_OLDEST_PYTHONS = {"python-api": Version("3.9"), "python-fastapi": Version("3.10")}

#: Connect's code for a requirement that no index has
_NOT_AVAILABLE = "python-package-version-not-available"

#: what uv and pip say of one
_MISSING = (
    "No solution found",
    "was not found in the package registry",
    "No matching distribution found",
)

_WHERE_TO_LOOK = (
    "Where packages are on an index of your own, name it in pip's or in uv's configuration on the "
    "machine of this server (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, pip.conf; UV_DEFAULT_INDEX, "
    "UV_INDEX, uv.toml), or in the requirements file (--index-url, --extra-index-url)."
)

#: how installers print, and that they look at no other environment than the one they fill
_OF_INSTALLERS = {
    "UV_NO_PROGRESS": "1",
    "NO_COLOR": "1",
    "PYTHONUNBUFFERED": "1",
    "VIRTUAL_ENV": "",
    "PYTHONPATH": "",
    "PIP_USER": "0",
}

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
        wanted = (
            requirements.read(app, manifest.package_file)
            if manifest.package_file is not None
            else None
        )
        name = environment_name(manifest, wanted, app, python)
        async with self._locks[name]:
            environment = self.get(name)
            if wanted is None:
                environment = await self._unmanaged(name, python, log)
            elif environment:
                await log(f"Using cached environment: {name}")
            else:
                await log(f"Creating environment: {name}")
                environment = await self._build(name, manifest, wanted, app, python, log)
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
        self,
        name: str,
        manifest: Manifest,
        wanted: Requirements,
        app: Path,
        python: Python,
        log: Log,
    ) -> Environment:
        directory = self._directory / name
        file = str(app / str(manifest.package_file))
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        try:
            if manifest.allow_uv is False:
                packages = await self._install_by_pip(directory, file, app, python, log)
            else:
                settings = pip_settings.for_uv(os.environ, names_index=wanted.names_index)
                packages = await self._install_by_uv(directory, file, settings, app, python, log)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True))
            raise
        return self._complete(name, packages)

    async def _install_by_uv(
        self, directory: Path, file: str, settings: ForUv, app: Path, python: Python, log: Log
    ) -> list[str]:
        """Make the environment and install what a file requires; the packages then in it."""
        interpreter = str(directory / "bin" / "python")
        if settings.places:
            await log(f"Looking for packages as pip is configured to: {', '.join(settings.places)}")
        await self._uv(log, "venv", "--quiet", "--python", python.executable, str(directory))
        await self._uv(
            log,
            *("pip", "install", "--python", interpreter, "--requirements", file),
            *settings.options,
            cwd=app,
            variables=settings.variables,
        )
        return await self._uv(None, "pip", "freeze", "--quiet", "--python", interpreter)

    async def _install_by_pip(
        self, directory: Path, file: str, app: Path, python: Python, log: Log
    ) -> list[str]:
        """The same by pip, with its rules and its configuration.

        pip comes with Python, as on Connect, whose documentation asks each Python for it and for
        `venv`; so it is there wherever the packages come from.
        """
        pip = (str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        await log("Installing with pip, since the bundle does not allow uv.")
        await self._run(log, python.executable, "-m", "venv", str(directory))
        await self._run(
            log,
            *(*pip, "install", "--no-input", "--progress-bar", "off"),
            *("--requirement", file),
            cwd=app,
        )
        return await self._run(None, *pip, "freeze")

    async def _unmanaged(self, name: str, python: Python, log: Log) -> Environment:
        """An environment that shows what is installed for a Python, and holds nothing itself."""
        directory = self._directory / name
        await log(
            "Nothing is installed, since the bundle's environment is not managed here: it runs on "
            f"{python.executable} with the packages that are there."
        )
        if not self.get(name):
            venv = ("venv", "--quiet", "--clear", "--system-site-packages")
            await self._uv(log, *venv, "--python", python.executable, str(directory))
        freeze = ("pip", "freeze", "--quiet", "--python", python.executable)
        return self._complete(name, await self._uv(None, *freeze))

    def _complete(self, name: str, packages: list[str]) -> Environment:
        directory = self._directory / name
        (directory / _COMPLETE).write_text(json.dumps(packages), "utf-8")
        return Environment(name, directory, tuple(packages))

    async def _uv(
        self,
        log: Log | None,
        *arguments: str,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> list[str]:
        return await self._run(log, find_uv_bin(), *arguments, cwd=cwd, variables=variables)

    async def _run(
        self,
        log: Log | None,
        *command: str,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Run an installer to its end; its output, line by line, also to `log` as it comes."""
        environment = os.environ | _OF_INSTALLERS | dict(variables or {})
        lines = []
        async with started(
            *command,
            cwd=cwd or self._directory,
            environment=environment,
            stderr=asyncio.subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None  # noqa: S101 (it is a pipe)
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
        if status:
            error = _build_error(lines)
            if log and error.endswith(f"{_NOT_AVAILABLE})"):
                await log(_WHERE_TO_LOOK)
            raise TaskFailed(error)
        return lines


def _build_error(lines: list[str]) -> str:
    """Connect's closing words for a failed build (seen in public reports), with its error code."""
    text = "\n".join(lines)
    missing = any(words in text for words in _MISSING)
    code = _NOT_AVAILABLE if missing else "python-package-install-failed"
    return f"An error occurred while building your content. (Error code: {code})"


def environment_name(
    manifest: Manifest, wanted: Requirements | None, app: Path, python: Python
) -> str:
    """A name that is the same only where the same would be installed, on the same Python."""
    parts = [python.executable, str(python.version)]
    if wanted is not None:
        parts += ["pip" if manifest.allow_uv is False else "uv", *wanted.lines]
        if wanted.leads_to_files:
            # no other bundle is at this place, so the environment is the bundle's own
            parts.append(str(app))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


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
        with suppress(ProcessLookupError):
            listing.kill()
        await listing.wait()
        raise
    entries: list[dict[str, str]] = json.loads(output) if listing.returncode == 0 else []
    return entries
