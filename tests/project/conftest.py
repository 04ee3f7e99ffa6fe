"""A checkout to type commands in, and a server to send them to."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.catalogue import ROOT
from tests.servers import LocalConnect, environment, running_server

#: of the Makefile: make hands on to its commands what it was given on its own command line
VARIABLES = set(re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


class Checkout:
    """A copy of what git tracks, with the virtual environment that these tests run in."""

    def __init__(self, directory: Path) -> None:
        self.directory = copy_of_checkout(directory)
        (directory / ".venv").symlink_to(Path(sys.prefix))
        if (ROOT / ".cache").exists():
            # what `make cassandra` has fetched
            (directory / ".cache").symlink_to(ROOT / ".cache")
        for name in ("pyproject.toml", "requirements-dev.txt"):
            # older than any environment, so that make does not install the copy into this one
            os.utime(directory / name, (0, 0))
        self.home = directory.with_name(f"{directory.name}-home")
        self.home.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """What a newcomer's shell would have: no server, no key, a home of its own."""
        inherited = {
            name: value
            for name, value in environment().items()
            if not name.startswith(("MAKE", "MFLAGS", "PYTEST_")) and name not in VARIABLES
        }
        return inherited | {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "UV_CACHE_DIR": uv_cache(),
        }

    def keep(self, *examples: str) -> None:
        """Leave only these examples in the catalogue, where all of them would take long."""
        catalogue = self.directory / "gallery.toml"
        tables = re.split(r"^(?=\[)", catalogue.read_text("utf-8"), flags=re.MULTILINE)
        headings = tuple(f"[{name}]" for name in examples)
        kept = [table for table in tables if table.startswith(headings)]
        catalogue.write_text("".join(kept), "utf-8")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the checkout; standard error is part of `stdout`."""
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=180,
            check=False,
        )


def copy_of_checkout(directory: Path) -> Path:
    """Copy what git tracks, or would if it were added, into the directory."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    return directory


@cache
def uv_cache() -> str:
    """Where uv keeps wheels, so that another home does not mean another download."""
    uv = Path(sys.executable).with_name("uv")
    found = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    directory = tmp_path / "checkout"
    directory.mkdir()
    return Checkout(directory)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server
