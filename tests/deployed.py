"""One server for all tests that do not need their own, and people who deploy to it.

Each test deploys content of its own, or to the session's `published`, which it leaves as it was.
"""

import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect, running_server

ECHO = Path(__file__).with_name("echo")


@dataclass(frozen=True)
class Person:
    """A user with a machine of their own, and rsconnect on it."""

    server: LocalConnect
    name: str
    home: Path

    def rsconnect(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run rsconnect with the person's key and the server's address in its environment."""
        return rsconnect(
            *arguments,
            home=self.home,
            environment={
                "CONNECT_SERVER": self.server.url,
                "CONNECT_API_KEY": self.server.users[self.name].api_key,
                **(environment or {}),
            },
            directory=directory,
        )

    def deploy(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> "Content":
        """Run `rsconnect deploy` with these arguments; the content that it says is there now."""
        done = self.rsconnect("deploy", *arguments, "--quiet", environment=environment)
        assert done.returncode == 0, done.stderr
        return content_at(self.server, done.stdout.strip())


@dataclass(frozen=True)
class Content:
    """A content item of one server. Every property asks the server."""

    server: LocalConnect
    guid: str

    @property
    def path(self) -> str:
        return f"/content/{self.guid}/"

    @property
    def api(self) -> str:
        return f"/__api__/v1/content/{self.guid}"

    @property
    def item(self) -> dict[str, Any]:
        item: dict[str, Any] = self._json(self.api)
        return item

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """Newest first."""
        jobs: list[dict[str, Any]] = self._json(f"{self.api}/jobs")
        return jobs

    @property
    def bundles(self) -> list[dict[str, Any]]:
        """Newest first."""
        bundles: list[dict[str, Any]] = self._json(f"{self.api}/bundles")
        return bundles

    def echo(self, path: str = "", *, user: str | None = "alice", **options: Any) -> Any:
        """What the echoing app says that it got."""
        return self._json(self.path + path, user=user, **options)

    @property
    def version(self) -> str:
        return str(self.echo()["version"])

    def open_to(self, access_type: str) -> None:
        self.server.request("PATCH", self.api, json={"access_type": access_type}).raise_for_status()

    def _json(self, path: str, *, user: str | None = "admin", **options: Any) -> Any:
        return self.server.get(path, user=user, **options).raise_for_status().json()


def content_at(server: LocalConnect, url: str) -> Content:
    start = f"{server.url}/content/"
    assert url.startswith(start)
    assert url.endswith("/")
    return Content(server, url.removeprefix(start).rstrip("/"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def alice(server: LocalConnect, tmp_path: Path) -> Person:
    """A publisher."""
    return Person(server, "alice", tmp_path / "alice")


@pytest.fixture
def bob(server: LocalConnect, tmp_path: Path) -> Person:
    """A viewer."""
    return Person(server, "bob", tmp_path / "bob")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A directory that holds the echoing app, by a name that no other content has."""
    return copy_of_echo(tmp_path)


def copy_of_echo(parent: Path) -> Path:
    copy = parent / f"echo-{uuid.uuid4().hex[:12]}"
    return Path(shutil.copytree(ECHO, copy, ignore=shutil.ignore_patterns("__pycache__")))


def deploy_echo(server: LocalConnect, directory: Path) -> Content:
    """The echoing app as alice deploys it with rsconnect."""
    alice = Person(server, "alice", directory / "alice")
    return alice.deploy("api", "--entrypoint", "app:app", copy_of_echo(directory))


@pytest.fixture(scope="session")
def published(server: LocalConnect, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The echoing app as alice deployed it at the beginning. No test changes it."""
    return deploy_echo(server, tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def visited(server: LocalConnect, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The echoing app, open to everyone unless a test says otherwise for itself."""
    content = deploy_echo(server, tmp_path_factory.mktemp("visited"))
    content.open_to("all")
    return content


class Unharmed:
    """Deploys what must be refused to content that is live, and looks at it afterwards."""

    def __init__(self, content: Content) -> None:
        self.content = content

    def refused(self, person: Person, *arguments: str | Path, traceback: bool = False) -> str:
        """What rsconnect says of a deployment that fails. A traceback is the app's, if at all."""
        before = self.content.item
        done = person.rsconnect("deploy", *arguments, "--app-id", self.content.guid)
        said = done.stdout + done.stderr
        assert done.returncode == 1, said
        assert ("Traceback" in said) == traceback, said
        assert not [line for line in said.splitlines() if from_our_code(line)], said
        assert self.content.item == before
        assert self.content.version == "one"
        assert_recorded(self.content.server)
        return said


@pytest.fixture
def live(published: Content) -> Unharmed:
    return Unharmed(published)


def from_our_code(line: str) -> bool:
    """Whether it is a line of a traceback in the code of the server or of rsconnect."""
    return line.lstrip().startswith("File ") and (
        "/local_connect/" in line or "/rsconnect/" in line
    )


def assert_recorded(server: LocalConnect) -> None:
    """What lies in the data directory is what the API knows of, and nothing half done."""
    everything = server.get("/__api__/v1/content", user="admin").json()
    recorded = {
        bundle["id"] for item in everything for bundle in Content(server, item["guid"]).bundles
    }
    assert {directory.name for directory in (server.data / "bundles").iterdir()} == recorded
    for environment in (server.data / "environments").iterdir():
        assert (environment / "bin" / "python").exists()
        assert (environment / "complete.json").exists()
