"""What a release says of itself: the section of CHANGELOG.md about the version of a tag."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTES = ROOT / ".cache" / "release-notes.md"


class Unfit(Exception):
    """A tag of what cannot be released, and what to do about it."""


def notes(tag: str, version: str, changelog: str) -> str:
    """The section about the tag's version, without its heading.

    Raises `Unfit` where the tag is of another version, or the changelog has no dated section.
    """
    if tag != f"v{version}":
        raise Unfit(f"pyproject.toml has version {version}, so the tag is v{version}, not {tag!r}.")
    section = re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if section is None or not section[1].strip():
        raise Unfit(
            f"CHANGELOG.md has nothing below a heading such as '## {version} (2026-11-29)'."
        )
    return section[1].strip() + "\n"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    try:
        text = notes(sys.argv[1], project["version"], changelog)
    except Unfit as error:
        sys.exit(f"release: {error}")
    NOTES.parent.mkdir(exist_ok=True)
    NOTES.write_text(text, "utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
