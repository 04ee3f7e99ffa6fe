"""Writes bundles by hand, to say in them what rsconnect never would."""

import copy
import hashlib
import io
import json
import platform
import tarfile
from typing import Any

from tests.deployed import ECHO

Member = tuple[tarfile.TarInfo, bytes]

#: the echoing app
FILES = {path.name: path.read_bytes() for path in sorted(ECHO.iterdir()) if path.is_file()}


def manifest_of(files: dict[str, bytes]) -> dict[str, Any]:
    """The manifest that rsconnect would write for these files."""
    return {
        "version": 1,
        "locale": "en_US.UTF-8",
        "metadata": {"appmode": "python-api", "entrypoint": "app:app"},
        "python": {
            "version": platform.python_version(),
            "package_manager": {
                "name": "pip",
                "version": "25.0",
                "package_file": "requirements.txt",
            },
        },
        "files": {
            name: {"checksum": hashlib.md5(content, usedforsecurity=False).hexdigest()}
            for name, content in files.items()
        },
    }


def member(name: str, content: bytes = b"", **fields: Any) -> Member:
    """A file, or with `type` and `linkname` something else."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def listed(*members: Member) -> list[Member]:
    """The echoing app with these members besides, all of them in the manifest."""
    manifest = manifest_of(FILES)
    for info, content in members:
        checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
        manifest["files"][info.name] = {"checksum": checksum}
    return [*app(manifest), *members]


def app(manifest: dict[str, Any] | None = None) -> list[Member]:
    """The echoing app as it is, or with another manifest."""
    text = json.dumps(manifest or manifest_of(FILES)).encode()
    return [member("manifest.json", text), *(member(*file) for file in FILES.items())]


def packed(members: list[Member]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(copy.copy(info), io.BytesIO(content))
    return archive.getvalue()
