"""A real browser: signing in by hand, and content that attacks its own visitor."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.access.conftest import create, deploy, wsgi
from tests.access.hostile import SOURCE
from tests.browsers import PATIENCE, launched
from tests.deployed import Content
from tests.servers import LocalConnect

SIGN_IN = "/__login__"

REBOUND = "rebound.example"


@pytest.fixture(scope="module")
def chromium(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home = tmp_path_factory.mktemp("chromium")
    # a name whose owner makes it lead here
    with launched(playwright, home=home, hosts={REBOUND: "127.0.0.1"}) as browser:
        yield browser


@pytest.fixture
def context(chromium: Browser, server: LocalConnect) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=server.url)
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="module")
def hostile(server: LocalConnect) -> Content:
    """Erin's content, open to all, with pages that do harm where they can."""
    content = create(server, user="erin", access_type="all")
    deploy(content, wsgi(SOURCE), user="erin")
    return content


@pytest.fixture(scope="module")
def target(server: LocalConnect) -> Content:
    """Alice's content, for whoever is signed in; it remembers who visited."""
    content = create(server, access_type="logged_in")
    deploy(content, wsgi(SOURCE))
    return content


def sign_in(page: Page, name: str) -> None:
    page.goto(SIGN_IN)
    page.get_by_role("button", name=name).click()
    expect(page.locator("[aria-current]")).to_contain_text(name)


def who(page: Page, content: Content) -> Any:
    """As whom this browser comes to the content, by a visit of its own."""
    visit = page.context.new_page()
    visit.goto(f"{content.path}who")
    credentials = visit.evaluate("JSON.parse(document.body.innerText)")["who"]
    visit.close()
    return credentials and credentials["user"]


def still(page: Page, name: str, content: Content) -> None:
    """The visitor is who they were, in this browser and as the content sees them."""
    name_of_session = content.server.session_cookie
    sessions = [
        cookie for cookie in page.context.cookies() if cookie.get("name") == name_of_session
    ]
    assert [(cookie.get("path"), cookie.get("httpOnly")) for cookie in sessions] == [("/", True)]
    assert who(page, content) == name


# signing in


def test_signing_in_by_mouse(page: Page, target: Content) -> None:
    page.goto(f"{target.path}who?a=b%20c")
    expect(page.get_by_role("heading")).to_have_text("Who is visiting?")
    page.get_by_role("button", name="carol").click()
    page.wait_for_url(f"{target.server.url}{target.path}who?a=b%20c")
    assert page.evaluate("JSON.parse(document.body.innerText)")["who"]["user"] == "carol"


def test_signing_in_by_keyboard(page: Page, target: Content) -> None:
    page.goto(f"{target.path}who")
    buttons = page.get_by_role("button")
    names = [text.split("\n")[0] for text in buttons.all_inner_texts()]
    assert names == [*sorted(target.server.users), "Nobody"]
    # past the link to the dashboard
    page.keyboard.press("Tab")
    for number in range(names.index("carol") + 1):
        page.keyboard.press("Tab")
        expect(buttons.nth(number)).to_be_focused()
    # and it can be seen where one is
    expect(buttons.nth(names.index("carol"))).to_have_css("outline-style", "solid")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{target.server.url}{target.path}who")
    assert page.evaluate("JSON.parse(document.body.innerText)")["who"]["user"] == "carol"


def test_switching_users_and_signing_out(page: Page, hostile: Content) -> None:
    for name in ("bob", "Zoë <李>"):
        sign_in(page, name)
        assert who(page, hostile) == name
    page.goto(SIGN_IN)
    page.get_by_role("button", name="Nobody").click()
    expect(page.locator("[aria-current]")).to_contain_text("Nobody")
    assert who(page, hostile) is None
    assert page.context.cookies() == [] or hostile.server.session_cookie not in {
        cookie.get("name") for cookie in page.context.cookies()
    }


