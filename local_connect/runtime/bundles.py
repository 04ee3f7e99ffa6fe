"""Takes a bundle in: received whole, unpacked, compared with its manifest, recorded.

What is dangerous is refused, in one sentence that names the file, and nothing of it stays on
disk: members and links that lead out of the bundle, devices, bombs, two members by one name.
What is merely untidy is taken, as Connect takes it; each kind is a warning for the log of its
deployments.
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
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

from local_connect.config import Limits
from local_connect.errors import ApiError, BadRequest, TooLarge
from local_connect.records.store import Bundle, Store
from local_connect.runtime.manifests import MANIFEST, Manifest, bundle_path

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

#: files that a warning names
_NAMED = 5

#: how an absolute name begins that was written on Windows
_DRIVE = re.compile(r"[A-Za-z]:\\")


async def receive(
    chunks: AsyncIterator[bytes],
    *,
    store: Store,
    limits: Limits,
    content_guid: str,
    created_by: str,
    source: dict[str, Any] | None = None,
    bundle_id: int | None = None,
) -> Bundle:
    """Take an upload to its end, check it, unpack it and record it.

    `bundle_id` is one that `reserve` has given out. Raises `TooLarge`, `BadRequest` or another
    `ApiError`; then nothing is kept.
    """
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=store.bundles))
    try:
        md5, sha1, size = await _save(chunks, incoming / "bundle.tar.gz", limits)
        unpacked = await _to_its_end(unpack, incoming / "bundle.tar.gz", incoming / "app", limits)
        bundle = Bundle(
            content_guid=content_guid,
            created_by=created_by,
            size=size,
            archive_md5=md5,
            archive_sha1=sha1,
            manifest=unpacked.manifest,
            source=source or {},
            warnings=unpacked.warnings,
        )
        if bundle_id is not None:
            bundle.id = bundle_id
        with store.session() as session:
            session.add(bundle)
            session.flush()
            incoming.rename(store.bundle_directory(bundle.id))
        return bundle
    except OSError as error:
        raise _disk_error(error) from error
    finally:
        await asyncio.to_thread(shutil.rmtree, incoming, ignore_errors=True)


def reserve(store: Store, content_guid: str) -> int:
    """The id of a bundle that is yet to be received, which no other will have."""
    with store.session() as session:
        bundle = Bundle(
            content_guid=content_guid,
            created_by="",
            size=0,
            archive_md5="",
            archive_sha1="",
            manifest={},
        )
        session.add(bundle)
        session.flush()
        # SQLite gives an id out once, also where its row is gone
        session.delete(bundle)
        return bundle.id


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


@dataclass(frozen=True)
class Unpacked:
    """What was in a bundle: its manifest, and what its publisher may want to mend."""

    manifest: dict[str, Any]
    #: whole sentences, one for each kind of fault
    warnings: list[str]


def unpack(archive: Path, app: Path, limits: Limits) -> Unpacked:
    """Unpack a gzipped tar archive into the new directory `app`, and check it.

    Raises an `ApiError`, or an `OSError` of the disk's; then what is in `app` is of no use.
    """
    app.mkdir()
    try:
        with gzip.open(archive) as plain:
            tree = _extract(_Allowance(plain), app, limits)
    except (
        *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError),
        # times that no clock can show, and headers upon headers
        *(OverflowError, RecursionError),
    ) as error:
        raise BadRequest(
            f"The bundle is not a whole gzipped tar archive ({error}). Was the upload cut short?"
        ) from error
    wrapping = _unwrap(app)
    names = set(_below(wrapping, tree.files))
    _check_links(app, _below(wrapping, tree.links))
    document = _read_manifest(app)
    manifest = Manifest.parse(document)
    wanted = manifest.package_file
    if wanted is not None and not (wanted in names and (app / wanted).is_file()):
        raise BadRequest(
            f"The bundle has no {wanted}, which its manifest names as the file of its requirements."
        )
    warnings = []
    if wrapping:
        warnings.append(f"All of the bundle lies in one directory: {_few([wrapping])}.")
    backslashed = [name for name in document.get("files") or () if "\\" in name]
    if found := {*tree.backslashed, *backslashed}:
        warnings.append(f"Backslashes in names are taken for slashes: {_few(found)}.")
    return Unpacked(document, [*warnings, *_compare(manifest, app, names)])


class _Tree:
    """The paths in a bundle so far, of which none may stand in the way of another."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        #: those of the files that are symbolic links, with their targets
        self.links: dict[str, str] = {}
        #: names that were written with backslashes
        self.backslashed: list[str] = []
        self._directories: set[str] = set()
        self._spelled = 0

    def add(self, name: str, member: tarfile.TarInfo) -> None:
        """Take the member in under this name, or refuse it for where it lies."""
        parents = {str(parent) for parent in Path(name).parents} - {"."}
        if len(parents) > _TREE_DEPTH:
            raise BadRequest(f"{name[:100]}… in the bundle lies too deep in directories.")
        if parents & self.links.keys():
            raise BadRequest(_behind_a_link(name))
        if name in self.files or parents & self.files:
            raise BadRequest(_twice(name))
        link = _slashed(member.linkname) if member.issym() else ""
        self._spelled += len(name) + len(link) + sum(map(len, parents - self._directories))
        if self._spelled > _MANIFEST_BYTES:
            raise TooLarge("The names in the bundle are longer than a manifest may be.")
        self._directories |= parents
        if member.isdir():
            self._directories.add(name)
            return
        if name in self._directories:
            raise BadRequest(_twice(name))
        self.files.add(name)
        if member.issym():
            self.links[name] = link


