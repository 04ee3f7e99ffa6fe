"""Each example's pages in a real browser, as its framework makes them.

Whatever a test does, the browser has nothing to complain of and goes nowhere else.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Place
from tests.browser.swagger import try_out
from tests.catalogue import GREETINGS
from tests.targets import BOB

UNKNOWN = "tlh"


@pytest.fixture(autouse=True)
def nothing_to_complain_of(place: Place) -> Iterator[None]:
    yield
    for page in place.context.pages:
        page.wait_for_load_state("networkidle")
    assert place.watch.verdict() == []
    assert any(url.startswith(place.url) for url in place.watch.requested)


def shows_no_other_address(page: Page, place: Place) -> None:
    """Every address of this host in what the page shows is that of the place, scheme and all."""
    host = place.watch.origin.partition("://")[2]
    shown = re.findall(rf"\w+://{re.escape(host)}[^\s'\"]*", page.inner_text("body"))
    assert shown, "no address at all"
    for address in shown:
        assert address.startswith(place.url.rstrip("/"))


# Swagger UI


def execute(block: Locator, url: str, status: int, *texts: str) -> None:
    """Press Execute; the page then shows this status and these texts, which came from `url`."""
    with block.page.expect_response(url) as answer:
        block.get_by_role("button", name="Execute").click()
    assert answer.value.status == status
    live = block.locator(".live-responses-table .response")
    expect(live.locator(".response-col_status")).to_contain_text(str(status))
    for text in texts:
        expect(live.locator("pre").first).to_contain_text(text)
    expect(block.locator(".request-url")).to_contain_text(url)
    expect(block.locator(".curl")).to_contain_text(url)


@pytest.mark.needs("console", "spec", "list", "item")
def test_try_it_out(place: Place) -> None:
    example = place.example
    assert example.list is not None
    assert example.item is not None
    page = place.open()
    expect(page).to_have_url(f"{place.url}{example.console}")

    block = try_out(page, example.list)
    execute(block, place.url + example.list, 200, *GREETINGS.values())

    block = try_out(page, example.item)
    lang_field = block.get_by_placeholder("lang")
    for lang, text in GREETINGS.items():
        lang_field.fill(lang)
        execute(block, place.url + example.item.format(lang=lang), 200, text)

    url = place.url + example.item.format(lang=UNKNOWN)
    lang_field.fill(UNKNOWN)
    place.watch.expect(404, url)
    execute(block, url, 404, f"There is no greeting in '{UNKNOWN}'.")
    documented = block.locator(".responses-table:not(.live-responses-table) .response")
    expect(documented.filter(has_text="404")).to_contain_text("No greeting in this language")
    shows_no_other_address(page, place)


# Flask-API


@pytest.mark.needs("browsable", "list", "item")
def test_every_resource_is_a_page(place: Place) -> None:
    example = place.example
    page = place.open()
    for path in example.paths:
        url = place.url + path
        page.goto(url)
        expect(page.locator(".request-info")).to_have_text(f"GET {url}")
        expect(page.locator(".response-info")).to_contain_text("HTTP 200 OK")
        shows_no_other_address(page, place)

        with page.expect_navigation(url=url):
            page.get_by_role("link", name="GET").click()
        for choice in ("json", "html"):
            page.locator(".format-selection .dropdown-toggle").click()
            with page.expect_navigation() as followed:
                page.locator(".dropdown-menu").get_by_text(choice).click()
            assert followed.value is not None
            assert followed.value.ok
            assert followed.value.headers["content-type"].partition(";")[0].endswith(choice)
            if choice == "json":
                shown = followed.value.json()
                page.go_back()
        assert page.evaluate(FETCH, url) == ["application/json", shown]

    page.goto(place.url + str(example.list))
    for lang, text in GREETINGS.items():
        expect(page.locator(".response-info")).to_contain_text(f'"lang": "{lang}"')
        expect(page.locator(".response-info")).to_contain_text(f'"text": "{text}"')
    url = place.url + str(example.item).format(lang=UNKNOWN)
    place.watch.expect(404, url)
    page.goto(url)
    expect(page.locator(".response-info")).to_contain_text("HTTP 404 NOT FOUND")
    expect(page.locator(".response-info")).to_contain_text(f"There is no greeting in '{UNKNOWN}'.")


#: what a program gets that does not ask for a page
FETCH = """async url => {
  const answer = await fetch(url, {headers: {Accept: "*/*"}});
  return [answer.headers.get("Content-Type"), await answer.json()];
}"""


# the viewer


@pytest.mark.needs("hello")
def test_the_viewer_is_greeted_at_the_root(place: Place) -> None:
    page = place.open()
    expect(page).to_have_url(f"{place.url}{place.example.hello}")
    expect(page.locator("body")).to_contain_text(f"So nice to see you, {BOB.name}.")
