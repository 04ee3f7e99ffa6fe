"""The page in a real browser: at each kind of address, as alice and as nobody, and in every state.

Whatever a test does, the browser has nothing to complain of and goes nowhere else.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.browser.watch import Watch
from tests.browsers import PATIENCE
from tests.examples.react.conftest import REACT
from tests.targets import ALICE, Target
from tests.targets.local_connect import DeployedContent, LocalConnect

REPORTS = json.loads((REACT.path / "companies.json").read_text("utf-8"))["DATA"]

#: a phone's width; and that of an ordinary window at 400 %
NARROW = 320

#: CSS pixels by which a bar may differ from its number
TOLERANCE = 1


@dataclass
class Visit:
    """The example at one address, in a browser of nobody's. `url` ends with a slash."""

    url: str
    context: BrowserContext
    watch: Watch

    def open(self, query: str = "") -> Page:
        page = self.context.new_page()
        page.goto(self.url + query)
        return page

    def answers(self, path: str, status: int = 200, **options: Any) -> None:
        """From now on the API answers so, in the browser only."""
        if status >= 400:
            self.watch.expect(status, f"{self.url}api_1_0/{path}")
        self.context.route(
            f"{self.url}api_1_0/{path}",
            lambda route: route.fulfill(status=status, **options),
        )


@pytest.fixture(scope="module")
def deployed(targets: dict[str, Target]) -> DeployedContent:
    content = targets[LocalConnect.name].deploy(REACT)
    assert isinstance(content, DeployedContent)
    return content


