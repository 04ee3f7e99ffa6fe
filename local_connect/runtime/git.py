"""Fetches directories of git repositories, by the `git` that is on the PATH.

Publishers name the repositories, and strangers write what is in them. So git runs without the
configuration of whoever runs this server, asks nobody for a password, goes by https, http and files
only, follows no submodule and runs no hook and no filter. It makes no working tree either: what it
has fetched leaves it as an archive, which is checked and unpacked as an uploaded bundle is.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from local_connect.errors import BadGateway, BadRequest, NotImplementedHere
from local_connect.runtime.commands import started
from local_connect.runtime.manifests import MANIFEST

#: of the variables that steer git, those that say which certificates are trusted
_TRUST = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH")

#: the settings that git runs by, in place of anyone's own; no other variable that steers it is left
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    # a git older than 2.32 knows no GIT_CONFIG_GLOBAL; curl would look for passwords there
    "HOME": os.devnull,
    "XDG_CONFIG_HOME": os.devnull,
    "GIT_ALLOW_PROTOCOL": "https:http:file",
    "GIT_TERMINAL_PROMPT": "0",
    # its words are looked at below
    "LC_ALL": "C",
}

#: nothing goes on in the background once a command has ended
_OPTIONS = ("-c", "gc.auto=0", "-c", "maintenance.auto=false")

#: every file is in the archive, as it was committed
_ATTRIBUTES = "* -export-ignore -export-subst\n"

#: what git says where a repository wants to know who asks; GitHub does so where there is none
_WANTS_A_PASSWORD = ("could not read Username", "could not read Password", "Authentication failed")

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

#: what no name of a branch contains, how none begins and how none ends (git check-ref-format)
_NOT_IN_A_REF = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-./@]$|^[-./]|[./]$"
)


def check_repository(repository: str) -> str:
    """The address of a repository, or `BadRequest` for one that is not fetched from."""
    url = urlsplit(repository) if _is_plain(repository) else None
    if url is None:
        raise BadRequest(f"{repository!r} is not the address of a repository.")
    if repository.startswith(("/", "file:///")):
        return repository
    if url.scheme not in ("https", "http") or not url.hostname:
        raise BadRequest(
            f"{repository} is not an address that is fetched from: it begins with https://, "
            "http:// or, for one on the machine of this server, with file:/// or a slash."
        )
    if "@" in url.netloc:
        raise BadRequest(
            "The address of a repository is shown to others, so there is no user and no password "
            "in it. Clone the repository on the machine of this server, and give the path of that."
        )
    return repository


def check_ref(ref: str) -> str:
    """The name of a branch or a tag, or a commit; `BadRequest` where it can be none of them."""
    if not ref or _NOT_IN_A_REF.search(ref):
        raise BadRequest(f"{ref!r} is neither the name of a branch or a tag nor a commit.")
    return ref


def check_directory(directory: str) -> str:
    """The path of a directory in a repository, `.` for the top; or `BadRequest`."""
    parts = [part for part in directory.split("/") if part not in ("", ".")]
    if not _is_plain(directory or ".") or directory.startswith(("/", "-")) or ".." in parts:
        raise BadRequest(f"{directory!r} is not the path of a directory in the repository.")
    return "/".join(parts) or "."


def _is_plain(text: str) -> bool:
    return bool(text) and text.isprintable() and len(text) <= 2048


@dataclass(frozen=True)
class Place:
    """A directory of a repository, at a branch, a tag or a commit."""

    repository: str
    ref: str
    directory: str


@dataclass(frozen=True)
class Fetched:
    """A directory at one commit."""

    commit: str
    #: a gzipped tar archive of the directory, to be read once
    archive: AsyncIterator[bytes]


class Git:
    """Asks repositories for their commits. Each may take `seconds` to answer.

    What it needs meanwhile is in directories of its own below `scratch`. Raises `BadGateway`
    in git's words where a repository cannot be read, and `NotImplementedHere` without git.
    """

    def __init__(self, scratch: Path, *, seconds: float) -> None:
        self._scratch = scratch
        self._seconds = seconds

    @property
    def available(self) -> bool:
        return shutil.which("git") is not None

    def check_available(self) -> None:
        """Raise where there is no git."""
        if not self.available:
            raise NotImplementedHere(
                "There is no git on the PATH of this server, so it has no git-backed content. "
                "Install git; the server need not be started again."
            )

    async def newest(self, repository: str, ref: str) -> str:
        """The commit that a branch or a tag is at now."""
        async with self._bare() as bare:
            _, commit = await bare.find(repository, ref)
            return commit

    @asynccontextmanager
    async def fetch(self, place: Place) -> AsyncIterator[Fetched]:
        """What a directory holds; `BadRequest` where it has no manifest."""
        async with self._bare() as bare:
            name, _ = await bare.find(place.repository, place.ref)
            await bare.ask(
                *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"),
                *("--", place.repository, name),
            )
            commit = (await bare.run("rev-parse", "--verify", "FETCH_HEAD^{commit}")).strip()
            path = "" if place.directory == "." else f"{place.directory}/"
            try:
                await bare.run("rev-parse", "--verify", "--quiet", f"{commit}:{path}{MANIFEST}")
            except BadGateway:
                raise BadRequest(_no_manifest(place, commit)) from None
            tree = f"{commit}:{path.rstrip('/')}"
            async with bare.started("archive", "--format=tar.gz", tree) as process:
                yield Fetched(commit, bare.output_of(process))

    @asynccontextmanager
    async def _bare(self) -> AsyncIterator[_Bare]:
        self.check_available()
        directory = Path(tempfile.mkdtemp(prefix=".repository-", dir=self._scratch))
        try:
            bare = _Bare(directory, self._seconds)
            # without a template there are no hooks
            await bare.run("init", "--quiet", "--bare", "--template=")
            (directory / "info").mkdir()
            (directory / "info" / "attributes").write_text(_ATTRIBUTES)
            yield bare
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


class _Bare:
    """An empty repository to fetch into."""

    def __init__(self, directory: Path, seconds: float) -> None:
        self._directory = directory
        self._seconds = seconds
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GIT_", "SSH_")) or name in _TRUST
        }
        self._environment = {**inherited, **_ENVIRONMENT, "GIT_DIR": str(directory)}

    async def find(self, repository: str, ref: str) -> tuple[str, str]:
        """The full name and the commit of a branch, else of a tag, else of the commit itself."""
        branch, tag = f"refs/heads/{ref}", f"refs/tags/{ref}"
        # what a tag with a message leads to is listed besides
        listed = await self.ask("ls-remote", "--", repository, branch, tag, f"{tag}^{{}}")
        commits = {
            name: commit
            for commit, _, name in (line.partition("\t") for line in listed.splitlines())
        }
        for name in (branch, tag):
            if name in commits:
                return name, commits.get(f"{name}^{{}}", commits[name])
        if _COMMIT.fullmatch(ref):
            return ref, ref
        raise BadGateway(
            f"{repository} has no branch or tag {ref}. A commit is named by its whole hash."
        )

    async def ask(self, *arguments: str) -> str:
        """What git prints that has to ask a repository; `BadGateway` where that takes too long."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self.run(*arguments)
        except TimeoutError:
            raise BadGateway(
                f"git {arguments[0]} was not done within {self._seconds:g} seconds."
            ) from None

    async def run(self, *arguments: str) -> str:
        """What git prints; raises `BadGateway` where it fails."""
        async with self.started(*arguments) as process:
            output, errors = await process.communicate()
        if process.returncode:
            raise BadGateway(_explained(errors.decode("utf-8", "replace")))
        return output.decode("utf-8", "replace")

    @asynccontextmanager
    async def started(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        async with started(
            *("git", *_OPTIONS, *arguments),
            cwd=self._directory,
            environment=self._environment,
            stderr=asyncio.subprocess.PIPE,
        ) as process:
            yield process

    async def output_of(self, process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
        """What a command prints, as it comes; `BadGateway` after it where the command failed."""
        assert process.stdout is not None  # noqa: S101 (they are pipes)
        assert process.stderr is not None  # noqa: S101
        while chunk := await process.stdout.read(1 << 16):
            yield chunk
        errors = await process.stderr.read()
        if await process.wait():
            raise BadGateway(_explained(errors.decode("utf-8", "replace")))


def _no_manifest(place: Place, commit: str) -> str:
    top = place.directory == "."
    where = "at the top of the repository" if top else f"in the directory {place.directory}"
    return (
        f"{place.ref} has no {MANIFEST} {where} (commit {commit[:10]}). Write one there with "
        "rsconnect write-manifest, and commit it."
    )


def _explained(errors: str) -> str:
    """The line in which git says what is wrong."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("fatal: ", "error: "))), "")
    if any(words in errors for words in _WANTS_A_PASSWORD):
        return (
            "There is no such repository, or it wants a password, which this server has not. Clone "
            "it on the machine of this server, and give the path of that."
        )
    return f"git: {told.partition(': ')[2] or ' '.join(lines) or 'it failed without a word'}"
