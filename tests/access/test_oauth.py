"""The visitor's token as content gets it, and what posit-sdk and rsconnect make of it."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from posit.connect import Client  # type: ignore[import-untyped]
from posit.connect.errors import ClientError  # type: ignore[import-untyped]
from posit.connect.external import aws, snowflake  # type: ignore[import-untyped]

from tests.access.conftest import create, deploy, permit, refusal, write_users, wsgi
from tests.access.test_sessions import Browser
from tests.deployed import Content, Person
from tests.servers import LocalConnect, running_server

TOKEN = "Posit-Connect-User-Session-Token"
URN = "urn:posit:connect:"

USERS = """
[[users]]
username = "admin"
user_role = "administrator"
first_name = "Ada"

[[users]]
username = "alice"
user_role = "publisher"
first_name = "Alice"

[users.credentials]
Warehouse = "secret-of-alice"
Robot = "secret-of-the-robot"
Buckets = {accessKeyId = "id", secretAccessKey = "secret", sessionToken = "session"}

[[users]]
username = "bob"
user_role = "viewer"
first_name = "Bob"
credentials = {Warehouse = "secret-of-bob"}

[[users]]
username = "carol"
user_role = "viewer"
"""

#: tells what it got
APP = wsgi(
    """
import json, os

def app(environ, start_response):
    file = os.environ.get("CONNECT_CONTENT_SESSION_TOKEN_FILE")
    said = {
        "tokens": [value for name, value in environ.items() if "SESSION_TOKEN" in name],
        "key": os.environ["CONNECT_API_KEY"],
        "content_token": open(file).read() if file else None,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
"""
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    directory = tmp_path_factory.mktemp("oauth")
    users = write_users(directory / "users.toml", USERS)
    with CLIENTS, running_server(directory / "data", "--users", str(users)) as server:
        yield server
        # whatever was given out, nothing of it was printed
        assert "secret-of" not in server.output
        for token in GIVEN:
            assert token not in server.output


#: every token and key that the tests have seen
GIVEN: set[str] = set()

CLIENTS = ExitStack()


@pytest.fixture(scope="module")
def visited(server: LocalConnect) -> Content:
    content = create(server, access_type="logged_in")
    deploy(content, APP)
    return content


@pytest.fixture
def sdk(visited: Content, monkeypatch: pytest.MonkeyPatch) -> Any:
    """posit-sdk as it is within the visited, which has its own key."""
    monkeypatch.setenv("CONNECT_CONTENT_GUID", visited.guid)
    monkeypatch.setenv("POSIT_PRODUCT", "CONNECT")
    return kept(Client(visited.server.url, said(visited)["key"]))


def kept(client: Any) -> Any:
    """A client of posit-sdk, until the end: what it gives holds on to it only weakly."""
    return CLIENTS.enter_context(client)


def client(server: LocalConnect, name: str) -> Any:
    """posit-sdk with somebody's own key."""
    return kept(Client(server.url, server.users[name].api_key))


def said(content: Content, user: str = "alice", **options: Any) -> Any:
    told = content.echo(user=user, **options)
    GIVEN.update([*told["tokens"], told["key"]])
    return told


def token(content: Content, user: str = "alice") -> str:
    (token,) = said(content, user)["tokens"]
    return str(token)


def integration(server: LocalConnect, template: str, name: str, **config: str) -> str:
    """The GUID of a new integration."""
    body = {"template": template, "name": name, "config": config}
    made = server.request("POST", "/__api__/v1/oauth/integrations", user="admin", json=body)
    return str(made.raise_for_status().json()["guid"])


def default(server: LocalConnect) -> str:
    found = server.get("/__api__/v1/oauth/integrations").json()
    (guid,) = (one["guid"] for one in found if one["name"] == "Connect Visitor API Key")
    return str(guid)


def use(content: Content, *guids: str) -> None:
    body = [{"oauth_integration_guid": guid} for guid in guids]
    path = f"{content.api}/oauth/integrations/associations"
    content.server.request("PUT", path, json=body).raise_for_status()


def refused(status: int, code: int) -> "pytest.RaisesExc[ClientError]":
    return pytest.raises(
        ClientError, check=lambda error: (error.http_status, error.error_code) == (status, code)
    )


def test_who_gets_a_token(visited: Content) -> None:
    server = visited.server
    first = token(visited)
    assert token(visited) == first
    assert token(visited, "bob") != first
    browser = Browser(server)
    with browser.client:
        browser.choose("bob")
        assert browser.visit(visited.path).json()["tokens"] == [token(visited, "bob")]
    # a client's own copies are dropped
    for name in (TOKEN, TOKEN.lower(), TOKEN.replace("-", "_")):
        assert said(visited, headers={name: "forged"})["tokens"] == [first]
    visited.open_to("all")
    try:
        assert server.get(visited.path, user=None, headers={TOKEN: first}).json()["tokens"] == []
        assert token(visited) == first
    finally:
        visited.open_to("logged_in")


def test_acting_for_the_visitor(visited: Content, sdk: Any) -> None:
    server = visited.server
    use(visited, default(server))
    for name in ("alice", "bob", "carol", "admin"):
        visitor = kept(sdk.with_user_session_token(token(visited, name)))
        GIVEN.add(visitor.cfg.api_key)
        assert visitor.me["username"] == name
        seen = {item["guid"] for item in visitor.content.find()}
        own = client(server, name)
        assert seen == {item["guid"] for item in own.content.find()}
    # the maximum of the default is a publisher
    assert visitor.me["user_role"] == "publisher"
    headers = {"Authorization": f"Key {visitor.cfg.api_key}"}
    refusal(server.client.get("/__local__/users", headers=headers), 403)
    with refused(403, 22):
        visitor.oauth.get_credentials(token(visited))


def test_a_key_changes_only_what_the_visitor_may(visited: Content, sdk: Any) -> None:
    server = visited.server
    low = integration(server, "connect", "Low", max_role="Viewer")
    use(visited, low)
    alice = kept(sdk.with_user_session_token(token(visited)))
    assert alice.me["user_role"] == "viewer"
    with refused(403, 22):
        alice.content.create(name=f"made-{uuid.uuid4().hex[:8]}")
    with refused(403, 22):
        alice.content.get(visited.guid).update(title="changed")
    use(visited, default(server))
    alice = kept(sdk.with_user_session_token(token(visited)))
    alice.content.get(visited.guid).update(title="changed")
    bob = kept(sdk.with_user_session_token(token(visited, "bob")))
    with refused(403, 22):
        bob.content.get(visited.guid).update(title="changed by bob")
    # a token of the content that a lowered key visits is lowered too
    use(visited, low)
    alice = kept(sdk.with_user_session_token(token(visited)))
    other = create(server, access_type="logged_in")
    deploy(other, APP)
    use(other, default(server))
    told = server.client.get(
        other.path, headers={"Authorization": f"Key {alice.cfg.api_key}"}
    ).json()
    within = kept(Client(server.url, told["key"]))
    key = within.oauth.get_credentials(told["tokens"][0])["access_token"]
    assert kept(Client(server.url, key)).me["user_role"] == "viewer"
    # and what is the other's is nothing to the first
    with refused(403, 22):
        sdk.oauth.get_credentials(told["tokens"][0])


def test_without_an_integration(visited: Content, sdk: Any) -> None:
    use(visited)
    for call in (sdk.with_user_session_token, sdk.oauth.get_credentials):
        with refused(400, 212):
            call(token(visited))
    with refused(400, 3):
        sdk.with_user_session_token("forged")


def test_what_each_visitor_has_elsewhere(visited: Content, sdk: Any) -> None:
    server = visited.server
    warehouse = integration(server, "snowflake", "Warehouse")
    buckets = integration(server, "aws", "Buckets")
    use(visited, warehouse, buckets, default(server))
    # the one that gives keys is found among several
    assert kept(sdk.with_user_session_token(token(visited, "bob"))).me["username"] == "bob"
    for name in ("alice", "bob"):
        auth = snowflake.PositAuthenticator(
            client=sdk, user_session_token=token(visited, name), audience=warehouse
        )
        assert (auth.authenticator, auth.token) == ("oauth", f"secret-of-{name}")
    with refused(403, 22):
        sdk.oauth.get_credentials(token(visited, "carol"), audience=warehouse)
    keys = aws.get_credentials(sdk, token(visited), audience=buckets)
    assert keys["aws_session_token"] == "session"

    bob, admin, carol = (client(server, name) for name in ("bob", "admin", "carol"))
    sessions = bob.oauth.sessions.find()
    assert [one["oauth_integration_guid"] for one in sessions] == [warehouse]
    everyone = admin.oauth.sessions
    assert {one["user_guid"] for one in everyone.find(all=True)} == {
        server.users["alice"].guid,
        server.users["bob"].guid,
    }
    (own,) = sessions
    with refused(403, 22):
        carol.oauth.sessions.get(own["guid"])
    own.delete()
    with refused(404, 4):
        everyone.get(own["guid"])


def test_a_service_account(
    visited: Content, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = visited.server
    use(visited)
    assert said(visited)["content_token"] is None
    robot = integration(server, "databricks", "Robot", auth_type="Service Account")
    use(visited, robot)
    told = said(visited, "bob")
    GIVEN.add(told["content_token"])
    file = tmp_path / "token"
    file.write_text(told["content_token"])
    monkeypatch.setenv("CONNECT_CONTENT_SESSION_TOKEN_FILE", str(file))
    within = kept(Client(server.url, told["key"]))
    assert within.oauth.get_content_credentials()["access_token"] == "secret-of-the-robot"
    with refused(400, 3):
        within.oauth.get_credentials(token(visited))
    # the integration goes, and the token with the process that had it
    server.request("DELETE", f"/__api__/v1/oauth/integrations/{robot}", user="admin")
    assert said(visited)["content_token"] is None


def test_associations_from_both_sides(visited: Content) -> None:
    server = visited.server
    own = client(server, "alice")
    item = own.content.get(visited.guid)
    guid = default(server)
    item.oauth.associations.update(guid)
    (association,) = item.oauth.associations.find()
    assert association["app_guid"] == visited.guid
    assert association["oauth_integration_guid"] == guid
    assert association["oauth_integration_template"] == "connect"
    found = item.oauth.associations.find_by(auth_type="Visitor API Key", name="^Connect")
    assert found == association
    assert association in own.oauth.integrations.get(guid).associations.find()
    for name, status in (("bob", 403), ("carol", 403)):
        path = f"{visited.api}/oauth/integrations/associations"
        refusal(server.request("PUT", path, user=name, json=[]), status)
    # open to everyone is for nobody's token
    open_to_all = server.request("PATCH", visited.api, json={"access_type": "all"})
    assert "another access_type" in refusal(open_to_all, 409)
    item.oauth.associations.delete()
    assert item.oauth.associations.find() == []


def test_rsconnect_manages_integrations(server: LocalConnect, tmp_path: Path) -> None:
    admin = Person(server, "admin", tmp_path)

    def run(*arguments: str) -> str:
        done = admin.rsconnect("integration", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f"{default(server)}  Connect Visitor API Key" in run("list")
    assert "snowflake  Snowflake" in run("templates", "list")
    assert json.loads(run("templates", "show", "connect"))["id"] == "connect"
    bob = server.users["bob"].guid
    made = json.loads(
        run(
            *("add", "-t", "custom", "-N", "Mine", "-d", "for me", "--allow-user", bob),
            *("-C", "client_id=x", "-C", "client_secret=hidden"),
        )
    )
    assert made["config"] == {"client_id": "x", "auth_type": "Viewer"}
    assert made["permissions"] == [{"user_guid": bob, "group_guid": None}]
    guid = made["guid"]
    edited = json.loads(run("edit", guid, "-N", "Ours", "-C", "scopes=all"))
    assert edited["name"] == "Ours"
    assert edited["config"] == {"client_id": "x", "auth_type": "Viewer", "scopes": "all"}
    assert json.loads(run("show", guid)) == edited
    assert "Deleted" in run("remove", guid)
    gone = admin.rsconnect("integration", "show", guid)
    assert gone.returncode != 0
    assert "no such integration" in gone.stderr


def test_nobody_exchanges_anything_without_a_key(visited: Content) -> None:
    path = "/__api__/v1/oauth/integrations/credentials"
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": f"{URN}user-session-token",
        "subject_token": token(visited),
    }
    refusal(visited.server.request("POST", path, user=None, data=form), 401)
    refusal(visited.server.request("POST", path, user="bob", data=form), 403)
    refusal(visited.server.request("POST", path, user="alice", json=form), 400)
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    refusal(visited.server.request("POST", path, headers=broken, content=b"--x\r\n--y"), 400)


def test_the_list_of_those_who_may_open_it_counts(server: LocalConnect) -> None:
    content = create(server)
    deploy(content, APP)
    permission = permit(content, "bob", "viewer")
    use(content, default(server))
    within = kept(Client(server.url, said(content)["key"]))
    bob = token(content, "bob")
    key = within.oauth.get_credentials(bob)["access_token"]
    server.request("DELETE", f"{content.api}/permissions/{permission}").raise_for_status()
    with refused(403, 22):
        within.oauth.get_credentials(bob)
    refusal(server.client.get(content.path, headers={"Authorization": f"Key {key}"}), 403)
