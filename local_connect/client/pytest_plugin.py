"""The pytest plugin: the fixture `local_connect`, a server that lives as long as the session.

It is loaded wherever pytest and this package are installed together, so it imports nothing until
a test asks for the fixture.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from local_connect.client.testing import LocalConnect

_USERS = "TOML file of identities for the fixture local_connect, as local-connect --users takes one"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("local-connect").addoption("--local-connect-users", metavar="FILE", help=_USERS)
    parser.addini("local_connect_users", f"{_USERS}; relative to this file")


@pytest.fixture(scope="session")
def local_connect_options(pytestconfig: pytest.Config) -> Sequence[str]:
    """Options of the `local-connect` that is started; override it to give others."""
    if users := pytestconfig.getoption("local_connect_users"):
        return ("--users", str(pytestconfig.invocation_params.dir / users))
    if users := pytestconfig.getini("local_connect_users"):
        return ("--users", str(_root(pytestconfig) / users))
    return ()


@pytest.fixture(scope="session")
def local_connect(
    pytestconfig: pytest.Config,
    local_connect_options: Sequence[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalConnect]:
    """A Posit Connect-compatible server of this session; `local_connect.deploy(path)` deploys.

    With pytest-xdist each worker has its own.
    """
    from local_connect.errors import LocalConnectError

    try:
        from local_connect.client import testing
    except ModuleNotFoundError as missing:
        pytest.fail(
            f"The fixture local_connect needs {missing.name}: pip install 'local-connect[pytest]'",
            pytrace=False,
        )
    directory = tmp_path_factory.mktemp("local-connect")
    try:
        server = testing.LocalConnect(
            directory, options=local_connect_options, root=_root(pytestconfig)
        )
    except LocalConnectError as error:
        pytest.fail(str(error), pytrace=False)
    with server:
        yield server
    # environments are large, and pytest keeps the directories of three sessions
    shutil.rmtree(directory, ignore_errors=True)


def _root(config: pytest.Config) -> Path:
    """Where paths begin: the directory of the configuration, else where pytest was started."""
    return config.rootpath if config.inipath else config.invocation_params.dir
