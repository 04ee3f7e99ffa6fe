"""What a visitor's browser gets of flask-react-example's page, and how soon it shows it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.measure import Family, Figure, Scale
from benchmarks.servers import publish
from local_connect.log import progress
from tests.browsers import CHROMIUM, launched
from tests.catalogue import EXAMPLES
from tests.servers import LocalConnect

TITLE = "A page with charts"

EXAMPLE = next(example for example in EXAMPLES if example.page is not None)

HOW = f"""
The page of {EXAMPLE.directory} in Chromium, through the gateway, its process running and the
browser's cache empty: how many requests it makes until nothing more comes, the bytes of their
answers as they are sent, and the first contentful paint as the browser itself tells it.
"""

#: requests, bytes of the answers with their heads, and milliseconds to the first contentful paint
_TOLD = """() => {
    const loaded = [...performance.getEntriesByType('navigation'),
                    ...performance.getEntriesByType('resource')];
    const paint = performance.getEntriesByName('first-contentful-paint')[0];
    return [loaded.length, loaded.reduce((sum, one) => sum + one.transferSize, 0), paint.startTime];
}"""


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    if CHROMIUM is None:
        return Family(TITLE, HOW, (), ("There is no Chromium or Chrome.",))
    content = publish(server, EXAMPLE.path)
    address = f"{server.url}{content.path}{EXAMPLE.page}"
    told: list[tuple[float, float, float]] = []
    with sync_playwright() as playwright, launched(playwright, home=work / "browser") as browser:
        for number in range(scale.rounds + 1):
            progress(f"front end: {number} of {scale.rounds}")
            with browser.new_context() as visitor:
                page = visitor.new_page()
                page.goto(address, wait_until="networkidle")
                told.append(page.evaluate(_TOLD))
    # the first starts the content's process and fills the browser's own caches of code
    requests, size, paint = zip(*told[1:], strict=True)
    name = EXAMPLE.directory
    figures = (
        Figure(f"{name}: requests of its page", "", requests),
        Figure(f"{name}: bytes of its page", "KiB", tuple(one / 1024 for one in size)),
        Figure(f"{name}: first contentful paint", "ms", paint),
    )
    return Family(TITLE, HOW, figures)
