"""The forms of the dashboard, sent as no page would send them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

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


def test_an_anonymous_visitor_is_led_to_sign_in_for_what_is_not_to_be_seen(
    client: httpx.Client, shared: Content
) -> None:
    """The content is open to everyone, and what only its owner may see is not."""
    for tab in ("logs", "settings", "requests"):
        answer = client.get(f"{address(shared)}{tab}", headers={"Accept": "text/html"})
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"{SIGN_IN}?url={address(shared)}{tab}"


def test_an_anonymous_visitor_ends_no_fault(client: httpx.Client, own: Content) -> None:
    fault = {"kind": "status", "status": 503, "content_guid": own.guid, "next": 1}
    own.server.request("POST", "/__local__/faults", user="admin", json=fault).raise_for_status()
    refused = send(client, "/connect/faults/reset", {"token": token_of(client)})
    assert refused.status_code == 403
    assert "Nobody is signed in here any more." in refused.text
    assert own.server.get(own.path).status_code == 503


def test_an_address_without_its_last_slash_leads_on(client: httpx.Client, own: Content) -> None:
    for path in (HOME, address(own)):
        answer = client.get(path.removesuffix("/"))
        assert (answer.status_code, answer.headers["Location"]) == (308, path)


def test_a_log_that_is_gone_is_not_found(client: httpx.Client, own: Content) -> None:
    sign_in(client, "alice")
    answer = client.get(
        f"{address(own)}logs", params={"log": "job-gone"}, headers={"Accept": "text/html"}
    )
    assert answer.status_code == 404
    assert "There is no such log any more." in answer.text


def asked(client: httpx.Client, content: Content, path: str) -> str:
    """The page that shows what each identity gets from a path."""
    token = token_of(client, address(content))
    answer = send(client, f"{address(content)}ask", {"token": token, "path": path})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_what_each_identity_gets_where_there_is_no_plain_answer(
    client: httpx.Client, shared: Content
) -> None:
    sign_in(client, "alice")
    everyone = len(shared.server.users) + 1
    assert asked(client, shared, "round").count("More than 5 redirects.") == everyone
    assert asked(client, shared, "page").count(">an HTML page<") == everyone
    assert asked(client, shared, "pieces").count(">first, second<") == everyone


def last_request(content: Content) -> dict[str, Any]:
    """The newest that came in for the content, as it is recorded."""
    query = {"content_guid": content.guid, "limit": 1}
    listed = content.server.get("/__local__/requests", user="admin", params=query)
    one: dict[str, Any] = listed.raise_for_status().json()[0]
    return one


def test_a_request_is_sent_again_as_nobody_and_when_its_answer_is_cut_off(
    client: httpx.Client, own: Content
) -> None:
    sign_in(client, "alice")
    # of an answer this short nothing is left
    own.server.get(f"{own.path}page").raise_for_status()
    number = last_request(own)["id"]
    fault = {"kind": "cut", "content_guid": own.guid, "next": 1}
    own.server.request("POST", "/__local__/faults", user="admin", json=fault).raise_for_status()
    for visitor, expected in (("", ("alice", "cut")), ("-", (None, None))):
        fields = {"token": token_of(client, address(own)), "id": str(number), "visitor": visitor}
        answer = send(client, f"{address(own)}again", fields)
        again = last_request(own)
        assert (again["visitor"], again["faults"]) == expected
        beside = f"{address(own)}requests?id={number}&beside={again['id']}#answers"
        assert (answer.status_code, answer.headers["Location"]) == (303, beside)


def test_a_request_is_not_sent_again_as_somebody_unknown(
    client: httpx.Client, own: Content
) -> None:
    sign_in(client, "alice")
    own.echo("first", user="alice")
    number = last_request(own)["id"]
    fields = {"token": token_of(client, address(own)), "id": str(number), "visitor": "eve"}
    answer = send(client, f"{address(own)}again", fields)
    assert answer.status_code == 400
    assert "There is no user eve." in answer.text
    assert last_request(own)["id"] == number


def test_a_request_for_other_content_is_not_shown(
    client: httpx.Client, own: Content, shared: Content
) -> None:
    sign_in(client, "alice")
    shared.echo("elsewhere", user="bob")
    answer = client.get(
        f"{address(own)}requests",
        params={"id": last_request(shared)["id"]},
        headers={"Accept": "text/html"},
    )
    assert answer.status_code == 404
    assert "There is no such request for this content." in answer.text


@pytest.mark.parametrize(("method", "option"), [("HEAD", "--head"), ("PUT", "--request PUT")])
def test_the_command_for_a_shell_has_the_method(
    client: httpx.Client, own: Content, method: str, option: str
) -> None:
    sign_in(client, "alice")
    own.server.request(method, own.path).raise_for_status()
    page = client.get(f"{address(own)}requests", headers={"Accept": "text/html"})
    assert f" --globoff {option} " in page.text


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


def test_a_log_whose_beginning_was_dropped_begins_anew(client: httpx.Client, own: Content) -> None:
    """A page has had more lines of it than there are."""
    sign_in(client, "alice")
    own.echo()
    job = own.jobs[0]["key"]
    token = token_of(client, address(own))
    news = {"token": token, "guid": own.guid, "log": f"job-{job}", "from": "1000000"}
    with own.server.client.stream("GET", "/connect/live", params=news) as stream:
        events = (line for line in stream.iter_lines() if line)
        while (event := next(events)) != "event: reset":
            assert event != "event: lines"
        assert [next(events), next(events)] == ["data: null", "event: lines"]
        assert "asked by" in next(events)


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
