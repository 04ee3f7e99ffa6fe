"""The real `rsconnect`, run away from its user's saved servers, keys and records.

What it deploys is a copy of the directory, so it leaves nothing in the directory itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from local_connect.errors import LocalConnectError

#: Names that are never deployed, wherever they are: what tools keep for themselves. `rsconnect`
#: leaves some of them out, and only at the top.
KEPT_OUT = {
    *(".git", ".hg", ".venv", "__pycache__", "node_modules", "rsconnect-python"),
    *(".hypothesis", ".idea", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".vscode"),
}

#: Files that tools write and remove by themselves: bytecode, and those that editors keep.
_TEMPORARY = re.compile(r".*\.py[co]|.*~|\.#.*|#.*#|.*\.sw[a-z]|4913|\.DS_Store")

#: variables by which rsconnect would deploy elsewhere, or git read another repository
_NOT_INHERITED = ("CONNECT_", "RSCONNECT_", "SHINYAPPS_", "RSCLOUD_", "GIT_")

#: it colours some of its lines even where it was asked not to
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

#: bytes of one line that it prints, such as that of all packages
_LINE_BYTES = 1 << 20

#: what a name of content may not have, and how long it is; see `v1/content`
_NO_NAME = re.compile(r"[^-_.A-Za-z0-9]+")
_NAME_LENGTHS = (3, 64)


def find() -> str:
    """The `rsconnect` of this Python's environment, or else the one on the PATH."""
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    found = shutil.which("rsconnect", path=os.pathsep.join(places))
    if found is None:
        raise LocalConnectError(
            "rsconnect, which deploys, is not installed here: pip install rsconnect-python"
        )
    return found


def environment(home: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment, with `home` as home, and `variables` in place of rsconnect's own.

    `home` is made if there is none.
    """
    home.mkdir(parents=True, exist_ok=True)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)
    }
    return {
        **inherited,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "RSCONNECT_DISABLE_VERSION_CHECK": "1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        **(variables or {}),
    }


async def deploy(
    directory: Path,
    kind: str,
    guid: str,
    *,
    entrypoint: str | None,
    url: str,
    api_key: str,
    home: Path,
    on_line: Callable[[str], None],
    variables: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run `rsconnect deploy <kind>` to its end, for content that is there: its status, its words.

    `on_line` gets each line as it comes; `variables` are further ones for rsconnect. The kind
    `manifest` takes the directory's manifest.json.
    """
    process = await asyncio.create_subprocess_exec(
        *(find(), "deploy", kind, "--app-id", guid),
        *(("--entrypoint", entrypoint) if entrypoint else ()),
        str(directory / "manifest.json" if kind == "manifest" else directory),
        env=environment(
            home, {"CONNECT_SERVER": url, "CONNECT_API_KEY": api_key, **(variables or {})}
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
            line = plain(raw.decode("utf-8", "replace"))
            output += line
            on_line(line.strip())
        return await process.wait(), output
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def plain(text: str) -> str:
    """What it printed, without colour."""
    return _COLOUR.sub("", text)


def content_name(directory: Path) -> str:
    """A name that content may have, from that of the directory."""
    least, most = _NAME_LENGTHS
    name = _NO_NAME.sub("-", directory.name).strip("-")[:most]
    return name if len(name) >= least else f"{name}-api".strip("-")


def copy(source: Path, target: Path, *, leave_out: Path | None = None) -> str:
    """Copy what would be deployed of a directory; a digest of all names and contents.

    `leave_out` is a directory that may lie in it, such as this server's own state. Links stay
    links, and lead where they led.
    """
    digest = hashlib.sha256()
    target.mkdir(parents=True)
    for path in _files(source, leave_out):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            leads_to = path.readlink()
            inside = (path.parent / leads_to).resolve().is_relative_to(source.resolve())
            place.symlink_to(leads_to if inside else path.resolve())
        else:
            shutil.copy2(path, place)
        digest.update(_described(place, path, source))
    return digest.hexdigest()


def digest(source: Path) -> str:
    """The digest that `copy` gives, of a directory that is not copied."""
    digest = hashlib.sha256()
    for path in _files(source, None):
        digest.update(_described(path, path, source))
    return digest.hexdigest()


def _described(place: Path, path: Path, source: Path) -> bytes:
    """A file's name in `source`, and what is in it, as it is read at `place`."""
    if path.is_symlink():
        content = str(path.readlink()).encode()
    else:
        with place.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    name = f"{path.relative_to(source)}\0{len(content)}\0"
    return name.encode(errors="replace") + content


def is_deployed(path: Path, source: Path) -> bool:
    """Whether a path in `source`, or `source` itself, has a name that is deployed."""
    parts = path.relative_to(source).parts
    return not KEPT_OUT.intersection(parts) and not (parts and _TEMPORARY.fullmatch(parts[-1]))


def _files(source: Path, leave_out: Path | None) -> Iterator[Path]:
    for directory, names, files in os.walk(source):
        parent = Path(directory)
        names[:] = sorted(
            name
            for name in names
            if is_deployed(parent / name, source)
            and not (parent / name / "bin" / "python").exists()
            and (leave_out is None or (parent / name).resolve() != leave_out)
        )
        for name in sorted(files):
            path = parent / name
            regular = stat.S_ISREG(path.lstat().st_mode) or path.is_symlink()
            if regular and is_deployed(path, source):
                yield path
