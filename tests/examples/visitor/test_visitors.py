"""visitor-key-example, deployed as a test of one's own would deploy it, and seen by everyone."""

import re
from collections.abc import Iterator

import httpx
import pytest
from posit.connect import Client  # type: ignore[import-untyped]

from local_connect.errors import LocalConnectError
from local_connect.testing import Content, LocalConnect
from tests.catalogue import ROOT
from tests.dashboard.test_forms import send, sign_in, token_of

USERS = """
[[users]]
username = "admin"
user_role = "administrator"
first_name = "Ada"
last_name = "Lovelace"

[[users]]
username = "alice"
user_role = "publisher"
first_name = "Alice"
last_name = "Liddell"

[[users]]
username = "bob"
user_role = "viewer"
"""

#: who -> how they are greeted
NAMES = {"admin": "Ada Lovelace", "alice": "Alice Liddell", "bob": "bob"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    directory = tmp_path_factory.mktemp("visitors")
    users = directory / "users.toml"
    users.write_text(USERS, "utf-8")
    with LocalConnect(directory, options=["--users", str(users)], root=ROOT) as server:
        yield server


@pytest.fixture(scope="module")
def api(server: LocalConnect) -> Content:
    return server.deploy(
        "visitor-key-example", access_type="logged_in", integrations=["visitor-key"]
    )


@pytest.mark.parametrize("who", NAMES)
def test_each_is_greeted_as_connect_knows_them(api: Content, who: str) -> None:
    assert api.get("me", as_user=who).json() == {
        "message": f"So nice to see you, {NAMES[who]}.",
        "username": who,
    }


def test_each_sees_their_own_content(api: Content, server: LocalConnect) -> None:
    for name in ("zebras", "apes"):
        made = server.request("POST", "/__api__/v1/content", as_user="alice", json={"name": name})
        made.raise_for_status()
    for who in NAMES:
        listed = server.request("GET", "/__api__/v1/content", as_user=who).json()
        wanted = sorted(
            (item["title"] or item["name"], item["content_url"], item["app_role"])
            for item in listed
            # the integration makes no administrator, who would see these
            if item["app_role"] != "none"
        )
        seen = api.get("my-content", as_user=who).json()
        assert [(item["title"], item["url"], item["role"]) for item in seen] == wanted
    assert len(seen) == 1


def test_without_the_integration(api: Content) -> None:
    assert api.get("me", as_user=None).status_code == 401
    api.use()
    try:
        answer = api.get("me", as_user="bob")
        assert answer.status_code == 503
        assert (
            "it has no integration of the type Connect Visitor API Key" in answer.json()["message"]
        )
    finally:
        api.use("visitor-key")
    with pytest.raises(LocalConnectError, match=r"no integration 'no-such', only .*visitor-key"):
        api.use("no-such")
    with pytest.raises(LocalConnectError, match="open to everyone"):
        api.server.deploy(
            "visitor-key-example", access_type="all", integrations=["visitor-key"], name="open"
        )


def test_a_test_acts_for_a_visitor(
    api: Content, server: LocalConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an app does with the token can be tried without the app."""
    monkeypatch.setenv("CONNECT_CONTENT_GUID", api.guid)
    with (
        Client(server.url, server.users["alice"].api_key) as alice,
        alice.with_user_session_token(api.token(as_user="bob")) as bob,
    ):
        assert bob.me["username"] == "bob"
    assert api.token(as_user="bob") == api.token(as_user="bob")
    assert api.token() == api.token(as_user="alice") != api.token(as_user="bob")


def test_the_dashboard_shows_as_whom_it_acted(api: Content, server: LocalConnect) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        sign_in(client, "alice")
        page = f"/connect/apps/{api.guid}/"
        settings = client.get(f"{page}settings", headers={"Accept": "text/html"}).text
        assert re.search(
            r"Connect Visitor API Key</span>\s*<span class=.what.>Visitor API", settings
        )
        form = {"token": token_of(client, page), "path": "me"}
        answer = send(client, f"{page}ask", form)
    assert answer.status_code == 200
    rows = re.findall(r"<li>(?:(?!</li>).)*acted(?:(?!</li>).)*</li>", answer.text, re.DOTALL)
    assert len(rows) == 3
    for row, (who, role) in zip(
        rows, {"admin": "publisher", "alice": "publisher", "bob": "viewer"}.items(), strict=True
    ):
        assert f"So nice to see you, {NAMES[who]}." in row
        assert f"The app acted as {who}, {role}, by Connect Visitor API Key." in row
    (nobody,) = re.findall(r"<li>\s*<span class=.who.>Nobody.*?</li>", answer.text, re.DOTALL)
    assert ">401<" in nobody
    assert "acted" not in nobody


def test_nothing_tells_a_token_or_a_key(api: Content, server: LocalConnect) -> None:
    for who in NAMES:
        token = api.token(as_user=who)
        assert token not in server.output + api.logs + api.build_log
        assert server.users[who].api_key not in api.logs
        for path in server.directory.rglob("local-connect.db*"):
            assert token.encode() not in path.read_bytes()
