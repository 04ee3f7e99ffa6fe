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

#: options of the server that are the plugin's, too, and what each names
_OPTIONS = {
    "users": ("FILE", "TOML file of identities"),
    "seed": ("DIR", "directory of what the server begins with"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("local-connect")
    for name, (metavar, what) in _OPTIONS.items():
        says = f"{what} for the fixture local_connect, as local-connect --{name} takes one"
        group.addoption(f"--local-connect-{name}", metavar=metavar, help=says)
        parser.addini(f"local_connect_{name}", f"{says}; relative to this file")


@pytest.fixture(scope="session")
def local_connect_options(pytestconfig: pytest.Config) -> Sequence[str]:
    """Options of the `local-connect` that is started; override it to give others."""
    options: list[str] = []
    for name in _OPTIONS:
        if path := pytestconfig.getoption(f"local_connect_{name}"):
            options += (f"--{name}", str(pytestconfig.invocation_params.dir / path))
        elif path := pytestconfig.getini(f"local_connect_{name}"):
            options += (f"--{name}", str(_root(pytestconfig) / path))
    return options


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
