"""The pictures in docs/images: each is shown somewhere, is small, and a target makes it.

`make screenshots` takes those of pages, and `make bench` draws the curves.
"""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from scripts import screenshots
from scripts.packages import installed_by
from tests.catalogue import ROOT

SHOWN = re.compile(r"!\[[^]]+\]\(([^)]+)\)|<(?:source|img) [^>]*src(?:set)?=\"([^\"]+)\"")
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*-example/README.md")]


@pytest.mark.quick
def test_each_is_shown_and_is_made_by_the_target() -> None:
    shown = {
        (page.parent / (markdown or html)).resolve()
        for page in PAGES
        for markdown, html in SHOWN.findall(page.read_text("utf-8"))
    }
    there = set(screenshots.IMAGES.iterdir())
    assert there == shown, "a target makes them; a page shows them"
    taken = {f"{shot.name}.png" for shot in screenshots.shots()}
    drawn = {path.name for path in there if path.match("growth-*.svg")}
    assert {path.name for path in there} <= taken | drawn


@pytest.mark.quick
def test_each_is_small_and_sharp() -> None:
    for path in screenshots.IMAGES.iterdir():
        assert path.stat().st_size < 80_000, path.name
    for path in screenshots.IMAGES.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.width >= 1200, path.name


@pytest.mark.skipif(
    not shutil.which("fc-list"),
    reason="fontconfig is not installed. What brings it: "
    + installed_by(apt="fontconfig", brew="fontconfig"),
)
def test_a_greeting_without_a_font_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # no font has the characters of the private planes
    monkeypatch.setattr(screenshots, "GREETINGS", {"tlh": "\U0010fffd"})
    with pytest.raises(SystemExit, match=r"tlh.*fonts-noto-core"):
        screenshots.check_fonts()


def test_what_the_fonts_are_looked_up_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"fc-list is missing; install fontconfig"):
        screenshots.check_fonts()
    program = tmp_path / "fc-list"
    program.write_text("#!/bin/sh\necho 'Noto Sans'\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(screenshots, "GREETINGS", {"en": "Hi"})
    screenshots.check_fonts()