@pytest.fixture
def visits(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens the browser to the page; nothing may have gone wrong at the end."""
    made = []
    with ExitStack() as stack:

        def visit(url: str, **options: Any) -> Visit:
            context = chromium.new_context(ignore_https_errors=True, **options)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE)
            made.append(Visit(url, context, Watch(context, "://".join(urlsplit(url)[:2]))))
            return made[-1]

        yield visit
        for visited in made:
            for page in visited.context.pages:
                page.wait_for_load_state("networkidle")
            assert visited.watch.verdict() == []


@pytest.fixture
def as_alice(visits: Callable[..., Visit], deployed: DeployedContent) -> Callable[..., Visit]:
    """Opens the browser to the page below its GUID, as alice."""

    def visit(**options: Any) -> Visit:
        key = deployed.server.users[ALICE.name].api_key
        headers = {"Authorization": f"Key {key}"}
        return visits(deployed.url, extra_http_headers=headers, **options)

    return visit


def accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def chooser(page: Page, name: str) -> Locator:
    return page.get_by_role("combobox", name=name)


def quarters(page: Page) -> Locator:
    return page.get_by_role("img", name=re.compile("the quarters of"))


def numbers(page: Page, year: str) -> list[float]:
    """The quarters of a year, as the table has them."""
    cells = page.get_by_role("row", name=year).get_by_role("cell").all_inner_texts()
    return [float(cell.replace(",", "")) for cell in cells[:4]]


def heights(page: Page) -> list[float]:
    """How far each bar goes up, or down, in CSS pixels of the chart."""
    bars = quarters(page).locator("path").all()
    # where nothing is: one end of each bar
    ends = [{box["y"], box["y"] + box["height"]} for bar in bars if (box := bar.bounding_box())]
    assert len(ends) == 4
    (zero,) = {round(y) for y in ends[0] if all(min(abs(y - e) for e in end) < 1 for end in ends)}
    return [max((zero - y for y in end), key=abs) for end in ends]


def bars_have_the_datas_heights(page: Page, year: str) -> None:
    amounts = numbers(page, year)
    scale = max(heights(page), key=abs) / max(amounts, key=abs)
    assert scale > 0
    for height, amount in zip(heights(page), amounts, strict=True):
        assert height == pytest.approx(amount * scale, abs=TOLERANCE)


@pytest.mark.parametrize("address", ["content", "vanity-behind-tls"])
def test_nobody_signs_in_and_sees_the_charts(
    address: str,
    visits: Callable[..., Visit],
    deployed: DeployedContent,
    behind_tls: LocalConnect,
) -> None:
    with ExitStack() as stack:
        url = deployed.url
        if address == "vanity-behind-tls":
            content = behind_tls.deploy(REACT)
            assert isinstance(content, DeployedContent)
            url = stack.enter_context(content.at("/earnings/"))
        visit = visits(url)
        visit.watch.expect(401, f"{url}api_1_0/user")

        page = visit.open()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("You are not signed in.")
        accessible(page)
        link = alert.get_by_role("link", name="Sign in to Connect")
        expect(link).to_have_attribute("href", f"{visit.watch.origin}/connect/")
        page.goto(f"{visit.watch.origin}/__login__")
        with page.expect_navigation():
            page.get_by_role("button", name=ALICE.name).click()

        page.goto(url)
        expect(page.get_by_text("Signed in as alice")).to_be_visible()
        expect(quarters(page)).to_be_visible()
        chooser(page, "Company").select_option("Stark Industries")
        expect(quarters(page)).to_have_accessible_name("Stark Industries, the quarters of 2018")
        chooser(page, "Year").select_option("2017")
        bars_have_the_datas_heights(page, "2017")
        accessible(page)
        page.get_by_role("link", name="The API behind this page").click()
        expect(page.locator(".opblock").first).to_be_visible()
        assert page.url.startswith(f"{url}api_1_0/")


def test_every_bar_has_its_numbers_height(as_alice: Callable[..., Visit]) -> None:
    page = as_alice().open()
    expect(quarters(page)).to_be_visible()
    companies = chooser(page, "Company")
    seen = 0
    for company in companies.locator("option").all_inner_texts():
        companies.select_option(company)
        expect(quarters(page)).to_have_accessible_name(re.compile(f"^{company}"))
        years = chooser(page, "Year")
        for year in years.locator("option").all_inner_texts():
            years.select_option(year)
            expect(quarters(page)).to_have_accessible_name(f"{company}, the quarters of {year}")
            bars_have_the_datas_heights(page, year)
            seen += 1
    assert seen == sum(len(report["FINANCE"]) for report in REPORTS)


def test_the_points_of_the_chart_are_at_their_values(as_alice: Callable[..., Visit]) -> None:
    page = as_alice().open("?company=1")
    chart = page.get_by_role("img", name="Stark Industries, year by year")
    expect(chart).to_be_visible()
    rows = page.get_by_role("row").all()[1:]
    totals = [float(row.get_by_role("cell").last.inner_text()) for row in rows]
    # the line itself is the first; the rest are its points
    boxes = [point.bounding_box() for point in chart.locator("path").all()[1:]]
    middles = [box["y"] + box["height"] / 2 for box in boxes if box]
    assert len(middles) == len(totals) == 4
    low, high = totals.index(min(totals)), totals.index(max(totals))
    scale = (middles[low] - middles[high]) / (totals[high] - totals[low])
    for middle, total in zip(middles, totals, strict=True):
        assert middles[low] - middle == pytest.approx((total - totals[low]) * scale, abs=TOLERANCE)


def test_the_address_keeps_what_is_chosen(as_alice: Callable[..., Visit]) -> None:
    page = as_alice().open("?company=2&year=2016")
    expect(quarters(page)).to_have_accessible_name("WayneCorp, the quarters of 2016")
    chooser(page, "Year").select_option("2015")
    # what is loading still would be broken off
    page.wait_for_load_state("networkidle")
    page.reload()
    expect(quarters(page)).to_have_accessible_name("WayneCorp, the quarters of 2015")


def test_by_the_keyboard_alone(as_alice: Callable[..., Visit]) -> None:
    page = as_alice().open("?company=1&year=2016")
    expect(quarters(page)).to_be_visible()
    page.keyboard.press("Tab")
    expect(chooser(page, "Company")).to_be_focused()
    page.keyboard.press("Tab")
    expect(chooser(page, "Year")).to_be_focused()
    outline = chooser(page, "Year").evaluate("select => getComputedStyle(select).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("ArrowDown")
    expect(quarters(page)).to_have_accessible_name("Stark Industries, the quarters of 2017")
    page.keyboard.press("Tab")
    expect(page.get_by_role("region", name="Table of earnings")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_dark(as_alice: Callable[..., Visit], scheme: str) -> None:
    visit = as_alice(color_scheme=scheme, viewport={"width": NARROW, "height": 640})
    page = visit.open("?company=3&year=2017")
    expect(quarters(page)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    bars_have_the_datas_heights(page, "2017")
    accessible(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_loading_slowly(as_alice: Callable[..., Visit]) -> None:
    held: list[Route] = []
    visit = as_alice()
    visit.context.route(f"{visit.url}api_1_0/**", lambda route: held.append(route))
    page = visit.open()
    for what in ("who you are", "the companies", "the company"):
        expect(page.get_by_role("status")).to_have_text(f"Loading {what} …")
        accessible(page)
        for route in list(held):
            held.remove(route)
            route.fallback()
    visit.context.unroute_all()
    for route in held:
        route.fallback()
    expect(quarters(page)).to_be_visible()
    expect(page.get_by_role("status")).to_have_count(0)


@pytest.mark.parametrize("path", ["user", "companies", "get_company/3", "finance/3"])
def test_an_error_and_another_try(as_alice: Callable[..., Visit], path: str) -> None:
    visit = as_alice()
    away = {"message": "The database does not answer. Try again."}
    visit.answers(path, 503, json=away)
    page = visit.open()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(away["message"])
    accessible(page)

    visit.context.unroute_all()
    alert.get_by_role("button", name="Try again").focus()
    page.keyboard.press("Enter")
    expect(quarters(page)).to_be_visible()
    expect(alert).to_have_count(0)
    expect(page.get_by_role("main")).to_be_focused()


def test_no_companies(as_alice: Callable[..., Visit]) -> None:
    visit = as_alice()
    visit.answers("finance/3", json={"items": []})
    page = visit.open()
    expect(page.get_by_text("Ace Chemicals has no earnings yet.")).to_be_visible()
    accessible(page)
    visit.answers("companies", json={"items": []})
    page.reload()
    expect(page.get_by_text("There are no companies yet.")).to_be_visible()
    accessible(page)


def test_no_answer_sets_a_cookie(deployed: DeployedContent) -> None:
    for path in REACT.paths:
        assert "Set-Cookie" not in deployed.get(path).headers, path
