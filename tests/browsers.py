"""The machine's own Chromium or Chrome, driven by Playwright."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, expect

from scripts.packages import installed_by

#: the first is the same engine without a window: it takes a third less of the processor
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)

#: where it is; None where there is none
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


def missing() -> str | None:
    """Why no page can be opened here, and what to do about it; None where it can."""
    if CHROMIUM:
        return None
    how = installed_by(apt="chromium", brew="--cask chromium")
    return f"Neither Chromium nor Chrome is installed. What brings it: {how}"


#: milliseconds that a page may take to show something
PATIENCE = 120_000

expect.set_options(timeout=PATIENCE)


@contextmanager
def launched(
    playwright: Playwright, *, home: Path, hosts: Mapping[str, str] | None = None
) -> Iterator[Browser]:
    """A browser with `home` as its home directory.

    `hosts` are names that lead where they say, `address` or `address:port`, and nowhere else.
    """
    rules = ", ".join(f"MAP {name} {address}" for name, address in (hosts or {}).items())
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--host-resolver-rules={rules}",
        ],
        env={"HOME": str(home)},
    )
    try:
        yield browser
    finally:
        browser.close()
