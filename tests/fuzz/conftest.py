"""One site for all fuzz tests of a session, and the number of their inputs."""

from collections.abc import Generator, Iterator

import pytest

from tests.deployed import from_our_code
from tests.fuzz.profiles import JUDGED
from tests.fuzz.site import Site, running_site
from tests.fuzz.uploads import Uploads, uploads_to


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("fuzz")) as site:
        yield site
        # whatever it was sent, it is there, and none of it was a surprise
        assert site.server.running
        surprises = [line for line in site.server.output.splitlines() if from_our_code(line)]
        assert not surprises, site.server.output


@pytest.fixture(scope="session")
def uploads(site: Site) -> Iterator[Uploads]:
    with uploads_to(site) as uploads:
        yield uploads


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    before = JUDGED.total()
    yield
    if judged := JUDGED.total() - before:
        item.user_properties.append(("inputs", judged))
