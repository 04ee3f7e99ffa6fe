"""The root of an app that has none: a person is led to its console, and nobody else anywhere."""

import json
from typing import Any

import httpx
import pytest

from tests.deployed import Content
from tests.publishing import publish
from tests.servers import LocalConnect

#: what a browser that goes to an address asks for
PERSON = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

#: answers as the header X-Site says: path -> status, type and text; 404 for all others
APP = """
import json

def app(environ, start_response):
    site = json.loads(environ.get("HTTP_X_SITE", "{}"))
    path = environ["PATH_INFO"]
    print("asked", environ["REQUEST_METHOD"], path, environ["REQUEST_URI"], flush=True)
    status, kind, text = site.get(path, ("404 Not Found", "application/json", "nothing here"))
    environ["SCRIPT_NAME"] += "/and-on"  # as an app does that passes the request on
    if status == "raise":
        raise RuntimeError("raised on purpose")
    def body():
        start_response(status, [("Content-Type", kind), ("X-App", "own")])
        yield text.encode()
    style = environ.get("HTTP_X_STYLE")
    if style == "lazy":
        return body()
    write = start_response(status, [("Content-Type", kind), ("X-App", "own")])
    if style == "write":
        write(text.encode())
        return []
    return [text.encode()]
"""

CONSOLE = ("200 OK", "text/html; charset=utf-8", "<title>Swagger UI</title>")


@pytest.fixture(scope="module")
def rootless(server: LocalConnect) -> Content:
    return publish(server, APP)


def visit(
    content: Content, site: dict[str, Any], *, method: str = "GET", path: str = "", **headers: str
) -> httpx.Response:
    return content.server.request(
        method,
        content.path + path,
        user=None,
        headers={"Accept": PERSON, "X-Site": json.dumps(site)}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )


def assert_own(answer: httpx.Response, status: int, text: str) -> None:
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers["X-App"] == "own"


@pytest.mark.parametrize("style", ["plain", "write"])
@pytest.mark.parametrize("path", ["apidocs/", "docs", "docs/", "swagger-ui/", "ui/", "redoc"])
def test_a_browser_is_redirected_to_the_console(rootless: Content, path: str, style: str) -> None:
    for method in ("GET", "HEAD"):
        answer = visit(rootless, {f"/{path}": CONSOLE}, method=method, X_Style=style)
        assert (answer.status_code, answer.content) == (307, b"")
        assert answer.headers["Location"] == rootless.path + path
        assert "X-App" not in answer.headers
    assert visit(rootless, {f"/{path}": CONSOLE}, path=path).text == CONSOLE[2]


def test_the_redirect_stays_below_the_mount(rootless: Content) -> None:
    server = rootless.server
    set_to = server.request("PUT", f"{rootless.api}/vanity", json={"path": "/rootless/"})
    assert set_to.is_success, set_to.text
    answer = server.get(
        "/rootless/?a=b",
        user=None,
        headers={"Accept": PERSON, "X-Site": json.dumps({"/docs": CONSOLE})},
    )
    assert answer.headers["Location"] == "/rootless/docs"
    assert "asked GET /docs /rootless/docs\n" in server.output


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "403 Forbidden", "500 Oh"])
def test_an_app_with_a_root_is_left_alone(rootless: Content, status: str) -> None:
    site = {"/": (status, "text/plain", "its own"), "/docs": CONSOLE}
    assert_own(visit(rootless, site), int(status[:3]), "its own")


@pytest.mark.parametrize(
    "page",
    [
        ("200 OK", "application/json", '"swagger"'),
        ("200 OK", "text/html", "<title>The manual of something else</title>"),
        ("404 Not Found", "text/html", "no swagger here"),
        ("302 Found", "text/html", "swagger"),
        ("raise", "text/html", "swagger"),
    ],
    ids=["not a page", "another page", "not found", "elsewhere", "raises"],
)
def test_what_is_no_console(rootless: Content, page: tuple[str, str, str]) -> None:
    for style in ("plain", "write"):
        assert_own(visit(rootless, {"/docs": page}, X_Style=style), 404, "nothing here")


@pytest.mark.parametrize(
    "difference",
    [
        {"Accept": "*/*"},
        {"Accept": "application/json"},
        {"method": "POST"},
        {"method": "DELETE"},
        {"path": "greetings/"},
        {"X_Style": "lazy"},
    ],
    ids=str,
)
def test_other_requests_are_not_redirected(rootless: Content, difference: dict[str, str]) -> None:
    assert_own(visit(rootless, {"/docs": CONSOLE}, **difference), 404, "nothing here")
