"""Reads requirements files, as far as it must be known what an environment depends on.

Installers read them, each in its own way. Whatever is not understood here for certain counts as
something that may lead to any file of the bundle.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

#: a line that goes on in the next one
_CONTINUED = re.compile(r"\\[ \t]*\r?\n")

#: a comment, as pip has it: a `#` within a word, as in a URL, begins none
_COMMENT = re.compile(r"(^|\s)#.*$")

#: hashes that what is installed must have, behind a requirement
_HASHES = re.compile(r"(\s+--hash[= ]\s*\w+:[0-9a-fA-F]+)+$")

#: options that lead to no file of the bundle
_OPTION = re.compile(
    r"--(pre|prefer-binary|require-hashes)"
    r"|--(no-binary|only-binary|trusted-host)[= ]\s*\S+"
    r"|(-i|--(extra-)?index-url)[= ]\s*https?://\S+"
)

_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)[= ]\s*(?P<path>[\w./-]+)")

#: schemes of addresses that lead away from this machine
_REMOTE = {"http", "https", "ssh"}

#: requirements files that may include one another
_INCLUDES = 20


@dataclass(frozen=True)
class Requirements:
    """What a requirements file asks for, with the files that it includes."""

    #: without comments and empty lines
    lines: tuple[str, ...]
    #: of packages that the file itself asks for by name, in their canonical form
    names: frozenset[str]
    #: whether what is installed may depend on files of the bundle other than these
    leads_to_files: bool
    #: whether they say where packages are, in place of what an installer is configured to
    names_index: bool


def read(app: Path, package_file: str) -> Requirements:
    """Read the requirements file of a bundle that is unpacked at `app`."""
    lines: list[str] = []
    certain = not _configures_uv(app)
    files = [app / package_file]
    for file in files:
        text = _text(file, app)
        if text is None or len(files) > _INCLUDES:
            certain = False
            break
        if any("#" in line and line.rstrip().endswith("\\") for line in text.splitlines()):
            # pip and uv differ in whether the comment goes on
            certain = False
        for line in _logical(text):
            lines.append(line)
            if include := _INCLUDE.fullmatch(line):
                files.append(file.parent / include["path"])
            elif not _leads_nowhere(line, app):
                certain = False
    own = _text(app / package_file, app) or ""
    return Requirements(
        lines=tuple(lines),
        names=frozenset(_names(own)),
        leads_to_files=not certain,
        names_index=any(line.startswith(("-i", "--index-url")) for line in lines),
    )


def _text(file: Path, app: Path) -> str | None:
    """What is in a file of the bundle; None where it cannot be read or is none of the bundle's."""
    try:
        path = file.resolve(strict=True)
        return path.read_text("utf-8-sig") if path.is_relative_to(app.resolve()) else None
    except (OSError, ValueError):
        return None


def _logical(text: str) -> Iterator[str]:
    for line in _CONTINUED.sub(" ", text).splitlines():
        if stripped := _COMMENT.sub("", line).strip():
            yield stripped


def _leads_nowhere(line: str, app: Path) -> bool:
    """Whether a line asks for nothing but a package of an index or of an address elsewhere."""
    if line.startswith("-"):
        return bool(_OPTION.fullmatch(line))
    try:
        requirement = Requirement(_HASHES.sub("", line))
    except InvalidRequirement:
        return False
    if requirement.url:
        scheme = urlsplit(requirement.url).scheme
        return scheme.rpartition("+")[2] in _REMOTE
    # an archive at the top of the bundle has a name like that of a package
    return not (app / requirement.name).is_file()


def _names(text: str) -> Iterator[str]:
    for line in _logical(text):
        try:
            yield canonicalize_name(Requirement(_HASHES.sub("", line)).name)
        except InvalidRequirement:
            continue


def _configures_uv(app: Path) -> bool:
    """Whether the bundle has settings for uv, which may name places to look for packages."""
    if (app / "uv.toml").exists():
        return True
    try:
        project = tomllib.loads((app / "pyproject.toml").read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    tools = project.get("tool")
    return isinstance(tools, dict) and "uv" in tools