def _extract(stream: _Allowance, app: Path, limits: Limits) -> _Tree:
    """Write the members below `app`, files before links, so that none is written through a link."""
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
            if "\\" in member.name:
                tree.backslashed.append(member.name)
            name = _safe_name(member)
            tree.add(name, member)
            stream.left = member.size + _HEADER_BYTES
            if not member.issym():
                _write(tar, member, app, name)
            stream.left = _HEADER_BYTES
    # the checksum of the whole stands behind the last member, and behind what fills the last block
    stream.left = _MANIFEST_BYTES
    stream.drain()
    for name, target in tree.links.items():
        _link(app, name, target)
    return tree


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, app: Path, name: str) -> None:
    """Write one file or directory, nobody's but this user's to change.

    By hand, as tarfile's own filter for this is not in every Python 3.11.
    """
    path = app / name
    try:
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        data = tar.extractfile(member)
        assert data is not None  # noqa: S101 (it is a file)
        with path.open("xb") as file:
            shutil.copyfileobj(data, file)
    except (FileExistsError, NotADirectoryError) as error:
        # no two names are the same, but to a file system that tells no capitals apart they may be
        raise BadRequest(_twice(name)) from error
    path.chmod(0o755 if member.mode & 0o100 else 0o644)
    os.utime(path, (member.mtime, member.mtime))


def _link(app: Path, name: str, target: str) -> None:
    """Make one symbolic link, unless one that was made before would carry it elsewhere."""
    path = app / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        parent = Path(os.path.realpath(app)) / path.parent.relative_to(app)
        if os.path.realpath(path.parent) != str(parent):
            raise BadRequest(_behind_a_link(name))
        path.symlink_to(target)
    except (FileExistsError, NotADirectoryError) as error:
        raise BadRequest(_twice(name)) from error


#: what a member may be that is not taken, and what to do about it
_UNWANTED = {
    tarfile.LNKTYPE: ("a hard link to {0.linkname}", "Put a copy of the file there instead"),
    tarfile.CHRTYPE: ("a character device", "Leave it out"),
    tarfile.BLKTYPE: ("a block device", "Leave it out"),
    tarfile.FIFOTYPE: ("a named pipe", "Leave it out"),
    tarfile.GNUTYPE_SPARSE: ("a sparse file", "Write the archive without sparse files"),
}


