"""The examples as people meet them: in a browser, signed in, by each kind of address."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.beside import Services
from tests.browser.watch import Watch
from tests.browsers import PATIENCE, launched
from tests.catalogue import Example
from tests.gateway.certificate import Certificate, terminated
from tests.targets import BOB, Target
from tests.targets.local_connect import DeployedContent, LocalConnect

#: leads to the proxy that ends TLS, in the browser only
NAME = "connect.test"


@dataclass(frozen=True)
class Place:
    """An example at one address. `url` is where it is mounted, with a slash at the end."""

    example: Example
    url: str
    context: BrowserContext
    watch: Watch

    def open(self) -> Page:
        """Go to where it is mounted, as a person who is led to sign in and comes back as Bob."""
        page = self.context.new_page()
        page.goto(self.url)
        expect(page.get_by_role("heading")).to_have_text("Who is visiting?")
        with page.expect_navigation(url=f"{self.url}**"):
            page.get_by_role("button", name=BOB.name).click()
        return page


@pytest.fixture(scope="module")
def behind_tls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, services: Services
) -> Iterator[LocalConnect]:
    """A local Connect that goes by an external address; `chromium` comes to it through TLS."""
    target = LocalConnect(
        cache=Path(request.config.cache.mkdir("environments")),
        scratch=tmp_path_factory.mktemp("behind-tls"),
        services=services,
        options=("--external-url", f"https://{NAME}"),
    )
    yield target
    target.close()


@pytest.fixture(scope="module")
def chromium(
    playwright: Playwright, behind_tls: LocalConnect, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    directory = tmp_path_factory.mktemp("chromium")
    certificate = Certificate(directory, NAME)
    port = urlsplit(behind_tls.server.url).port or 0
    with (
        terminated(certificate, port) as tls_port,
        launched(playwright, home=directory, hosts={NAME: f"127.0.0.1:{tls_port}"}) as browser,
    ):
        yield browser


@pytest.fixture(params=["content", "vanity-behind-tls"])
def place(
    request: pytest.FixtureRequest,
    chromium: Browser,
    behind_tls: LocalConnect,
    targets: dict[str, Target],
    example: Example,
) -> Iterator[Place]:
    """By its GUID on the server itself, and by a path of its own through a proxy that ends TLS."""
    target = targets[LocalConnect.name] if request.param == "content" else behind_tls
    content = target.deploy(example)
    assert isinstance(content, DeployedContent)
    with ExitStack() as stack:
        # other tests come to the same content as nobody
        stack.callback(content.open_to, "all")
        content.open_to("logged_in")
        url = content.url
        if target is behind_tls:
            url = stack.enter_context(content.at(f"/{example.directory}-here/"))
        context = chromium.new_context(ignore_https_errors=True)
        stack.callback(context.close)
        context.set_default_timeout(PATIENCE)
        origin = "://".join(urlsplit(url)[:2])
        yield Place(example, url, context, Watch(context, origin))
