"""`Watch` reports each kind of fault of a page, and nothing for a page without one."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Route

from tests.browser.watch import Watch

ORIGIN = "https://good.test"


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A context in which every address answers, and nothing leaves the browser."""
    context = chromium.new_context()
    context.route("**/*", answer)
    yield context
    context.close()


def answer(route: Route) -> None:
    status = {"missing": 404, "broken": 500}.get(route.request.url.rpartition("/")[2], 200)
    if route.request.url.endswith("/lost"):
        route.abort()
    else:
        route.fulfill(status=status, content_type="text/plain", body="")


def watched(context: BrowserContext, markup: str, *expected: tuple[int, str]) -> list[str]:
    """The verdict on a page."""
    watch = Watch(context, ORIGIN)
    for status, url in expected:
        watch.expect(status, url)
    html = f'<!doctype html><link rel="icon" href="data:,"><title>page</title>{markup}'
    context.route(f"{ORIGIN}/", lambda route: route.fulfill(content_type="text/html", body=html))
    page = context.new_page()
    page.goto(f"{ORIGIN}/")
    page.wait_for_load_state("networkidle")
    page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert watch.requested[0] == f"{ORIGIN}/"
    return watch.verdict()


#: what may be wrong -> the complaint of it
WRONG = {
    '<img src="https://elsewhere.test/image">': "request to elsewhere: https://elsewhere.test/i",
    '<script src="https://good.test:444/x"></script>': "request to elsewhere: https://good.test:444",
    '<script>new WebSocket("wss://else.test/")</script>': "request to elsewhere: https://else.test/",
    '<script>fetch("http://good.test/x").catch(() => 0)</script>': "console error: Mixed Content",
    '<img src="/missing">': f"404 of {ORIGIN}/missing",
    '<script>fetch("/broken")</script>': f"500 of {ORIGIN}/broken",
    '<img src="/lost">': f"failed request: {ORIGIN}/lost",
    '<script>console.log("said")</script>': "console log: said",
    '<script>console.warn("said")</script>': "console warning: said",
    '<script>console.error("Error: said")</script>': "console error: Error: said",
    "<script>nowhere()</script>": "uncaught: nowhere is not defined",
    '<script>Promise.reject(new Error("thrown"))</script>': "uncaught: thrown",
}

MISSING = (404, f"{ORIGIN}/missing")


def test_all_that_is_wrong(context: BrowserContext) -> None:
    verdict = watched(context, "".join(WRONG))
    unseen = [
        complaint
        for complaint in WRONG.values()
        if not any(said.startswith(complaint) for said in verdict)
    ]
    assert unseen == [], verdict


def test_nothing_is_wrong(context: BrowserContext) -> None:
    markup = '<img src="/image"><script>fetch("/data").then(data => data.text())</script>'
    assert watched(context, f'{markup}<img src="/missing">', MISSING) == []


def test_an_expected_error_does_not_come(context: BrowserContext) -> None:
    assert watched(context, "", MISSING) == [f"no 404 of {ORIGIN}/missing"]
