"""The pages for people, below whatever path they are mounted at."""

import re

import httpx
import pytest

from tests.catalogue import Example
from tests.contract.pages import Page, loaded_by_style, strings
from tests.targets import Content
from tests.targets.process import Process

HTML = [(b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")]


def page(content: Content, path: str) -> tuple[httpx.URL, Page]:
    response = content.get(path, headers=HTML)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    return response.request.url, Page(response.text)


def pages(content: Content) -> list[str]:
    example = content.example
    assert example.console is not None
    if example.browsable:
        return list(example.paths)
    return [path for path in (example.console, example.page) if path is not None]


def fetch(content: Content, url: httpx.URL) -> httpx.Response:
    """Get what a page refers to; it must be below the mount."""
    assert str(url).startswith(content.url), url
    response = content.get(str(url).removeprefix(content.url))
    assert response.status_code == 200, url
    return response


@pytest.mark.needs("console")
def test_everything_a_page_loads_is_below_the_mount(content: Content) -> None:
    for path in pages(content):
        here, document = page(content, path)
        assert document.loads, "no assets at all: not a console"
        for css in document.styles:
            assert loaded_by_style(css) == []
        for address in document.loads:
            asset = here.join(address)
            response = fetch(content, asset)
            assert response.content, asset
            if response.headers["Content-Type"].startswith("text/css"):
                for loaded in loaded_by_style(response.text):
                    fetch(content, asset.join(loaded))


@pytest.mark.needs("console")
def test_every_link_works_or_leaves_the_host(content: Content) -> None:
    for path in pages(content):
        here, document = page(content, path)
        for link in document.links:
            destination = here.join(link).copy_with(fragment=None)
            if destination.netloc == here.netloc:
                fetch(content, destination)


@pytest.mark.needs("console")
def test_scripts_name_nothing_outside_the_mount(content: Content) -> None:
    for path in pages(content):
        here, document = page(content, path)
        for script in document.scripts:
            assert not re.search(r"\b(None|True|False|Undefined)\b", script), "Python in a script"
            for address in strings(script):
                fetch(content, here.join(address))


@pytest.mark.needs("console", "spec")
def test_console_shows_the_spec(content: Content) -> None:
    assert content.example.console is not None
    here, document = page(content, content.example.console)
    urls = re.findall(r"""\burl: ["']([^"']+)["']""", "".join(document.scripts))
    assert [str(here.join(url)) for url in urls] == [f"{content.url}{content.example.spec}"]
    assert fetch(content, here.join(urls[0])).json()["paths"]


@pytest.mark.needs("browsable")
def test_every_resource_is_a_page_for_browsers_only(content: Content) -> None:
    for path in content.example.paths:
        _, document = page(content, path)
        assert document.loads
        assert content.get(path).headers["Content-Type"] == "application/json"


@pytest.mark.needs("browsable", "item")
def test_a_page_escapes_what_it_repeats(content: Content) -> None:
    assert content.example.item is not None
    path = content.example.item.format(lang="%3Cimg%20src=x%20onerror=alert(1)%3E")
    response = content.get(path, headers=HTML)
    assert response.status_code == 404
    assert "<img" not in response.text
    assert "&lt;img" in response.text


def test_behind_tls(process: Process, example: Example) -> None:
    content = process.launch(example, scheme="https")
    host = content.url.removeprefix("http://").partition("/")[0]
    try:
        for path in (*example.paths, "", "greetings"):
            response = content.get(path, headers=HTML)
            assert f"http://{host}" not in response.text, path
            assert not response.headers.get("Location", "").startswith("http:"), path
    finally:
        content.close()
