"""A server with content of alice's, and browsers that look at its dashboard."""

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.browsers import PATIENCE, launched
from tests.deployed import Content
from tests.publishing import publish
from tests.servers import LocalConnect, running_server

HOME = "/connect/"

#: answers who is asking, and says so in its log too
SOURCE = """
import json, os, time


def app(environ, start_response):
    credentials = json.loads(environ.get("HTTP_RSTUDIO_CONNECT_CREDENTIALS", "{}"))
    who = credentials.get("user")
    print(f"asked by {who}")
    answer = {"who": who, "colour": os.environ.get("COLOUR")}
    if environ["PATH_INFO"] == "/moved":
        start_response("302 Found", [("Location", environ["SCRIPT_NAME"] + "/there")])
        return []
    if environ["PATH_INFO"] == "/round":
        start_response("302 Found", [("Location", environ["SCRIPT_NAME"] + "/round")])
        return []
    if environ["PATH_INFO"] == "/page":
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"."]
    if environ["PATH_INFO"] == "/pieces":
        return in_pieces(start_response)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def in_pieces(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first, "
    time.sleep(0.2)
    yield b"second"
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    with running_server(tmp_path_factory.mktemp("dashboard") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def shared(server: LocalConnect) -> Content:
    """Content that is open to everyone. No test changes it."""
    return publish(server, SOURCE, title="Shared <b>with</b> all")


@pytest.fixture
def own(server: LocalConnect) -> Content:
    """Content of alice's, for her alone, that the test may do with as it likes."""
    title = f"Alice's own, {uuid.uuid4().hex[:8]}"
    return publish(server, SOURCE, title=title, access_type="acl")


@pytest.fixture(scope="module")
def chromium(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with launched(playwright, home=tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def context(chromium: Browser, server: LocalConnect) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=server.url)
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page of nobody's. What goes wrong in it fails the test."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"{page.url}: {error}"))
    return page


def address(content: Content) -> str:
    """Where the dashboard shows it."""
    return f"{HOME}apps/{content.guid}/"


def view_as(page: Page, name: str) -> None:
    """Choose an identity in the menu that every page has."""
    page.locator(".menu summary").click()
    page.locator(".menu").get_by_role("button", name=name).click()
    expect(page.locator(".menu summary")).to_contain_text(f"as {name.lower()}")


def open_as(page: Page, name: str, path: str = HOME) -> None:
    page.goto(HOME)
    view_as(page, name)
    if path != HOME:
        page.goto(path)
