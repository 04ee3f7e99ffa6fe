"""The forms of the dashboard, sent as no page would send them."""

import re
from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.dashboard.conftest import HOME, address
from tests.deployed import Content
from tests.servers import LocalConnect

SIGN_IN = "/__login__"

#: what a browser sends with a form of a page that has no origin
FORM = {
    "Accept": "text/html",
    "Origin": "null",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@pytest.fixture
def client(server: LocalConnect) -> Iterator[httpx.Client]:
    """A browser's cookies; nobody is signed in."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client


def token_of(client: httpx.Client, path: str = HOME) -> str:
    answer = client.get(path, headers={"Accept": "text/html"})
    match = re.search('name="token" value="([^"]+)"', answer.text)
    assert match, f"{answer.status_code}: {answer.text}"
    return match[1]


def sign_in(client: httpx.Client, name: str) -> None:
    send(client, SIGN_IN, {"token": token_of(client), "username": name, "url": HOME})


def send(
    client: httpx.Client,
    action: str,
    fields: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send a form, without the session's cookie: a page that has no origin has none to send."""
    cookies = client.cookies
    client.cookies = httpx.Cookies()
    answer = client.post(action, data=fields, headers={**FORM, **(headers or {})})
    cookies.update(client.cookies)
    client.cookies = cookies
    return answer


def change(client: httpx.Client, content: Content, token: str, **headers: str) -> httpx.Response:
    return send(
        client, f"{address(content)}access", {"token": token, "access_type": "all"}, headers
    )


def test_a_page_acts_for_who_opened_it(client: httpx.Client, own: Content) -> None:
    sign_in(client, "alice")
    assert change(client, own, token_of(client, address(own))).status_code == 303
    assert own.item["access_type"] == "all"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "iframe"},
    ],
    ids=str,
)
def test_a_form_that_is_not_from_a_window_of_ours(
    client: httpx.Client, own: Content, headers: dict[str, str]
) -> None:
    sign_in(client, "alice")
    refused = change(client, own, token_of(client, address(own)), **headers)
    assert refused.status_code == 403
    assert "token" not in refused.text
    assert own.item["access_type"] == "acl"


def test_a_token_is_needed(client: httpx.Client, own: Content) -> None:
    sign_in(client, "alice")
    assert change(client, own, "x" * 43).status_code == 403
    assert send(client, f"{address(own)}access", {"access_type": "all"}).status_code == 400
    assert own.item["access_type"] == "acl"


def test_a_page_ends_with_its_session(client: httpx.Client, own: Content) -> None:
    sign_in(client, "alice")
    left_open = token_of(client, address(own))
    sign_in(client, "bob")
    assert change(client, own, left_open).status_code == 403
    assert (
        client.get(
            "/connect/live", params={"token": left_open, "guid": own.guid, "log": "x"}
        ).status_code
        == 401
    )
    assert own.item["access_type"] == "acl"


def test_who_may_not_change_may_not_by_a_form(
    client: httpx.Client, shared: Content, own: Content
) -> None:
    sign_in(client, "bob")
    token = token_of(client, address(shared))
    for action, fields in {
        "access": {"access_type": "logged_in"},
        "activate": {"bundle_id": str(shared.item["bundle_id"])},
        "permit": {"principal": f"user:{shared.server.users['bob'].guid}", "role": "owner"},
        "forbid": {"id": "1"},
        "vanity": {"path": "/bob/"},
        "variable": {"name": "A", "value": "b"},
        "look": {},
    }.items():
        refused = send(client, f"{address(shared)}{action}", {"token": token, **fields})
        assert refused.status_code == 403, action
        assert "bob is a viewer and may not publish." in refused.text
        assert (
            send(client, f"{address(own)}{action}", {"token": token, **fields}).status_code == 404
        )
    assert shared.item["access_type"] == "all"
    for tab in ("logs", "settings"):
        page = client.get(f"{address(shared)}{tab}", headers={"Accept": "text/html"})
        assert page.status_code == 403
    own.open_to("all")
    repository = {"repository": "/apis/of/alice"}
    own.server.request("PUT", f"{own.api}/repository", json=repository).raise_for_status()
    for secret in ("Bundles", own.server.users["alice"].api_key, "logs", "/apis/of/alice"):
        assert secret not in client.get(address(own)).text


def test_an_anonymous_visitor_changes_nothing(
    client: httpx.Client, shared: Content, own: Content
) -> None:
    token = token_of(client, address(shared))
    assert change(client, shared, token).status_code == 403
    for tab in ("", "logs", "settings"):
        answer = client.get(f"{address(own)}{tab}", headers={"Accept": "text/html"})
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"{SIGN_IN}?url={address(own)}{tab}"


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("access", {}),
        ("access", {"access_type": "some"}),
        ("activate", {}),
        ("activate", {"bundle_id": "99999"}),
        ("permit", {"principal": "user:nobody", "role": "viewer"}),
        ("permit", {"principal": "", "role": ""}),
        ("forbid", {"id": "x"}),
        ("vanity", {"path": "/connect/"}),
        ("variable", {"name": "", "value": "x"}),
        ("look", {}),
        ("nothing", {}),
    ],
    ids=str,
)
def test_a_form_that_is_wrong_is_answered_with_the_reason(
    client: httpx.Client, own: Content, action: str, fields: dict[str, str]
) -> None:
    sign_in(client, "alice")
    token = token_of(client, address(own))
    answer = send(client, f"{address(own)}{action}", {"token": token, **fields})
    assert 400 <= answer.status_code < 500
    assert answer.headers["Content-Type"].startswith("text/html")
    assert 'role="alert"' in answer.text or action == "nothing"


def test_a_token_opens_no_api(client: httpx.Client, own: Content) -> None:
    sign_in(client, "alice")
    token = token_of(client, address(own))
    for headers in ({"Authorization": f"Key {token}"}, {}):
        answer = client.get(own.api, headers=headers, params={"token": token})
        assert answer.status_code == 401


def test_the_headers(client: httpx.Client, own: Content) -> None:
    sign_in(client, "alice")
    for tab in ("", "logs", "settings"):
        answer = client.get(f"{address(own)}{tab}", headers={"Accept": "text/html"})
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "sandbox allow-forms allow-scripts" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert " style=" not in answer.text
        assert not re.search(r"<script(?! src=)", answer.text)


def test_updates_end_with_the_page_and_with_the_right_to_them(
    client: httpx.Client, own: Content
) -> None:
    sign_in(client, "alice")
    job = own.server.get(f"{own.api}/jobs").json()[0]["key"]
    for end in ("page", "content"):
        token = token_of(client, address(own))
        news = {"token": token, "guid": own.guid, "log": f"job-{job}"}
        with own.server.client.stream("GET", "/connect/live", params=news) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: states"
            if end == "page":
                send(client, SIGN_IN, {"token": token, "username": "alice", "url": HOME})
            else:
                own.server.request("DELETE", own.api).raise_for_status()
            # to a whole end, and with nothing of another answer in it
            assert not [line for line in lines if not line.startswith(("event:", "data:")) and line]
