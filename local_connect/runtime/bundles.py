"""Takes a bundle in: received whole, checked against its manifest, unpacked, recorded.

A bundle is hostile until proven. Whatever is wrong with one is said in one
sentence that names the file, and nothing of it stays on disk.
"""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import json
import os
import posixpath
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from local_connect.config import Limits
from local_connect.errors import ApiError, BadRequest, NotImplementedHere, TooLarge
from local_connect.records.store import Bundle, Store

MANIFEST = "manifest.json"

#: the types of content that run here: WSGI apps, and ASGI apps
APP_MODES = ("python-api", "python-fastapi")

T = TypeVar("T")

#: bytes of a manifest
_MANIFEST_BYTES = 16 << 20

#: bytes of the headers between two members
_HEADER_BYTES = 128 << 10

#: bytes of a header that says more of the next member, such as a name of any length
_EXTENSION_BYTES = 16 << 10
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)

#: what may be said of all members at once; git says one thing
_SAID_OF_ALL = 100

#: directories within one another in a bundle
_TREE_DEPTH = 100

#: objects and lists within one another in a manifest; rsconnect writes three
_MANIFEST_DEPTH = 20

#: `module[:object]`; with a module alone the content process looks for the usual names
_ENTRYPOINT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?)?")


@dataclass(frozen=True)
class Manifest:
    """The parts of `manifest.json` that decide how a bundle runs."""

    app_mode: str
    entrypoint: str
    python_version: str
    #: a specifier such as `>=3.11`, or None where the publisher's project names none
    python_requires: str | None
    package_file: str
    #: path in the bundle -> MD5, in hex
    checksums: dict[str, str]

    @classmethod
    def parse(cls, document: Any) -> Manifest:
        """Read a manifest, or raise `BadRequest` with the fault and its place."""
        metadata = _table(document, "metadata")
        app_mode = _text(metadata, "appmode", "metadata.appmode")
        if app_mode not in APP_MODES:
            raise NotImplementedHere(
                f"This server runs content of type {' and '.join(APP_MODES)}; "
                f"the bundle is {app_mode}."
            )
        entrypoint = _text(metadata, "entrypoint", "metadata.entrypoint")
        if not _ENTRYPOINT.fullmatch(entrypoint):
            raise BadRequest(
                f"The entry point {entrypoint!r} is not of the form module or module:object."
            )
        python = _table(document, "python")
        package_file = _text(
            _table(python, "package_manager", "python.package_manager"),
            "package_file",
            "python.package_manager.package_file",
        )
        checksums = {
            name: _text(entry, "checksum", f"files[{name!r}].checksum").lower()
            for name, entry in _table(document, "files").items()
        }
        if package_file not in checksums:
            raise BadRequest(f"The manifest's package file {package_file} is not among its files.")
        return cls(
            app_mode=app_mode,
            entrypoint=entrypoint,
            python_version=_text(python, "version", "python.version"),
            python_requires=_requires(document),
            package_file=package_file,
            checksums=checksums,
        )


async def receive(
    chunks: AsyncIterator[bytes],
    *,
    store: Store,
    limits: Limits,
    content_guid: str,
    created_by: str,
    source: dict[str, Any] | None = None,
) -> Bundle:
    """Take an upload to its end, check it, unpack it and record it.

    Raises `TooLarge`, `BadRequest` or another `ApiError`; then nothing is kept.
    """
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=store.bundles))
    try:
        md5, sha1, size = await _save(chunks, incoming / "bundle.tar.gz", limits)
        document = await _to_its_end(_unpack, incoming, limits)
        bundle = Bundle(
            content_guid=content_guid,
            created_by=created_by,
            size=size,
            archive_md5=md5,
            archive_sha1=sha1,
            manifest=document,
            source=source or {},
        )
        with store.session() as session:
            session.add(bundle)
            session.flush()
            incoming.rename(store.bundle_directory(bundle.id))
        return bundle
    except OSError as error:
        raise _disk_error(error) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, incoming, ignore_errors=True)


async def _to_its_end(function: Callable[..., T], *arguments: Any) -> T:
    """Run the function in a thread; where we are cancelled, it is over before we are.

    Else it would go on to write what is removed after us.
    """
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    finally:
        # its own failure is of no interest any more
        await asyncio.gather(running, return_exceptions=True)


def discard_unrecorded(store: Store) -> None:
    """Remove what an interrupted upload left: directories that no record names."""
    with store.session() as session:
        known = {str(bundle_id) for (bundle_id,) in session.query(Bundle.id)}
    for directory in store.bundles.iterdir():
        if directory.name not in known:
            shutil.rmtree(directory, ignore_errors=True)


