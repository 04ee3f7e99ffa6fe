"""Reads `manifest.json`, in which a publisher says what a bundle is and how it runs.

Connect takes manifests that are out of date or say little, so this reads all that can be
understood. What is wrong with the rest is said in one sentence that names the place.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Any

from local_connect.errors import BadRequest, NotImplementedHere

#: its name in a bundle
MANIFEST = "manifest.json"

#: the types of content that run here: WSGI apps, and ASGI apps
APP_MODES = ("python-api", "python-fastapi")

_OBJECT = r"(:[^\W\d]\w*(\.[^\W\d]\w*)*(\(\))?)?"

#: `module[:object]`; with a module alone the content process looks for the usual names
_MODULE = re.compile(rf"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*{_OBJECT}")

#: the same with the file of the module in its place, as Posit Publisher has it: `src/main.py`
_FILE = re.compile(rf"(?![-/])[^:]+\.py{_OBJECT}")


@dataclass(frozen=True)
class Manifest:
    """The parts of `manifest.json` that decide how a bundle is checked, built and run."""

    app_mode: str
    #: a module or its file, and perhaps an object in it, as the manifest has them
    entrypoint: str
    python_version: str
    #: a specifier such as `>=3.11`, or None where the publisher's project names none
    python_requires: str | None
    #: the requirements file; None only where nothing is to be installed
    package_file: str | None
    #: whether an environment is made for the bundle, with its requirements installed
    manages_environment: bool
    #: whether uv may install them; None leaves that to the server
    allow_uv: bool | None
    #: path in the bundle -> MD5, in hex, or None where the manifest has none
    checksums: dict[str, str | None]

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
        python = _table(document, "python")
        manages_environment = _flag(document, "environment", "environment_management", "python")
        return cls(
            app_mode=app_mode,
            entrypoint=_entrypoint(_text(metadata, "entrypoint", "metadata.entrypoint")),
            python_version=_text(python, "version", "python.version"),
            python_requires=_requires(document),
            package_file=_package_file(python) if manages_environment is not False else None,
            manages_environment=manages_environment is not False,
            allow_uv=_flag(document, "python", "package_manager", "allow_uv"),
            checksums=_checksums(document),
        )


def bundle_path(name: str) -> str:
    """The path in a bundle that a name stands for: what is written on Windows has backslashes."""
    return posixpath.normpath(name.replace("\\", "/"))


def _entrypoint(text: str) -> str:
    entrypoint = text.replace("\\", "/")
    is_file = _FILE.fullmatch(entrypoint) and ".." not in entrypoint.partition(":")[0].split("/")
    if not (is_file or _MODULE.fullmatch(entrypoint)) or not entrypoint.isprintable():
        raise BadRequest(
            f"The entry point {text!r} is not of the form module, module:object, file.py or "
            "file.py:object."
        )
    return entrypoint


def _package_file(python: dict[str, Any]) -> str:
    manager = _table(python, "package_manager", "python.package_manager")
    return bundle_path(_text(manager, "package_file", "python.package_manager.package_file"))


def _checksums(document: Any) -> dict[str, str | None]:
    if document.get("files") is None:
        return {}
    return {
        bundle_path(name): _checksum(entry, f"files[{name!r}]")
        for name, entry in _table(document, "files").items()
    }


def _checksum(entry: Any, place: str) -> str | None:
    if not isinstance(entry, dict):
        raise BadRequest(f"The manifest has no object at {place}.")
    checksum = entry.get("checksum")
    if checksum is not None and not isinstance(checksum, str):
        raise BadRequest(f"The manifest has no text at {place}.checksum.")
    return checksum.lower() if checksum else None


def _requires(document: Any) -> str | None:
    """The specifier at `environment.python.requires`."""
    value = _optional(document, "environment", "python", "requires")
    if value is not None and not isinstance(value, str):
        raise BadRequest("The manifest has no text at environment.python.requires.")
    return value


def _flag(document: Any, *keys: str) -> bool | None:
    """True, false, or None where the manifest does not say."""
    value = _optional(document, *keys)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"The manifest has neither true nor false at {'.'.join(keys)}.")
    return value


def _optional(document: Any, *keys: str) -> Any:
    """What is at this place, each part of which may be missing."""
    value = document
    for depth, key in enumerate(keys):
        if not isinstance(value, dict):
            raise BadRequest(f"The manifest has no object at {'.'.join(keys[:depth])}.")
        value = value.get(key)
        if value is None:
            return None
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
