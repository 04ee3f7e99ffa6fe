"""A newcomer with an empty directory and an API of their own, who installs the package.

One environment holds the wheel with its extra, another what `pip install .` brings from a
checkout; all journeys of a run share them.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project.conftest import copy_of_checkout, uv_cache
from tests.servers import environment
from tests.targets.environments import uv

#: ten lines that are none of the gallery's
APP = """\
import json
from flask import Flask, request

app = Flask(__name__)

@app.get("/hello")
def hello():
    viewer = json.loads(request.headers.get("RStudio-Connect-Credentials", "null"))
    print("hello to", viewer)
    return {"hello": viewer["user"] if viewer else "stranger"}
"""


#: what else is installed: where `make coverage` measures, it does so there, too
MEASURED_BY = ["coverage"] if "COVERAGE_PROCESS_CONFIG" in os.environ else []


@dataclass(frozen=True)
class Newcomer:
    """Someone in a directory of their own, with the commands of one environment."""

    directory: Path
    bin: Path

    @property
    def home(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}-home")

    @property
    def api(self) -> Path:
        return self.directory / "my-api"

    @property
    def environment(self) -> dict[str, str]:
        """What their shell has: the environment's commands first, a home with nothing in it."""
        self.home.mkdir(exist_ok=True)
        inherited = {
            name: value
            for name, value in environment().items()
            if not name.startswith(("PYTEST_", "VIRTUAL_ENV", "XDG_", "NO_COLOR"))
        }
        return inherited | {
            "PATH": f"{self.bin}{os.pathsep}{os.defpath}",
            "HOME": str(self.home),
            "RSCONNECT_DISABLE_VERSION_CHECK": "1",
            "UV_CACHE_DIR": uv_cache(),
            "PYTEST_DEBUG_TEMPROOT": str(self.directory.parent),
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Type a command, and wait for its end; standard error is part of `stdout`."""
        return subprocess.run(
            [shutil.which(command[0], path=self.environment["PATH"]) or command[0], *command[1:]],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    def write(self, name: str, text: str) -> None:
        """Save a file at one stroke, by way of another, as editors do."""
        path = self.directory / name
        beside = path.with_name(f".{path.name}.swp")
        beside.write_text(text, "utf-8")
        beside.replace(path)


@dataclass(frozen=True)
class Installed:
    """An environment with the package, and nothing of this project's own."""

    directory: Path

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def files(self) -> list[str]:
        """What is installed below `local_connect/`."""
        (package,) = self.directory.glob("lib/python*/site-packages/local_connect")
        return sorted(
            str(path.relative_to(package.parent))
            for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        )


@pytest.fixture(scope="session")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The built wheel with its extra, and the plugins that it must get on with."""
    directory = _shared(tmp_path_factory)

    def install(python: Path) -> None:
        source = copy_of_checkout(directory / "source-of-wheel")
        uv("build", "--quiet", "--wheel", "--out-dir", str(directory / "dist"), str(source))
        (wheel,) = (directory / "dist").glob("*.whl")
        _pip_install(python, f"{wheel}[pytest]", "pytest-xdist", "pytest-asyncio>=1,<2")

    return _environment(directory / "from-wheel", install)


@pytest.fixture(scope="session")
def from_checkout(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """What `pip install .` installs; and pytest, which is no part of it."""
    directory = _shared(tmp_path_factory)

    def install(python: Path) -> None:
        _pip_install(python, str(copy_of_checkout(directory / "checkout")), "pytest")

    return _environment(directory / "from-checkout", install)


@pytest.fixture
def newcomer(from_wheel: Installed, tmp_path: Path) -> Newcomer:
    return _newcomer(from_wheel, tmp_path)


@pytest.fixture
def sparing_newcomer(from_checkout: Installed, tmp_path: Path) -> Newcomer:
    """One who has neither the extra nor rsconnect."""
    return _newcomer(from_checkout, tmp_path)


def _newcomer(installed: Installed, parent: Path) -> Newcomer:
    newcomer = Newcomer(parent / "work", installed.bin)
    newcomer.api.mkdir(parents=True)
    newcomer.write("my-api/app.py", APP)
    newcomer.write("my-api/requirements.txt", "flask>=3,<4\n")
    return newcomer


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "journeys"
    directory.mkdir(exist_ok=True)
    return directory


def _environment(directory: Path, install: Callable[[Path], None]) -> Installed:
    """An environment, made by the first worker that wants it."""
    complete = directory.with_suffix(".complete")
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            uv("venv", "--python", sys.executable, str(directory))
            install(directory / "bin" / "python")
            complete.touch()
    return Installed(directory)


def _pip_install(python: Path, *packages: str) -> None:
    uv("pip", "install", "--quiet", "--python", str(python), *packages, *MEASURED_BY)