async def _save(
    chunks: AsyncIterator[bytes], archive: Path, limits: Limits
) -> tuple[str, str, int]:
    """Write the upload to a file; its MD5, SHA-1 (as Connect shows them) and bytes."""
    md5 = hashlib.md5(usedforsecurity=False)
    sha1 = hashlib.sha1(usedforsecurity=False)
    size = 0
    with archive.open("wb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > limits.bundle_bytes:
                raise TooLarge(f"The bundle is larger than {limits.bundle_bytes:,} bytes.")
            md5.update(chunk)
            sha1.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    return md5.hexdigest(), sha1.hexdigest(), size


class _Member(tarfile.TarInfo):
    """A member of a bundle, whose header is checked before tarfile acts on it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0:
            raise BadRequest(f"{member.name} in the bundle is smaller than nothing.")
        if member.type in _EXTENSIONS and member.size > _EXTENSION_BYTES:
            raise TooLarge(f"The bundle has a header of more than {_EXTENSION_BYTES:,} bytes.")
        return member


class _Allowance:
    """A byte stream that ends in `TooLarge` when more is read than was allowed."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.left = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise TooLarge("The bundle unpacks to more than its headers say.")
        return data

    def drain(self) -> None:
        while self.read(1 << 16):
            pass


def _unpack(directory: Path, limits: Limits) -> dict[str, Any]:
    """Unpack `bundle.tar.gz` into `app/`; the manifest, once every file is as it says."""
    app = directory / "app"
    app.mkdir()
    try:
        with gzip.open(directory / "bundle.tar.gz") as plain:
            names = _extract(_Allowance(plain), app, limits)
    except (
        *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError),
        # times that no clock can show, and headers upon headers
        *(OverflowError, RecursionError),
    ) as error:
        raise BadRequest(
            f"The bundle is not a whole gzipped tar archive ({error}). Was the upload cut short?"
        ) from error
    document = _read_manifest(app)
    _compare(Manifest.parse(document), app, names)
    return document


class _Tree:
    """The paths in a bundle so far, of which none may stand in the way of another."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._directories: set[str] = set()
        self._links: set[str] = set()
        self._spelled = 0

    def add(self, name: str, member: tarfile.TarInfo) -> None:
        """Take the member in under this name, or refuse it for where it lies."""
        parents = {str(parent) for parent in Path(name).parents} - {"."}
        if len(parents) > _TREE_DEPTH:
            raise BadRequest(f"{name[:100]}… in the bundle lies too deep in directories.")
        if parents & self._links:
            raise BadRequest(f"{name} in the bundle lies behind a symbolic link.")
        if name in self.files or parents & self.files:
            raise BadRequest(f"{name} stands in the bundle twice.")
        self._spelled += len(name) + sum(map(len, parents - self._directories))
        if self._spelled > _MANIFEST_BYTES:
            raise TooLarge("The names in the bundle are longer than a manifest may be.")
        self._directories |= parents
        if member.isdir():
            self._directories.add(name)
            return
        if name in self._directories:
            raise BadRequest(f"{name} stands in the bundle twice.")
        self.files.add(name)
        if member.issym():
            self._links.add(name)


def _extract(stream: _Allowance, app: Path, limits: Limits) -> set[str]:
    """Write the members below `app`; the names of the files among them."""
    tree = _Tree()
    unpacked = 0
    stream.left = _HEADER_BYTES
    # in stream mode tarfile reads each byte once, in order, so the allowance holds
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as tar:  # type: ignore[call-overload]
        for count, member in enumerate(tar, start=1):
            # each member has a copy of what is said of all, and tarfile keeps every member
            if len(tar.pax_headers) > _SAID_OF_ALL:
                raise TooLarge("The bundle has too many headers that speak of all its members.")
            tar.members.clear()
            if count > limits.bundle_members:
                raise TooLarge(f"The bundle has more than {limits.bundle_members:,} members.")
            unpacked += member.size
            if unpacked > limits.unpacked_bytes:
                raise TooLarge(f"The bundle unpacks to more than {limits.unpacked_bytes:,} bytes.")
            member.name = _safe_name(member)
            tree.add(member.name, member)
            stream.left = member.size + _HEADER_BYTES
            if member.isdir():
                (app / member.name).mkdir(parents=True, exist_ok=True)
            else:
                _write(tar, member, app / member.name)
            stream.left = _HEADER_BYTES
    # the checksum of the whole stands behind the last member, and behind what fills the last block
    stream.left = _MANIFEST_BYTES
    stream.drain()
    return tree.files


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write one file or symbolic link, nobody's but this user's to change.

    By hand, as tarfile's own filter for this is not in every Python 3.11.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
        return
    data = tar.extractfile(member)
    assert data is not None  # noqa: S101 (it is a file)
    with path.open("xb") as file:
        shutil.copyfileobj(data, file)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)
    os.utime(path, (member.mtime, member.mtime))


def _safe_name(member: tarfile.TarInfo) -> str:
    """The member's path inside the bundle, or `BadRequest` where it must not be unpacked."""
    name = posixpath.normpath(member.name)
    if member.name.startswith("/") or ".." in member.name.split("/") or "\0" in member.name:
        raise BadRequest(f"{member.name!r} in the bundle leads out of the bundle's directory.")
    if member.issym():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        if member.linkname.startswith("/") or target.split("/")[0] == "..":
            raise BadRequest(
                f"The link {name} -> {member.linkname} leads out of the bundle's directory. "
                "Copy the file into the directory instead."
            )
    elif not (member.isdir() or member.isreg()) or member.issparse():
        raise BadRequest(f"{name} in the bundle is neither a file, a directory nor a link.")
    return name


