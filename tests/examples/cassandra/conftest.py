"""The example on a real node, which all tests of the session share; rows are by genus, so each
test has a genus of its own.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.beside import Services
from tests.catalogue import EXAMPLES
from tests.deployed import Content as Deployed
from tests.deployed import Person, server
from tests.examples.cassandra.proxy import Proxy
from tests.servers import LocalConnect
from tests.targets import Content, Target
from tests.targets.environments import environment
from tests.targets.process import Process

__all__ = ["server"]

EXAMPLE = next(example for example in EXAMPLES if "cassandra" in example.services)

#: of the genus that db_initialize fills
PLANTS = 100_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.services("cassandra"))


@pytest.fixture(scope="session")
def python(pytestconfig: pytest.Config) -> Path:
    """An interpreter that has what the example requires."""
    cache = Path(pytestconfig.cache.mkdir("environments"))
    return environment(EXAMPLE.path / "requirements.txt", cache, compiled=True)


class Initialize:
    """The example's `storage.db_initialize`, run as its README says."""

    def __init__(self, python: Path) -> None:
        self.python = python

    def __call__(
        self, variables: Mapping[str, str], *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "storage.db_initialize", *arguments],
            cwd=EXAMPLE.path,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="session")
def initialize(python: Path) -> Initialize:
    return Initialize(python)


@pytest.fixture(scope="session")
def node(services: Services, initialize: Initialize) -> dict[str, str]:
    """Where the node is, with all tables and rows in it."""
    variables = services.variables("cassandra")
    assert services.common
    done = services.common / f"initialized-{variables['CASSANDRA_PORT']}"
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            made = initialize(variables, "--plants", str(PLANTS))
            assert made.returncode == 0, made.stdout + made.stderr
            done.touch()
    return variables


@pytest.fixture(params=["process", "process-oldest", "local-connect"])
def live(
    request: pytest.FixtureRequest,
    targets: dict[str, Target],
    node: dict[str, str],  # noqa: ARG001 (it is there first)
) -> Content:
    """The example on one of the targets that the tests start."""
    return targets[request.param].deploy(EXAMPLE)


@pytest.fixture
def proxy(node: dict[str, str]) -> Iterator[Proxy]:
    proxy = Proxy(int(node["CASSANDRA_PORT"]))
    yield proxy
    proxy.close()


@pytest.fixture
def alone(targets: dict[str, Target]) -> Process:
    target = targets["process"]
    assert isinstance(target, Process)
    return target


@pytest.fixture
def behind(alone: Process, proxy: Proxy) -> Iterator[Content]:
    """The example alone, behind the proxy."""
    content = alone.launch(EXAMPLE, env=proxy.variables)
    yield content
    content.close()


@pytest.fixture(scope="module")
def gateway_proxy(node: dict[str, str]) -> Iterator[Proxy]:
    proxy = Proxy(int(node["CASSANDRA_PORT"]))
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def deployed_once(
    server: LocalConnect, gateway_proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Deployed:
    return deploy(server, tmp_path_factory.mktemp("cassandra"), gateway_proxy.variables)


@pytest.fixture
def deployed(deployed_once: Deployed, gateway_proxy: Proxy) -> Iterator[Deployed]:
    """The example as alice deploys it, connected through a proxy that each test may stop."""
    wait_until_it_answers(deployed_once)
    gateway_proxy.forget()
    yield deployed_once
    gateway_proxy.come_back()


def wait_until_it_answers(content: Deployed) -> None:
    """It finds the database by itself, and soon."""
    deadline = time.monotonic() + 20
    while content.server.get(f"{content.path}animal/Vulpes").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def deploy(server: LocalConnect, directory: Path, variables: Mapping[str, str]) -> Deployed:
    """Deploy a copy of the example with rsconnect, with these variables."""
    copy = Path(
        shutil.copytree(
            EXAMPLE.path,
            directory / EXAMPLE.directory,
            ignore=shutil.ignore_patterns("__pycache__", "rsconnect-python"),
        )
    )
    content = Person(server, "alice", directory / "alice").deploy(
        *("api", "--new", "--entrypoint", EXAMPLE.entrypoint),
        *(option for pattern in EXAMPLE.exclude for option in ("--exclude", pattern)),
        *(option for name in variables for option in ("-E", name)),
        copy,
        environment=variables,
    )
    content.open_to("all")
    return content