def _safe_name(member: tarfile.TarInfo) -> str:
    """The member's path inside the bundle, or `BadRequest` where it must not be unpacked."""
    slashed = _slashed(member.name)
    if (
        slashed.startswith("/")
        or ".." in slashed.split("/")
        or "\0" in slashed
        or _DRIVE.match(member.name)
    ):
        raise BadRequest(f"{member.name!r} in the bundle leads out of the bundle's directory.")
    name = bundle_path(member.name)
    if member.issym():
        link = _slashed(member.linkname)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
        if not link:
            raise BadRequest(_to_nothing(name))
        if link.startswith("/") or target.split("/")[0] == "..":
            raise BadRequest(
                f"The link {name} -> {member.linkname} leads out of the bundle's directory. "
                "Copy the file into the directory instead."
            )
    elif not (member.isdir() or member.isreg()) or member.issparse():
        kind = tarfile.GNUTYPE_SPARSE if member.issparse() else member.type
        what, instead = _UNWANTED.get(
            kind, ("a member of a type that is not known ({0.type!r})", "Leave it out")
        )
        raise BadRequest(f"{name} in the bundle is {what.format(member)}. {instead}.")
    return name


def _unwrap(app: Path) -> str:
    """Lift what lies in a single directory to the top, as often as that is so; its path, if any.

    Connect does the same (said by its developers in posit-dev/rsconnect-python#793).
    """
    top = app
    while (only := _only_directory(top)) is not None:
        top = only
    if top == app:
        return ""
    lifted = top.rename(app.with_name(f"{app.name}.lifted"))
    shutil.rmtree(app)
    lifted.rename(app)
    return str(top.relative_to(app))


def _only_directory(directory: Path) -> Path | None:
    """The one directory in another, where that holds nothing else."""
    found = list(islice(directory.iterdir(), 2))
    if len(found) == 1 and found[0].is_dir() and not found[0].is_symlink():
        return found[0]
    return None


def _below(directory: str, names: Iterable[str]) -> list[str]:
    """The names of what lies in a directory, as they are seen from there."""
    depth = len(Path(directory).parts)
    return ["/".join(name.split("/")[depth:]) for name in names]


def _check_links(app: Path, names: Iterable[str]) -> None:
    """Refuse links that lead out, or nowhere.

    Two may lead out together where neither does by itself, and one may once what lay in a single
    directory has been lifted out of it.
    """
    inside = os.path.realpath(app)
    for name in names:
        try:
            # not strictly, a path too long to follow would count as one that stays inside
            path = Path(os.path.realpath(app / name, strict=True))
            # which goes back even from a file, as the system does not
            (app / name).stat()
        except OSError as error:
            raise BadRequest(_to_nothing(name)) from error
        if not path.is_relative_to(inside):
            raise BadRequest(f"The link {name} leads out of the bundle's directory.")


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


def _compare(manifest: Manifest, app: Path, names: set[str]) -> list[str]:
    """What a manifest says of its bundle's files that is not so: one warning for each kind."""
    files = names - {MANIFEST}
    listed = manifest.checksums
    if not listed:
        return [f"The manifest names no files; all of the bundle's are taken: {_few(files)}."]
    stale = [
        name
        for name in listed.keys() & files
        if listed[name] is not None and (app / name).is_file() and _md5(app / name) != listed[name]
    ]
    faults = (
        ("The manifest has other checksums than the files have: {}.", stale),
        ("Not in the manifest, but in the bundle, so taken: {}.", files - listed.keys()),
        ("In the manifest, but not in the bundle: {}.", listed.keys() - names),
    )
    return [text.format(_few(found)) for text, found in faults if found]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _few(names: Iterable[str]) -> str:
    """The first of the names, and how many more there are."""
    found = sorted(names)
    text = ", ".join(map(_shown, found[:_NAMED]))
    return text if len(found) <= _NAMED else f"{text} and {len(found) - _NAMED} more"


def _shown(name: str) -> str:
    """A name as it can stand in a line, whatever is in it."""
    return name if name.isprintable() else repr(name)


def _slashed(name: str) -> str:
    """A name as it is where it was not written on Windows."""
    return name.replace("\\", "/")


def _twice(name: str) -> str:
    return f"{name} stands in the bundle twice."


def _to_nothing(name: str) -> str:
    return f"{name} in the bundle is a link to nothing in the bundle."


def _behind_a_link(name: str) -> str:
    return f"{name} in the bundle lies behind a symbolic link."


def _disk_error(error: OSError) -> ApiError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ApiError("The server's disk is full; the bundle was not kept.", status=507)
    return BadRequest(f"The bundle cannot be unpacked: {error.strerror or error}.")
