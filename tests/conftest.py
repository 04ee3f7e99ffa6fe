"""One contract, every example, every target.

A test that asks for `content` runs once for each target, example and viewer; one that asks for
`example`, once for each example; one that asks for `process`, wherever a test can start a process
of its own making. The marks narrow it:

`needs("list", "item")`: only examples that have these in gallery.toml;
`plays_connect(True)`: only targets where the test itself plays Connect, or only the others.

A test that asks for `playwright` needs a browser on the machine.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, sync_playwright

from tests import browsers
from tests.catalogue import EXAMPLES
from tests.targets import TARGETS, Content, Target
from tests.targets.process import Process


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target",
        action="append",
        choices=sorted(TARGETS),
        help="where to test the examples; may be repeated; every target by default",
    )
    parser.addoption(
        "--require-browser",
        action="store_true",
        help="fail where neither Chromium nor Chrome is installed",
    )


def pytest_configure(config: pytest.Config) -> None:
    for mark in (
        "needs(*names): only examples that have all these in gallery.toml",
        "plays_connect(bool): only targets where the test sets Connect's headers, or only the rest",
    ):
        config.addinivalue_line("markers", mark)
    if config.getoption("require_browser") and not browsers.CHROMIUM:
        raise pytest.UsageError("--require-browser: neither Chromium nor Chrome is installed.")


def pytest_runtest_setup(item: pytest.Item) -> None:
    # here, before any fixture, so that the summary has one line for all of them
    if "playwright" in getattr(item, "fixturenames", ()) and not browsers.CHROMIUM:
        pytest.skip("neither Chromium nor Chrome is installed, so no page was opened in a browser")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    needs = [name for mark in metafunc.definition.iter_markers("needs") for name in mark.args]
    examples = [example for example in EXAMPLES if example.has(*needs)]
    targets = metafunc.config.getoption("target") or list(TARGETS)

    if "content" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("plays_connect")
        places = {
            f"{target}-{example.directory}-{viewer.name if viewer else 'nobody'}": (
                target,
                example,
                viewer,
            )
            for target in targets
            for example in examples
            for viewer in TARGETS[target].viewers
            if mark is None or TARGETS[target].plays_connect == mark.args[0]
        }
        metafunc.parametrize("content", places.values(), ids=places, indirect=True)
    if "process" in metafunc.fixturenames:
        names = [target for target in targets if issubclass(TARGETS[target], Process)]
        metafunc.parametrize("process", names, indirect=True)
    if "example" in metafunc.fixturenames:
        metafunc.parametrize("example", examples, ids=[example.directory for example in examples])


@pytest.fixture(scope="session")
def targets(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Target]]:
    cache = Path(request.config.cache.mkdir("environments"))
    targets = {
        name: target(cache=cache, scratch=tmp_path_factory.mktemp(name))
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
    return targets[name].deploy(example).seen_by(viewer)


@pytest.fixture
def process(request: pytest.FixtureRequest, targets: dict[str, Target]) -> Process:
    """A target that starts a process of the test's own making."""
    target = targets[request.param]
    assert isinstance(target, Process)
    return target
