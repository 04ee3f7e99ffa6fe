"""The sign-in page and the session of a browser."""

import html
import re
from collections.abc import Iterator, Mapping
from http.cookies import SimpleCookie
from urllib.parse import quote

import httpx
import pytest

from tests.access.conftest import HTML, raw, refusal
from tests.deployed import Content
from tests.servers import CERTIFICATES, LocalConnect

SIGN_IN = "/__login__"

#: what a browser sends of itself when a person goes to an address
VISIT = {
    "Accept": HTML,
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
}
#: and when they send a form of a sandboxed page
ANSWER = {**VISIT, "Origin": "null", "Sec-Fetch-Site": "cross-site"}


class Browser:
    """As much of a browser as a person needs to sign in: it keeps cookies and fills forms."""

    def __init__(self, server: LocalConnect) -> None:
        self.server = server
        self.client = httpx.Client(
            base_url=server.url, headers=VISIT, timeout=30, trust_env=False, verify=CERTIFICATES
        )

    @property
    def session(self) -> str | None:
        return self.client.cookies.get(self.server.session_cookie)

    def visit(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def form(self, path: str = SIGN_IN) -> dict[str, str]:
        """The hidden fields of the sign-in page."""
        page = self.visit(path)
        assert page.status_code == 200, page.text
        return hidden_fields(page.text)

    def choose(
        self, username: str, *, url: str | None = None, path: str = SIGN_IN
    ) -> httpx.Response:
        fields = {**self.form(path), "username": username}
        if url is not None:
            fields["url"] = url
        return self.send(fields)

    def send(self, fields: Mapping[str, str], **headers: str) -> httpx.Response:
        return self.client.post(SIGN_IN, data=fields, headers={**ANSWER, **headers})

    def viewer(self, content: Content) -> str | None:
        """As whom the content sees this browser."""
        answer = self.visit(content.path)
        assert answer.status_code == 200, answer.text
        return viewer_in(answer)


def hidden_fields(page: str) -> dict[str, str]:
    pattern = r'<input type="hidden" name="(\w+)" value="([^"]*)">'
    return {name: html.unescape(value) for name, value in re.findall(pattern, page)}


def viewer_in(answer: httpx.Response) -> str | None:
    credentials = answer.json()["environ"].get("HTTP_RSTUDIO_CONNECT_CREDENTIALS")
    if credentials is None:
        return None
    text = credentials.encode("latin-1")
    return str(httpx.Response(200, content=text).json()["user"])


@pytest.fixture
def browser(server: LocalConnect) -> Iterator[Browser]:
    browser = Browser(server)
    with browser.client:
        yield browser


def test_signing_in_returns_to_the_address_that_was_asked_for(
    browser: Browser, shared: dict[str, Content]
) -> None:
    content = shared["acl"]
    wanted = f"{content.path}a/b%20c?d=e&f=%2Fg%3F&name=J%C3%B6rg&next=https://example.com/"
    led = browser.visit(wanted)
    assert led.status_code == 302
    assert led.headers["Location"].startswith(f"{SIGN_IN}?url=/content/")
    chosen = browser.choose("carol", path=led.headers["Location"])
    assert chosen.status_code == 303
    assert chosen.headers["Location"] == wanted
    landed = browser.visit(chosen.headers["Location"])
    assert viewer_in(landed) == "carol"
    assert landed.json()["environ"]["QUERY_STRING"] == wanted.partition("?")[2]


def test_a_program_is_not_redirected_to_the_sign_in_page(shared: dict[str, Content]) -> None:
    content = shared["acl"]
    for accept in ("*/*", "application/json", ""):
        said = refusal(content.server.get(content.path, user=None, headers={"Accept": accept}), 401)
        assert "Authorization: Key" in said
    # one with a key is a program, whatever it accepts, and so is whoever sends something
    for headers in ({"Authorization": "Key wrong"}, {"X-RSC-Authorization": "Key wrong"}):
        refusal(
            content.server.get(content.path, user=None, headers={"Accept": HTML, **headers}), 401
        )
    answer = content.server.request("POST", content.path, user=None, headers={"Accept": HTML})
    refusal(answer, 401)


def test_someone_without_access_gets_a_page_and_may_change_who_they_are(
    browser: Browser, shared: dict[str, Content]
) -> None:
    content = shared["acl"]
    browser.choose("bob")
    refused = browser.visit(content.path)
    assert refused.status_code == 403
    assert refused.headers["Content-Type"].startswith("text/html")
    assert "bob may not open this content." in refused.text
    (link,) = re.findall(r'href="(/__login__[^"]*)"', refused.text)
    chosen = browser.choose("dave", path=html.unescape(link))
    assert viewer_in(browser.visit(chosen.headers["Location"])) == "dave"


def test_a_page_that_is_not_there(browser: Browser) -> None:
    answer = browser.visit("/no/such/<script>page")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<script>" not in answer.text


@pytest.mark.parametrize("path", ["/__api__/v1/user", "/__api__/v1/no/such", "/__local__/users"])
def test_the_api_answers_a_browser_in_json_too(browser: Browser, path: str) -> None:
    for _ in range(2):
        answer = browser.visit(path)
        refusal(answer, answer.status_code)
        assert answer.status_code in (401, 404)
        browser.choose("admin")


def test_the_cookie(browser: Browser) -> None:
    (header,) = browser.choose("alice").headers.get_list("Set-Cookie")
    (cookie,) = SimpleCookie(header).values()
    assert cookie.key == browser.server.session_cookie
    # a browser does not tell the ports of a host apart
    assert str(browser.server.client.base_url.port) in cookie.key
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/"
    assert cookie["domain"] == ""
    assert len(cookie.value) >= 32
    # nobody else's, and not the same again
    assert not {user.api_key for user in browser.server.users.values()} & {cookie.value}
    browser.choose("alice")
    assert browser.session != cookie.value


def test_switching_users_and_signing_out(browser: Browser, shared: dict[str, Content]) -> None:
    content = shared["all"]
    assert browser.viewer(content) is None
    sessions = []
    for name in ("bob", "Zoë <李>", "admin"):
        browser.choose(name)
        assert browser.viewer(content) == name
        sessions.append(browser.session)
        page = browser.visit(SIGN_IN).text
        (current,) = re.findall(r'value="([^"]*)"\s+aria-current="true"', page)
        assert html.unescape(current) == name
    assert browser.choose("").status_code == 303
    assert browser.session is None
    assert browser.viewer(content) is None
    # what was a session is one no more, at the server either
    for session in sessions:
        cookie = f"{content.server.session_cookie}={session}"
        assert (
            viewer_in(content.server.get(content.path, user=None, headers={"Cookie": cookie}))
            is None
        )


def test_the_page_lists_everyone(browser: Browser) -> None:
    page = browser.visit(SIGN_IN).text
    listed = [html.unescape(name) for name in re.findall(r'name="username" value="([^"]*)"', page)]
    assert listed == [*sorted(browser.server.users), ""]
    assert "Zoë &lt;李&gt;" in page
    assert "<李>" not in page
    assert "&amp;c. &#34;quoted&#34;" in page
    assert "Редакция" in page


def turned_away(answer: httpx.Response, status: int) -> str:
    """The text of the page that refuses a form; it has no form itself, and starts no session."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Set-Cookie" not in answer.headers
    assert "token" not in answer.text
    match = re.search('<p class="lead">(.+?)</p>', answer.text)
    assert match
    return match[1]


def test_there_is_nobody_of_that_name(browser: Browser) -> None:
    for name in ("mallory", "Alice", "alice ", browser.server.users["alice"].guid):
        answer = browser.choose(name)
        assert turned_away(answer, 400)
        assert browser.session is None


def test_a_form_is_good_for_one_answer(browser: Browser, shared: dict[str, Content]) -> None:
    fields = browser.form()
    assert browser.send({**fields, "username": "bob"}).status_code == 303
    turned_away(browser.send({**fields, "username": "admin"}), 403)
    assert browser.viewer(shared["all"]) == "bob"


@pytest.mark.parametrize("token", ["", "x" * 43, "None", None])
def test_a_form_needs_its_token(browser: Browser, token: str | None) -> None:
    fields = {"url": "/", "username": "admin"} | ({} if token is None else {"token": token})
    answer = browser.send(fields)
    turned_away(answer, 400 if token is None else 403)
    assert browser.session is None


def test_a_form_that_is_not_one(browser: Browser) -> None:
    token = browser.form()["token"]
    file = {"token": ("token", token), "username": ("username", "admin")}
    for options in (
        {"json": {"token": token, "username": "admin"}},
        {"files": file},
        {"content": b""},
        {"data": {"token": token}},
    ):
        answer = browser.client.post(SIGN_IN, headers=ANSWER, **options)
        turned_away(answer, 400)
        assert browser.session is None
    answer = browser.send({"token": token, "username": "x" * 100_000})
    turned_away(answer, 413)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "iframe"},
    ],
    ids=str,
)
def test_a_form_of_another_page(browser: Browser, headers: dict[str, str]) -> None:
    fields = {**browser.form(), "username": "admin"}
    turned_away(browser.send(fields, **headers), 403)
    assert browser.session is None


def test_a_form_that_content_sends(browser: Browser) -> None:
    # our own pages have no origin, so a form that comes from this server's is content's
    fields = {**browser.form(), "username": "admin"}
    turned_away(browser.send(fields, Origin=browser.server.url), 403)


@pytest.mark.parametrize(
    ("mode", "destination"),
    [
        ("cors", "empty"),
        ("same-origin", "empty"),
        ("no-cors", "empty"),
        ("no-cors", "image"),
        ("no-cors", "script"),
        ("no-cors", "style"),
        ("navigate", "iframe"),
        ("navigate", "frame"),
        ("navigate", "embed"),
        ("navigate", "object"),
        ("websocket", "websocket"),
    ],
)
def test_the_page_is_for_a_window_only(browser: Browser, mode: str, destination: str) -> None:
    headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
    answer = browser.visit(SIGN_IN, **headers, **{"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 403
    assert "token" not in answer.text


def test_the_headers_of_our_pages(browser: Browser, shared: dict[str, Content]) -> None:
    browser.choose("bob")
    for path in (SIGN_IN, "/nothing", shared["acl"].path):
        answer = browser.visit(path)
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "form-action 'self'" in policy
        # not allow-same-origin, not allow-scripts
        assert "sandbox allow-forms" in policy
        assert not any(part.startswith("script-src") for part in policy)
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "<script" not in answer.text
        assert " style=" not in answer.text


ELSEWHERE = [
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example",
    "https://evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "evil.example",
    " //evil.example",
    "/ /evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "/\x00",
    "/\u2028/evil",
    "@evil.example",
    "?a",
    "",
]


@pytest.mark.parametrize("url", ELSEWHERE, ids=ascii)
def test_no_redirect_leads_to_another_host(browser: Browser, url: str) -> None:
    assert browser.form(f"{SIGN_IN}?url={quote(url, safe='')}")["url"] == SIGN_IN
    answer = browser.choose("bob", url=url)
    assert answer.headers.get_list("Location") == [SIGN_IN]
    assert len(answer.headers.get_list("Set-Cookie")) == 1


@pytest.mark.parametrize(
    "url", ["/%0d%0aSet-Cookie:a=b", "/%2F/evil.example", "/%5Cevil", "/?u=//x"]
)
def test_what_is_encoded_stays_so(browser: Browser, url: str) -> None:
    answer = browser.choose("bob", url=url)
    assert answer.headers.get_list("Location") == [url]
    assert len(answer.headers.get_list("Set-Cookie")) == 1
    assert answer.request.url.join(answer.headers["Location"]).host == "127.0.0.1"


def test_markup_in_the_address(browser: Browser) -> None:
    url = "/\"><script>alert('x')</script>"
    page = browser.visit(f"{SIGN_IN}?url={quote(url)}").text
    assert "<script" not in page
    assert hidden_fields(page)["url"] == url


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_the_api_ignores_the_session(
    browser: Browser, shared: dict[str, Content], method: str
) -> None:
    browser.choose("admin")
    for path in ("/__api__/v1/user", "/__api__/v1/content", shared["all"].api, "/__local__/users"):
        answer = browser.client.request(method, path, headers={"Accept": "*/*"})
        assert answer.status_code in (401, 404, 405, 501), answer.text
    refusal(browser.client.get("/__api__/v1/user"), 401)
    refusal(browser.client.delete(shared["all"].api), 401)


FOREIGN = {
    "a script elsewhere": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a script on another port": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    "an old browser's script": {"Origin": "https://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "an image elsewhere": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "image",
    },
    "an image on another port": {
        "Sec-Fetch-Site": "same-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "image",
    },
    "a frame elsewhere": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "iframe",
    },
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_page_elsewhere_cannot_use_the_session(
    browser: Browser, shared: dict[str, Content], name: str
) -> None:
    browser.choose("alice")
    headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", **FOREIGN[name]}
    if "Sec-Fetch-Site" not in FOREIGN[name]:
        for header in ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"):
            del browser.client.headers[header]
            headers.pop(header, None)
    assert viewer_in(browser.visit(shared["all"].path, **headers)) is None
    refusal(browser.visit(shared["acl"].path, **headers, Accept="*/*"), 401)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_form_elsewhere_cannot_use_the_session(
    browser: Browser, shared: dict[str, Content], method: str
) -> None:
    browser.choose("alice")
    headers = {**VISIT, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    refusal(browser.client.request(method, shared["acl"].path, headers=headers), 401)


def test_a_link_from_elsewhere_is_a_visit(browser: Browser, shared: dict[str, Content]) -> None:
    browser.choose("alice")
    answer = browser.visit(shared["acl"].path, **{"Sec-Fetch-Site": "cross-site"})
    assert viewer_in(answer) == "alice"


def test_own_pages_use_the_session(browser: Browser, shared: dict[str, Content]) -> None:
    browser.choose("alice")
    headers = {
        "Origin": browser.server.url,
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
    }
    answer = browser.client.post(shared["acl"].path, headers=headers)
    assert viewer_in(answer) == "alice"


def test_two_session_cookies_are_ignored(browser: Browser, shared: dict[str, Content]) -> None:
    content = shared["all"]
    browser.choose("alice")
    alice = browser.session
    browser.choose("bob", path=SIGN_IN)
    bob = browser.session

    def seen(*cookies: str) -> str | None:
        headers = [("Cookie", cookie) for cookie in cookies]
        return viewer_in(content.server.client.get(content.path, headers=headers))

    name = content.server.session_cookie
    good = f"{name}={bob}"
    assert seen(good) == "bob"
    assert seen(f"a=b; {good}; c=d") == "bob"
    for other in (alice, bob, "", "planted"):
        planted = f"{name}={other}"
        for cookies in (f"{planted}; {good}", f"{good};{planted}", f"{good}; a=b; {planted}"):
            assert seen(cookies) is None
        assert seen(planted, good) is None
        assert seen(good, planted) is None
    assert seen(f"{good}; {name}") is None
    assert seen(f"{name}={bob}x") is None
    assert seen(f'{name}="{bob}"') is None
    assert seen(f"{name.upper()}={bob}") is None
    assert seen(f"{name}9={bob}") is None
    # the session of a server at another port is none of ours, and none of the content's
    assert seen(f"{name}9={alice}; {good}") == "bob"


def test_an_api_key_has_precedence_over_the_session(
    browser: Browser, shared: dict[str, Content]
) -> None:
    browser.choose("bob")
    key = browser.server.users["erin"].api_key
    answer = browser.visit(shared["all"].path, Authorization=f"Key {key}")
    assert viewer_in(answer) == "erin"
    # and a wrong one is not made good by it
    refusal(browser.visit(shared["all"].path, Authorization="Key wrong"), 401)
    # while another kind of authorization is for the app
    answer = browser.visit(shared["all"].path, Authorization="Bearer token")
    assert viewer_in(answer) == "bob"
    assert answer.json()["environ"]["HTTP_AUTHORIZATION"] == "Bearer token"


def test_the_session_cookie_does_not_reach_the_app(
    browser: Browser, shared: dict[str, Content]
) -> None:
    browser.choose("bob")
    browser.client.cookies.set("theme", "dark")
    answer = browser.visit(shared["all"].path)
    assert browser.session
    assert browser.session not in answer.text
    assert answer.json()["environ"]["HTTP_COOKIE"] == "theme=dark"


OUR_NAMES = [
    "127.0.0.1:{port}",
    "localhost:{port}",
    "LOCALHOST:{port}",
    "[::1]:{port}",
    "192.0.2.7",
]
NOT_OURS = [
    "evil.example",
    "evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1@evil.example",
    "evil.example#127.0.0.1",
    "127.0.0.1:{port}:80",
    "127.0.0.1:99999",
    "localhost/..",
    "",
]


@pytest.mark.parametrize("host", OUR_NAMES)
def test_hosts_that_the_server_answers_to(shared: dict[str, Content], host: str) -> None:
    host = host.format(port=shared["all"].server.url.rpartition(":")[2])
    for path in ("/__api__/v1/user", SIGN_IN, shared["all"].path):
        assert shared["all"].server.get(path, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", NOT_OURS)
def test_hosts_that_the_server_does_not_answer_to(shared: dict[str, Content], host: str) -> None:
    host = host.format(port=shared["all"].server.url.rpartition(":")[2])
    for path in (
        "/__api__/v1/user",
        "/__api__/server_settings",
        "/__local__/health",
        "/__local__/static/style.css",
        SIGN_IN,
        shared["all"].path,
        "/nothing",
    ):
        answer = shared["all"].server.get(path, headers={"Host": host})
        assert answer.status_code == 400, f"{path}: {answer.text[:100]}"
        page = shared["all"].server.get(path, user=None, headers={"Host": host, "Accept": HTML})
        assert page.status_code == 400
        assert "token" not in page.text


def test_no_host_and_two_hosts(shared: dict[str, Content]) -> None:
    server = shared["all"].server
    for path in (SIGN_IN, shared["all"].path, "/__local__/health"):
        line = f"GET {path} HTTP/1.1".encode()
        assert raw(server, line, b"Host: localhost") == b"200"
        for hosts in ((), (b"Host: localhost", b"Host: localhost"), (b"Host: evil, localhost",)):
            assert raw(server, line, *hosts) == b"400"
        # an address that names a host of its own does not go round the check
        line = f"GET http://localhost{path} HTTP/1.1".encode()
        assert raw(server, line, b"Host: evil.example") == b"400"


def test_an_address_that_is_not_text(shared: dict[str, Content]) -> None:
    # no browser writes it so, but a program may
    for path in (shared["acl"].path, "/nothing/"):
        line = b"GET " + path.encode() + b"\xff\xfe HTTP/1.1"
        status = raw(shared["acl"].server, line, b"Host: localhost", b"Accept: text/html")
        assert status in (b"302", b"400", b"404")
