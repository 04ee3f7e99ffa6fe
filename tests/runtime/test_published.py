"""Inputs as they are published for Connect, which are less tidy than what rsconnect writes.

The shapes are those of public examples and of packaged extensions; the apps are our own.
"""

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import Member, manifest_of, member, packed
from tests.deployed import Person, content_at
from tests.publishing import create, deploy, upload
from tests.servers import LocalConnect

API = ("api", "--entrypoint", "app:app")

FLASK = """
from flask import Flask, render_template
app = Flask(__name__)
rows = open("prices.csv").read().split()
@app.get("/")
def index():
    return render_template("index.html", rows=rows)
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        body = b"rows: " + open("prices.csv", "rb").read()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""

PAGE = "rows: {{ ', '.join(rows) }}"


@dataclass(frozen=True)
class Published:
    """Files, and what their manifest says of them."""

    files: dict[str, str]
    metadata: dict[str, str]
    #: names in the manifest, with no checksum that is right; None for no `files` in it
    listed: tuple[str, ...] | None
    #: the directory in which all of it lies
    around: str = ""
    warnings: tuple[str, ...] = ()

    def archive(self) -> bytes:
        document: dict[str, Any] = manifest_of({})
        document["metadata"] = self.metadata
        del document["python"]["package_manager"]["version"], document["locale"]
        if self.listed is None:
            del document["files"]
        else:
            document["files"] = {name: {"checksum": "0" * 32} for name in self.listed}
        document["extension"] = {"name": "of-our-own", "version": "0.0.1"}
        everything = {**self.files, "manifest.json": json.dumps(document)}
        return packed(list(_members(everything, self.around)))


def _members(files: dict[str, str], around: str) -> list[Member]:
    """As tar writes a directory: with members for the directories themselves."""
    directories = {around} | {
        f"{around}{parent}/" for name in files for parent in Path(name).parents if parent.name
    }
    return [
        *(member(name, type=tarfile.DIRTYPE) for name in sorted(directories) if name),
        *(member(around + name, text.encode()) for name, text in files.items()),
    ]


FLASK_FILES = {
    "app.py": FLASK,
    "requirements.txt": "flask>=3,<4\n",
    "prices.csv": "1 2",
    "templates/index.html": PAGE,
}
ASGI_FILES = {"main.py": ASGI, "requirements.txt": "", "prices.csv": "1, 2"}

PUBLISHED = {
    "an example whose manifest is older than its files": Published(
        FLASK_FILES,
        {"appmode": "python-api", "entrypoint": "app"},
        tuple(FLASK_FILES),
        warnings=(
            "Warning: The manifest has other checksums than the files have: "
            "app.py, prices.csv, requirements.txt, templates/index.html.",
        ),
    ),
    "an example with files that came and went": Published(
        {**FLASK_FILES, "train.py": "", "README.md": ""},
        {"appmode": "python-api", "entrypoint": "app"},
        ("app.py", "requirements.txt", "model/meta.json", "model/vocab/vectors", "users.db"),
        warnings=(
            "Warning: The manifest has other checksums than the files have: "
            "app.py, requirements.txt.",
            "Warning: Not in the manifest, but in the bundle, so taken: "
            "README.md, prices.csv, templates/index.html, train.py.",
            "Warning: In the manifest, but not in the bundle: "
            "model/meta.json, model/vocab/vectors, users.db.",
        ),
    ),
    "an example of an ASGI app": Published(
        ASGI_FILES,
        {"appmode": "python-fastapi", "entrypoint": "main"},
        ("requirements.txt", "main.py", "prices.csv"),
        warnings=(
            "Warning: The manifest has other checksums than the files have: "
            "main.py, prices.csv, requirements.txt.",
        ),
    ),
    "an extension in its directory": Published(
        {**ASGI_FILES, ".python-version": "3.11", "dist/index.html": ""},
        {"appmode": "python-fastapi", "entrypoint": "main:app"},
        ("requirements.txt", "main.py", "uv.lock"),
        around="simple-server/",
        warnings=(
            "Warning: All of the bundle lies in one directory: simple-server.",
            "Warning: The manifest has other checksums than the files have: "
            "main.py, requirements.txt.",
            "Warning: Not in the manifest, but in the bundle, so taken: "
            ".python-version, dist/index.html, prices.csv.",
            "Warning: In the manifest, but not in the bundle: uv.lock.",
        ),
    ),
    "a manifest that names no files": Published(
        ASGI_FILES,
        {"appmode": "python-fastapi", "entrypoint": "main"},
        None,
        warnings=(
            "Warning: The manifest names no files; all of the bundle's are taken: "
            "main.py, prices.csv, requirements.txt.",
        ),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(server: LocalConnect, name: str) -> None:
    published = PUBLISHED[name]
    content = create(server)
    task = deploy(content, upload(content, published.archive()))
    assert task["code"] == 0, task
    assert tuple(line for line in task["output"] if "Warning" in line) == published.warnings
    assert server.get(content.path).text == "rows: 1, 2"


def test_a_manifest_that_is_out_of_date(alice: Person, app: Path) -> None:
    # rsconnect sends the manifest as it finds it
    alice.rsconnect("write-manifest", *API, app)
    (app / "version.txt").write_text("newer than the manifest")
    done = alice.rsconnect("deploy", "manifest", app / "manifest.json")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    # once in the log of each of its two deployments, the draft's and the one that activates it
    warning = "Warning: The manifest has other checksums than the files have: version.txt."
    assert said.count("Warning: ") == said.count(warning) == 2, said
    (found,) = [line for line in said.splitlines() if "Direct content URL:" in line]
    assert content_at(alice.server, found.split()[-1]).version == "newer than the manifest"


def test_a_bundle_that_was_unpacked_and_packed_again(alice: Person, app: Path) -> None:
    """With its directory, as file managers and `tar -czf app.tar.gz app` do it."""
    alice.rsconnect("write-manifest", *API, app)
    (app / "notes.txt").write_text("not in the manifest")
    archive = app.with_suffix(".tar.gz")
    subprocess.run(["tar", "-C", app.parent, "-czf", archive, app.name], check=True)
    assert alice.deploy("bundle", archive).version == "one"
