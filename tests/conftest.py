"""One contract, every example, every target.

A test that asks for `content` runs once for each target, example and viewer; one that asks for
`example`, once for each example; one that asks for `process`, wherever a test can start a process
of its own making. The marks narrow it:

`needs("list", "item")`: only examples that have these in gallery.toml;
`plays_connect(True)`: only targets where the test itself plays Connect, or only the others;
`only_target("local-connect")`: only that one, where the others would show the same;
`one_viewer`: only the first viewer of each target, where it makes no difference who asks.

A test that is left with no target, or with no example, is not run. One that asks for `playwright`
needs a browser on the machine; one of an example, the services that the example stands on, and so
does one that is marked `services("valkey")`.
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from scripts.services import missing
from tests import browsers, catalogue, node
from tests.beside import Services
from tests.fuzz.profiles import pytest_terminal_summary
from tests.progress import Plugin
from tests.targets import TARGETS, Content, Target
from tests.targets.base import NotDeployedError
from tests.targets.process import Process

__all__ = ["pytest_terminal_summary"]

#: fixtures that the tests of several packages share
pytest_plugins = ["tests.deployed", "tests.newcomers", "tests.not_run", "tests.stores"]

#: stands for the targets or examples of a test that has none
NOWHERE = [None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target",
        action="append",
        choices=sorted(TARGETS),
        help="where to test the examples; may be repeated; by default all but connect",
    )
    parser.addoption(
        "--catalogue",
        type=Path,
        default=catalogue.FILE,
        metavar="FILE",
        help="the list of the examples, which are beside it; by default gallery.toml",
    )
    parser.addoption(
        "--connect-server",
        default="",
        metavar="NAME",
        help="the server of --target connect, as rsconnect saved it; "
        "by default that of CONNECT_SERVER and CONNECT_API_KEY",
    )
    parser.addoption(
        "--require-all",
        action="store_true",
        help="fail where a browser, Node.js or a service of an example is missing, and for every "
        "skip that tests/not_run.py does not allow",
    )
    parser.addoption(
        "--progress",
        action="store_true",
        help="in place of dots, how far it is and about how long it takes yet",
    )


def pytest_configure(config: pytest.Config) -> None:
    for mark in (
        "needs(*names): only examples that have all these in gallery.toml",
        "plays_connect(bool): only targets where the test sets Connect's headers, or only the rest",
        "only_target(name): only that target",
        "one_viewer: only the first viewer of each target",
        "services(*names): needs these, which are modules of scripts/services",
        "quick: starts nothing, and takes milliseconds",
    ):
        config.addinivalue_line("markers", mark)
    if config.getoption("progress") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Plugin(config), "progress")
    if config.getoption("require_all"):
        listed = catalogue.load(config.getoption("catalogue"))
        names = dict.fromkeys(name for example in listed for name in example.services)
        reasons = [reason for reason in map(unavailable, names) if reason]
        reasons += filter(None, (browsers.missing(), node.missing()))
        if reasons:
            raise pytest.UsageError(f"--require-all: {' '.join(reasons)}")


#: of a service, asked once
unavailable = cache(missing)


def pytest_runtest_setup(item: pytest.Item) -> None:
    # here, before any fixture, so that the summary has one line for all of them
    if "playwright" in getattr(item, "fixturenames", ()) and (reason := browsers.missing()):
        pytest.skip(reason)
    for name in services_of(item):
        if reason := unavailable(name):
            pytest.skip(reason)


def services_of(item: pytest.Item) -> list[str]:
    """What the test's examples stand on, and what its marks name."""
    names = [name for mark in item.iter_markers("services") for name in mark.args]
    callspec = getattr(item, "callspec", None)
    starts_them = "services" in getattr(item, "fixturenames", ())
    for value in callspec.params.values() if callspec and starts_them else ():
        # that of `content` is an example among other things
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, catalogue.Example):
                names += part.services
    return names


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    needs = [name for mark in metafunc.definition.iter_markers("needs") for name in mark.args]
    listed = catalogue.load(metafunc.config.getoption("catalogue"))
    examples = [example for example in listed if example.has(*needs)]
    targets = metafunc.config.getoption("target") or [
        name for name, target in TARGETS.items() if target.by_default
    ]

    if only := metafunc.definition.get_closest_marker("only_target"):
        targets = [name for name in targets if name in only.args]

    if "content" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("plays_connect")
        first = 1 if metafunc.definition.get_closest_marker("one_viewer") else None
        places = {
            f"{target}-{example.directory}-{viewer.name if viewer else 'nobody'}": (
                target,
                example,
                viewer,
            )
            for target in targets
            for example in examples
            for viewer in TARGETS[target].viewers[:first]
            # what acts for its visitors is not for those who are not signed in
            if viewer or not example.integrations
            if mark is None or TARGETS[target].plays_connect == mark.args[0]
        }
        metafunc.parametrize("content", places.values() or NOWHERE, ids=places, indirect=True)
    if "process" in metafunc.fixturenames:
        names = [target for target in targets if issubclass(TARGETS[target], Process)]
        metafunc.parametrize("process", names or NOWHERE, indirect=True)
    if "example" in metafunc.fixturenames:
        names = [example.directory for example in examples]
        metafunc.parametrize("example", examples or NOWHERE, ids=names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def runs_nowhere(item: pytest.Item) -> bool:
        callspec = getattr(item, "callspec", None)
        return callspec is not None and any(
            callspec.params.get(name, name) in NOWHERE for name in ("content", "process", "example")
        )

    config.hook.pytest_deselected(items=[item for item in items if runs_nowhere(item)])
    items[:] = [item for item in items if not runs_nowhere(item)]
    items.sort(key=place_of)


def place_of(item: pytest.Item) -> tuple[str, ...]:
    """Sorts the tests of a directory by the target and the example that they are of.

    Each worker of pytest-xdist gets some that follow each other, and has to deploy few examples.
    """
    package, *_ = item.path.relative_to(Path(__file__).parent).parts
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec else {}
    target, example, _ = params.get("content", (params.get("process"), params.get("example"), None))
    return package, target or "", example.directory if example else ""


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    base = tmp_path_factory.getbasetemp()
    # the workers of pytest-xdist have directories of their own beside each other
    services = Services(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
    yield services
    services.close()


@pytest.fixture(scope="session")
def targets(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, services: Services
) -> Iterator[dict[str, Target]]:
    cache = Path(request.config.cache.mkdir("environments"))
    saved_server = request.config.getoption("connect_server")
    targets = {
        name: target(
            cache=cache,
            scratch=tmp_path_factory.mktemp(name),
            saved_server=saved_server,
            services=services,
        )
        for name, target in TARGETS.items()
    }
    yield targets
    for target in targets.values():
        target.close()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """No longer than a module, because asyncio cannot be used beside it."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture
def content(request: pytest.FixtureRequest, targets: dict[str, Target]) -> Content:
    """One example, live on one target, seen by one viewer."""
    name, example, viewer = request.param
    try:
        deployed = targets[name].deploy(example)
    except NotDeployedError as error:
        pytest.fail(str(error), pytrace=False)
    return deployed.seen_by(viewer)


@pytest.fixture
def process(request: pytest.FixtureRequest, targets: dict[str, Target]) -> Process:
    """A target that starts a process of the test's own making."""
    target = targets[request.param]
    assert isinstance(target, Process)
    return target
