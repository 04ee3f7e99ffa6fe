"""Takes the pictures in docs/images/, each of a real page as it is now.

Those of the dashboard say how long ago and by whom; the rest are the same each time.

The examples are deployed by rsconnect to a local Connect of this command's own, which a browser
visits by a name without a port. To add a picture, add a `Shot` to `shots()`, and show it.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import (
    Browser,
    FloatRect,
    Locator,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from scripts.services import Unavailable
from tests.beside import Services
from tests.browser.swagger import try_out
from tests.browsers import CHROMIUM, launched
from tests.catalogue import EXAMPLES, GREETINGS, ROOT, Example
from tests.gateway.certificate import Certificate, terminated
from tests.targets.local_connect import DeployedContent, LocalConnect

IMAGES = ROOT / "docs" / "images"

#: what the browser's address would be, if a picture showed it
NAME = "connect.example.com"
ORIGIN = f"https://{NAME}"

VIEWER = "alice"

#: the greeting that a console is asked for
LANG = "chr"

#: CSS pixels below the last thing of a picture
MARGIN = 8

COLOURS = 128

#: where an element ends on its page, once nothing moves any more
BOTTOM = """async (last, margin) => {
  let before, bottom;
  do {
    before = bottom;
    await new Promise(done => setTimeout(done, 500));
    bottom = Math.round(last.getBoundingClientRect().bottom + scrollY);
  } while (bottom !== before);
  return Math.min(bottom + margin, document.documentElement.scrollHeight);
}"""


@dataclass(frozen=True)
class Shot:
    """One picture, and how to get there.

    `name` is its file's, less `.png`. `path` is on the server, where an example's directory in
    braces stands for its GUID. `prepare` does what is to be seen, and returns what the picture
    ends below. `begin` is the CSS selector of what it begins with, where that is not the page.
    `width` and `height` are the window's, in CSS pixels. Where there is much text, fewer `colours`
    keep it small.
    """

    name: str
    path: str
    prepare: Callable[[Page], Locator]
    begin: str = "html"
    width: int = 900
    height: int = 600
    colours: int = COLOURS


def shots() -> Iterator[Shot]:
    for example in EXAMPLES:
        if example.has("page"):
            yield Shot(example.directory, f"{mount(example)}{example.page}?company=1", charts)
        elif example.has("console", "spec", "item"):
            path = f"{mount(example)}{example.console}"
            yield Shot(example.directory, path, partial(ask, path=str(example.item)))
        elif example.has("browsable", "list"):
            yield Shot(example.directory, f"{mount(example)}{example.list}", look)
        elif example.has("console", "spec"):
            yield Shot(example.directory, f"{mount(example)}{example.console}", operations)
    yield Shot("dashboard", "/connect/", cards, colours=32)
    viewers = next(example for example in EXAMPLES if example.has("hello"))
    page = f"/connect/apps/{{{viewers.directory}}}/"
    yield Shot("dashboard-content", page, partial(ask_as_everyone, path=str(viewers.hello)))
    asked = f"{page}requests?path={viewers.hello}&visitor={VIEWER}"
    yield Shot("dashboard-requests", asked, received, begin=".columns", width=1300, colours=24)


def mount(example: Example) -> str:
    """Its vanity path, which is the same each time, as a GUID is not."""
    return f"/{example.directory}/"


def look(page: Page) -> Locator:  # pragma: no cover (make screenshots runs it)
    """The answer on a page of Flask-API's."""
    page.wait_for_load_state("networkidle")
    return page.locator(".response-info")


def charts(page: Page) -> Locator:  # pragma: no cover (make screenshots runs it)
    """A page with charts, less what is below its last table."""
    expect(page.get_by_role("figure").last).to_be_visible()
    return page.get_by_role("table").last


def ask(page: Page, *, path: str) -> Locator:  # pragma: no cover (make screenshots runs it)
    """Ask for one greeting in a Swagger UI; the answer, less its headers, which have a date."""
    block = try_out(page, path)
    block.get_by_placeholder("lang").fill(LANG)
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table pre").first
    expect(answer).to_contain_text(GREETINGS[LANG])
    return answer


def operations(page: Page) -> Locator:  # pragma: no cover (make screenshots runs it)
    """All that a Swagger UI lists."""
    expect(page.locator(".opblock").first).to_be_visible()
    return page.locator(".opblock").last


