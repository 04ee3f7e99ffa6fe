"""The page's sources, for whoever changes them: built, tested, and served while they change."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.examples.react.conftest import REACT
from tests.project.conftest import Checkout

PATIENCE = 120


@pytest.fixture(scope="module")
def npm(
    node: None,  # noqa: ARG001 (it skips where there is none)
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Project":
    copy = tmp_path_factory.mktemp("sources") / REACT.directory
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", "dist", *REACT.exclude)
    shutil.copytree(REACT.path, copy, ignore=ignore)
    project = Project(copy, pytestconfig.cache.mkdir("npm"))
    project.run("ci")
    return project


class Project:
    """A copy of the example, less its build, with what `npm ci` installs."""

    def __init__(self, directory: Path, cache: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "npm_config_cache": str(cache), "NO_COLOR": "1"}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["npm", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_committed_build_is_that_of_the_sources(npm: Project) -> None:
    npm.run("run", "build")
    built = files(npm.directory / "static" / "dist")
    committed = files(REACT.path / "static" / "dist")
    assert set(built) == set(committed), "npm run build, and commit static/dist"
    changed = [name for name in built if built[name] != committed[name]]
    assert changed == [], "npm run build, and commit static/dist"


def test_the_components(npm: Project) -> None:
    assert "passed" in npm.run("test")


def test_the_lock_file_names_no_host() -> None:
    assert "resolved" not in (REACT.path / "package-lock.json").read_text("utf-8")


def test_flask_and_vite_side_by_side(npm: Project, checkout: Checkout) -> None:
    """As `make run-flask-react-example` runs them: both reload what changes, and end together."""
    example = checkout.directory / REACT.directory
    shutil.copytree(npm.directory / "node_modules", example / "node_modules", copy_function=os.link)
    with running(checkout, npm) as url:
        eventually(f"{url}/", "<title>Companies and their earnings</title>")
        eventually(f"{url}/api_1_0/user", '"developer"')
        eventually(f"{url}/App.jsx", "Signed in as")

        change(example / "src" / "App.jsx", "Signed in as", "Welcome,")
        eventually(f"{url}/App.jsx", "Welcome,")
        change(example / "companies" / "api_1_0.py", '{"name": current_user.id}', '{"name": "me"}')
        eventually(f"{url}/api_1_0/user", '"me"')


@contextmanager
def running(checkout: Checkout, npm: Project) -> Iterator[str]:
    """The address of the page; at the end Ctrl-C on the terminal, and nothing may be left."""
    flask, vite = free_ports()
    process = subprocess.Popen(
        ["make", f"run-{REACT.directory}"],
        cwd=checkout.directory,
        env={
            **checkout.environment,
            "npm_config_cache": npm.environment["npm_config_cache"],
            "FLASK_RUN_PORT": str(flask),
            "VITE_PORT": str(vite),
        },
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{vite}"
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
        for port in (flask, vite):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port)).close()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def eventually(url: str, words: str) -> None:
    """The address answers with these words, sooner or later."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            said = httpx.get(url, trust_env=False).text
        except httpx.TransportError as error:
            said = str(error)
        if words in said:
            return
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
