"""What a page asks a browser to load, and where it leads."""

import re
from html.parser import HTMLParser

LOADS = {
    ("link", "href"),
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("form", "action"),
    ("object", "data"),
}


class Page(HTMLParser):
    """`loads` and `links` are URLs as written; `scripts` and `styles` the text between tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        for name, value in attrs:
            if (tag, name) in LOADS and value is not None:
                self.loads.append(value)
            elif (tag, name) == ("a", "href") and value is not None:
                self.links.append(value)

    def handle_endtag(self, _tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)
        elif self.inside == "style":
            self.styles.append(data)


def loaded_by_style(css: str) -> list[str]:
    """The URLs that a style sheet loads; those with the data in them aside."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    urls = re.findall(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""", css)
    return [url for pair in urls for url in pair if url and not url.startswith("data:")]


def strings(script: str) -> list[str]:
    """The addresses among a script's string literals: absolute URLs and absolute paths."""
    return re.findall(r"""["'`]((?:https?:)?/[^"'`\s]*)["'`]""", script)