def cards(page: Page) -> Locator:  # pragma: no cover (make screenshots runs it)
    """The first two rows of content, once all of it is there."""
    expect(page.locator(".card")).to_have_count(len(EXAMPLES))
    return page.locator(".card").nth(3)


def ask_as_everyone(
    page: Page, *, path: str
) -> Locator:  # pragma: no cover (make screenshots runs it)
    """What each identity gets from a path of the content."""
    page.locator("#path").fill(path)
    page.get_by_role("button", name="Ask as everyone").click()
    return page.locator("#ask")


def received(page: Page) -> Locator:  # pragma: no cover (make screenshots runs it)
    """What was sent and what the app got of one of the requests of the last picture."""
    expect(page.get_by_role("region", name="The app got")).to_be_visible()
    return page.get_by_role("region", name="The app got").locator(".headers").first


def main() -> None:  # pragma: no cover (make screenshots runs it)
    check_fonts()
    if not CHROMIUM:
        sys.exit("screenshots: neither Chromium nor Chrome is installed.")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        services = stack.enter_context(closing(Services()))
        connect = LocalConnect(
            cache=directory,
            scratch=directory,
            services=services,
            options=("--external-url", ORIGIN),
        )
        stack.callback(connect.close)
        guids = {}
        for example in EXAMPLES:
            print(f"Deploying {example.directory} ...", flush=True)
            try:
                content = connect.deploy(example)
            except Unavailable as error:
                sys.exit(f"screenshots: {error}")
            assert isinstance(content, DeployedContent)  # noqa: S101 (that is what it deploys)
            stack.enter_context(content.at(mount(example)))
            guids[example.directory] = content.guid
            connect.server.request("PATCH", content.api, json={"title": example.title})
        playwright = stack.enter_context(sync_playwright())
        certificate = Certificate(directory, NAME)
        port = stack.enter_context(terminated(certificate, urlsplit(connect.server.url).port or 0))
        hosts = {NAME: f"127.0.0.1:{port}"}
        browser = stack.enter_context(launched(playwright, home=directory, hosts=hosts))
        IMAGES.mkdir(exist_ok=True)
        for shot in shots():
            picture = take(browser, shot, guids)
            (IMAGES / f"{shot.name}.png").write_bytes(picture)
            print(f"docs/images/{shot.name}.png  {len(picture) // 1000} kB", flush=True)


def check_fonts() -> None:
    """End with a message where a character of a greeting has no font."""
    if not shutil.which("fc-list"):
        sys.exit("screenshots: fc-list is missing; install fontconfig.")
    for lang, text in GREETINGS.items():
        for character in set(text):
            found = subprocess.run(
                ["fc-list", f":charset={ord(character):x}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            if not found:
                sys.exit(
                    f"screenshots: no font here draws {character} ({lang}). "
                    "Install fonts-noto-core and fonts-noto-cjk."
                )


def take(
    browser: Browser, shot: Shot, guids: dict[str, str]
) -> bytes:  # pragma: no cover (make screenshots runs it)
    """The picture, sharp on a dense screen, as a PNG with a palette."""
    context = browser.new_context(
        viewport=ViewportSize(width=shot.width, height=shot.height),
        device_scale_factor=2,
        ignore_https_errors=True,
        color_scheme="light",
        locale="en-US",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{ORIGIN}/__login__")
    page.get_by_role("button", name=VIEWER).click()
    page.goto(ORIGIN + shot.path.format_map(guids))
    last = shot.prepare(page)
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    bottom = last.evaluate(BOTTOM, MARGIN)
    box = page.locator(shot.begin).first.bounding_box()
    assert box is not None  # noqa: S101 (it is on the page)
    picture = page.screenshot(
        full_page=True,
        clip=FloatRect(
            x=max(0, box["x"] - MARGIN),
            y=max(0, box["y"] - MARGIN),
            width=min(shot.width, box["width"] + 2 * MARGIN),
            height=bottom - max(0, box["y"] - MARGIN),
        ),
        animations="disabled",
    )
    context.close()
    with Image.open(io.BytesIO(picture)) as image, io.BytesIO() as packed:
        palette = image.convert("RGB").quantize(shot.colours, dither=Image.Dither.NONE)
        palette.save(packed, "PNG", optimize=True)
        return packed.getvalue()


if __name__ == "__main__":
    main()