def _read_manifest(app: Path) -> dict[str, Any]:
    path = app / MANIFEST
    if not path.is_file() or path.is_symlink():
        raise BadRequest(f"The bundle has no {MANIFEST} at its top.")
    if path.stat().st_size > _MANIFEST_BYTES:
        raise TooLarge(f"The bundle's {MANIFEST} is larger than {_MANIFEST_BYTES:,} bytes.")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The bundle's {MANIFEST} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise BadRequest(f"The bundle's {MANIFEST} is not a JSON object.")
    if _is_deep(document):
        # it could be read here, but perhaps not written or read again with less of the stack left
        raise BadRequest(f"The bundle's {MANIFEST} is nested too deeply.")
    return document


def _is_deep(document: Any) -> bool:
    level = [document]
    for _ in range(_MANIFEST_DEPTH):
        level = [inner for value in level for inner in _parts(value)]
    return bool(level)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _compare(manifest: Manifest, app: Path, names: set[str]) -> None:
    """Refuse a bundle whose files are not those that its manifest lists."""
    again = "Write the manifest again, with `rsconnect write-manifest api`."
    if missing := sorted(manifest.checksums.keys() - names):
        raise BadRequest(f"{missing[0]} is in the manifest but not in the bundle. {again}")
    if extra := sorted(names - manifest.checksums.keys() - {MANIFEST}):
        raise BadRequest(f"{extra[0]} is in the bundle but not in its manifest. {again}")
    inside = os.path.realpath(app)
    for name, expected in manifest.checksums.items():
        try:
            # not strictly, a path too long to follow would count as one that stays inside
            path = Path(os.path.realpath(app / name, strict=True))
        except OSError:
            path = None
        # two links may lead out together where neither does by itself
        if path and not path.is_relative_to(inside):
            raise BadRequest(f"The link {name} leads out of the bundle's directory.")
        if path is None or not path.is_file():
            raise BadRequest(f"{name} in the bundle is a link to nothing in the bundle.")
        with path.open("rb") as file:
            actual = hashlib.file_digest(
                file, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()
        if actual != expected:
            raise BadRequest(
                f"The checksum of {name} is {actual}, but the manifest says {expected}. {again}"
            )


def _disk_error(error: OSError) -> ApiError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ApiError("The server's disk is full; the bundle was not kept.", status=507)
    return BadRequest(f"The bundle cannot be unpacked: {error.strerror or error}.")


def _requires(document: dict[str, Any]) -> str | None:
    """The specifier at `environment.python.requires`, each part of which may be missing."""
    value: Any = document
    place: list[str] = []
    for key in ("environment", "python", "requires"):
        if not isinstance(value, dict):
            raise BadRequest(f"The manifest has no object at {'.'.join(place)}.")
        place.append(key)
        value = value.get(key)
        if value is None:
            return None
    if not isinstance(value, str):
        raise BadRequest(f"The manifest has no text at {'.'.join(place)}.")
    return value


def _table(parent: Any, key: str, place: str | None = None) -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise BadRequest(f"The manifest has no object at {place or key}.")
    return value


def _text(parent: Any, key: str, place: str) -> str:
    value = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(value, str) or not value:
        raise BadRequest(f"The manifest has no text at {place}.")
    return value