def test_someone_without_access_may_come_as_another(page: Page, server: LocalConnect) -> None:
    content = create(server)
    deploy(content, wsgi(SOURCE))
    sign_in(page, "bob")
    page.goto(f"{content.path}who")
    expect(page.locator("main")).to_contain_text("bob may not open this content.")
    page.get_by_role("link", name="Visit as someone else").click()
    page.get_by_role("button", name="alice").click()
    page.wait_for_url(f"{content.server.url}{content.path}who")
    assert page.evaluate("JSON.parse(document.body.innerText)")["who"]["user"] == "alice"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_sign_in_page_can_be_read(
    chromium: Browser, server: LocalConnect, scheme: Any, width: int, tmp_path: Path
) -> None:
    context = chromium.new_context(
        base_url=server.url, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(SIGN_IN)
    page.screenshot(path=tmp_path / "sign-in.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("h1", "p", ".who", ".what"):
        assert page.locator(selector).last.evaluate(CONTRAST) >= 4.5, selector
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    assert complaints == []
    context.close()


#: the contrast of an element's text with what is behind it, as WCAG reckons it
CONTRAST = """element => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(part => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element;
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)")
    behind = behind.parentElement;
  const both = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
  const [dark, light] = both.map(luminance).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}"""


# content against its visitor


@pytest.fixture
def trap(page: Page, hostile: Content) -> Page:
    """A hostile page that bob has open."""
    sign_in(page, "bob")
    page.goto(hostile.path)
    assert page.title() == "hostile"
    return page


def run(page: Page, script: str, argument: Any = None) -> Any:
    """What a script of the page comes to; the name of the error if it throws one."""
    return page.evaluate(
        """async ([script, argument]) => {
          try {
            const code = `return (async () => { ${script} })()`;
            return await new Function("argument", code)(argument);
          } catch (error) { return `${error.name}: ${error.message}`; }
        }""",
        [script, argument],
    )


def test_it_cannot_fetch_the_sign_in_page(trap: Page, hostile: Content) -> None:
    ways = ("{}", "{method: 'HEAD'}", "{mode: 'same-origin'}", "{headers: {Accept: 'text/html'}}")
    for path, options in product((SIGN_IN, "to-the-sign-in"), ways):
        status, text = run(
            trap,
            f"const answer = await fetch(argument, {options});"
            "return [answer.status, await answer.text()];",
            path,
        )
        assert status == 403, (path, options)
        assert "token" not in text, (path, options)
        still(trap, "bob", hostile)


@pytest.mark.parametrize(
    "markup",
    [
        '<iframe src="{}"></iframe>',
        '<iframe sandbox="allow-same-origin allow-forms allow-scripts" src="{}"></iframe>',
        '<embed src="{}">',
        '<object data="{}"></object>',
    ],
)
def test_it_cannot_frame_the_sign_in_page(trap: Page, hostile: Content, markup: str) -> None:
    answers: list[int] = []
    trap.on("response", lambda response: answers.append(response.status))
    read = run(
        trap,
        """
        document.body.innerHTML = argument;
        const frame = document.body.firstChild;
        await new Promise(done => { frame.onload = frame.onerror = done; setTimeout(done, 2000); });
        const inside = frame.contentDocument ?? frame.getSVGDocument?.();
        return inside?.querySelector("[name=token]")?.value ?? "nothing";
        """,
        markup.format(SIGN_IN),
    )
    assert read == "nothing" or "Error" in read
    assert set(answers) == {403}
    still(trap, "bob", hostile)


#: opens the sign-in page, tries to press one of its buttons, and says what it could read
PRESS = """
const opened = window.open(argument);
const until = Date.now() + 2000;
let last = "nothing";
while (Date.now() < until) {
  try {
    const token = opened.document.querySelector("[name=token]");
    if (token) {
      opened.document.querySelector("button[value=admin]").click();
      return token.value;
    }
  } catch (error) { last = error.name; }
  await new Promise(done => setTimeout(done, 50));
}
return last;
"""


def test_it_cannot_look_into_the_sign_in_window(trap: Page, hostile: Content) -> None:
    with trap.expect_popup() as popup:
        read = run(trap, PRESS, SIGN_IN)
    # the window is there, for the visitor
    expect(popup.value.get_by_role("button", name="admin")).to_be_visible()
    assert read in ("nothing", "SecurityError")
    still(trap, "bob", hostile)


def test_it_cannot_look_into_it_when_a_service_worker_isolates_it_either(
    trap: Page, hostile: Content, target: Content
) -> None:
    scope = run(
        trap,
        'await navigator.serviceWorker.register("worker.js");'
        "return (await navigator.serviceWorker.ready).scope;",
    )
    assert scope == hostile.server.url + hostile.path
    trap.goto(f"{hostile.path}isolated")
    assert trap.title() == "isolated"
    with trap.expect_popup() as popup:
        read = run(trap, PRESS, SIGN_IN)
    expect(popup.value.get_by_role("button", name="admin")).to_be_visible()
    assert read in ("nothing", "SecurityError")
    # its worker answers for the app now, so other content tells who the visitor is
    still(trap, "bob", target)


def test_it_cannot_look_into_a_refusal_either(trap: Page, shared: dict[str, Content]) -> None:
    with trap.expect_popup() as popup:
        read = run(
            trap,
            PRESS.replace("[name=token]", "main a").replace("token.value", "token.href"),
            shared["acl"].path,
        )
    expect(popup.value.locator("main")).to_contain_text("bob may not open this content.")
    assert read in ("nothing", "SecurityError")


@pytest.mark.parametrize("token", ["", "guessed"])
def test_it_cannot_answer_the_form(trap: Page, hostile: Content, token: str) -> None:
    status = run(
        trap,
        "const body = new URLSearchParams({token: argument, username: 'admin', url: '/'});"
        "return (await fetch('/__login__', {method: 'POST', body})).status",
        token,
    )
    assert status == 403
    with trap.expect_navigation() as navigation:
        trap.evaluate(
            """token => {
              document.body.innerHTML = `<form method="post" action="/__login__">
                <input name="token" value="${token}"><input name="username" value="admin"></form>`;
              document.forms[0].submit();
            }""",
            token,
        )
    assert navigation.value is not None
    assert navigation.value.status == 403
    still(trap, "bob", hostile)


@pytest.mark.parametrize("scope", ["/", "/content/", "/__login__"])
def test_it_cannot_put_a_service_worker_above_itself(trap: Page, scope: str) -> None:
    said = run(
        trap, 'return await navigator.serviceWorker.register("worker.js", {scope: argument})', scope
    )
    assert said.startswith("SecurityError")
    assert run(trap, "return (await navigator.serviceWorker.getRegistrations()).length") == 0


def test_its_server_cannot_set_cookies_for_others(
    trap: Page, hostile: Content, target: Content
) -> None:
    cookies = {(cookie.get("name"), cookie.get("path")) for cookie in trap.context.cookies()}
    assert cookies == {(hostile.server.session_cookie, "/"), ("tossed", hostile.path)}
    visit = trap.context.new_page()
    visit.goto(f"{target.path}who")
    told = visit.evaluate("JSON.parse(document.body.innerText)")
    assert told["cookie"] == ""
    assert told["who"]["user"] == "bob"
    still(trap, "bob", hostile)


def test_its_script_cannot_take_the_session(trap: Page, hostile: Content, target: Content) -> None:
    session = hostile.server.session_cookie
    assert session not in run(trap, "return document.cookie")
    for path in ("/", "/__login__", target.path):
        run(trap, f"document.cookie = '{session}=planted; path=' + argument", path)
    # where it could add one of the same name, the visitor is nobody rather than someone else
    trap.context.new_page().goto(f"{target.path}who")
    assert who(trap, hostile) == "bob"
    page = trap.context.new_page()
    page.goto(f"{target.path}who")
    expect(page.get_by_role("heading")).to_have_text("Who is visiting?")


def test_it_cannot_call_the_api_by_the_session(
    page: Page, hostile: Content, target: Content
) -> None:
    sign_in(page, "admin")
    page.goto(hostile.path)
    for method, path in (
        ("GET", "/__api__/v1/user"),
        ("GET", "/__api__/v1/content"),
        ("POST", "/__api__/v1/content"),
        ("PATCH", target.api),
        ("DELETE", target.api),
        ("GET", "/__local__/users"),
    ):
        status, text = run(
            page,
            "const answer = await fetch(argument[1], {method: argument[0], credentials: 'include',"
            "  body: argument[0] == 'GET' ? undefined : '{}'});"
            "return [answer.status, await answer.text()];",
            [method, path],
        )
        assert status == 401, (method, path)
        for user in hostile.server.users.values():
            assert user.api_key not in text, (method, path)
    assert target.item["guid"] == target.guid


# a page on another origin


@pytest.fixture
def elsewhere() -> Iterator[Callable[[str, str], str]]:
    """Serves pages on another port; takes a host name and markup, gives the address."""
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(pages.get(self.path, b""))

        def log_message(self, *_: object) -> None:
            pass

    def add(host: str, markup: str) -> str:
        path = f"/{uuid.uuid4()}"
        pages[path] = f"<!doctype html><title>elsewhere</title>{markup}".encode()
        return f"http://{host}:{server.server_port}{path}"

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield add
    server.shutdown()
    thread.join()
    server.server_close()


ATTACKS = {
    "an image": '<img src="{}">',
    "a frame": '<iframe src="{}"></iframe>',
    "a script": '<script src="{}"></script>',
    "a style sheet": '<link rel="stylesheet" href="{}">',
    "a fetch": '<script>fetch("{}", {{mode: "no-cors", credentials: "include"}})</script>',
    "a beacon": '<script>navigator.sendBeacon("{}", "x")</script>',
    "a form": '<form method="post" action="{}"></form><script>document.forms[0].submit()</script>',
}


def visitor(content: Content, mark: str) -> str | None:
    """As whom the request that carries the mark came to the content, once it has come."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        seen = content.server.get(f"{content.path}seen", user=None).json()
        if mark in seen:
            return str(seen[mark]) if seen[mark] else None
        time.sleep(0.05)
    raise AssertionError("The request did not come.")


# localhost is another site, and another port of 127.0.0.1 another origin of the same site
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_page_elsewhere_comes_as_nobody(
    page: Page, hostile: Content, elsewhere: Callable[[str, str], str], host: str
) -> None:
    sign_in(page, "bob")
    for name, markup in ATTACKS.items():
        mark = uuid.uuid4().hex
        # content that is open to all notes as whom it was visited
        address = f"{hostile.server.url}{hostile.path}?{mark}"
        page.goto(elsewhere(host, markup.format(address)))
        assert visitor(hostile, mark) is None, name
        still(page, "bob", hostile)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_link_elsewhere_is_followed_as_oneself(
    page: Page, target: Content, elsewhere: Callable[[str, str], str], host: str
) -> None:
    sign_in(page, "bob")
    page.goto(elsewhere(host, f'<a href="{target.server.url}{target.path}who">link</a>'))
    page.get_by_role("link").click()
    page.wait_for_url(f"{target.server.url}{target.path}who")
    assert page.evaluate("JSON.parse(document.body.innerText)")["who"]["user"] == "bob"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_page_elsewhere_cannot_frame_or_hold_the_sign_in_page(
    page: Page, hostile: Content, elsewhere: Callable[[str, str], str], host: str
) -> None:
    sign_in(page, "bob")
    with page.expect_response(f"**{SIGN_IN}") as answer:
        page.goto(elsewhere(host, f'<iframe src="{hostile.server.url}{SIGN_IN}"></iframe>'))
    assert answer.value.status == 403
    with page.expect_popup():
        read = run(page, PRESS, hostile.server.url + SIGN_IN)
    assert read in ("nothing", "SecurityError")
    still(page, "bob", hostile)


def test_a_name_that_was_made_to_lead_here(page: Page, hostile: Content) -> None:
    port = hostile.server.url.rpartition(":")[2]
    for path in (SIGN_IN, hostile.path, "/__api__/server_settings"):
        answer = page.goto(f"http://{REBOUND}:{port}{path}")
        assert answer is not None
        assert answer.status == 400
        expect(page.locator("body")).to_contain_text(f"does not go by the name {REBOUND}")
