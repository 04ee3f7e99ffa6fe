"""The API, with answers of Connect's made up in the place of Connect."""

import pytest
import responses

import app as visitor

CONNECT = "https://connect.example.com"
API = f"{CONNECT}/__api__"
ASSOCIATIONS = f"{API}/v1/content/some-guid/oauth/integrations/associations"
CREDENTIALS = f"{API}/v1/oauth/integrations/credentials"

TOKEN = {"Posit-Connect-User-Session-Token": "token-of-ada"}
ADA = {"username": "ada", "first_name": "Ada", "last_name": "Lovelace", "guid": "ada"}


@pytest.fixture
def client():
    return visitor.app.test_client()


@pytest.fixture
def connect(monkeypatch):
    """Connect, with an integration for this content; it knows one token, and the key for it."""
    monkeypatch.setenv("CONNECT_SERVER", CONNECT)
    monkeypatch.setenv("CONNECT_API_KEY", "key-of-the-content")
    monkeypatch.setenv("CONNECT_CONTENT_GUID", "some-guid")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as connect:
        connect.get(f"{API}/server_settings", json={"version": "2026.01.0"})
        connect.get(f"{API}/v1/content/some-guid", json={"guid": "some-guid"})
        connect.get(ASSOCIATIONS, json=[{"oauth_integration_template": "connect"}])
        connect.post(
            CREDENTIALS,
            json={"access_token": "key-of-ada", "token_type": "Key"},
            match=[
                responses.matchers.urlencoded_params_matcher(
                    {
                        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                        "subject_token_type": "urn:posit:connect:user-session-token",
                        "subject_token": "token-of-ada",
                        "requested_token_type": "urn:posit:connect:api-key",
                    }
                ),
                responses.matchers.header_matcher({"Authorization": "Key key-of-the-content"}),
            ],
        )
        as_ada = [responses.matchers.header_matcher({"Authorization": "Key key-of-ada"})]
        connect.get(f"{API}/v1/user", json=ADA, match=as_ada)
        connect.get(
            f"{API}/v1/content",
            json=[
                content(title="Zebras", url="https://z/", role="viewer"),
                content(title=None, name="apes", url="https://a/", role="owner"),
            ],
            match=as_ada,
        )
        yield connect


def content(title, url, role, name="z"):
    return {"guid": url, "title": title, "name": name, "content_url": url, "app_role": role}


def refuse(connect, code, message):
    """Let Connect refuse the exchange."""
    connect.replace("POST", CREDENTIALS, status=400, json={"code": code, "error": message})


@pytest.mark.usefixtures("connect")
def test_greets_by_the_name_that_connect_tells(client):
    assert client.get("/me", headers=TOKEN).json == {
        "message": "So nice to see you, Ada Lovelace.",
        "username": "ada",
    }


def test_greets_by_the_username_who_has_no_other_name(client, connect):
    connect.replace("GET", f"{API}/v1/user", json={**ADA, "first_name": "", "last_name": ""})
    assert client.get("/me", headers=TOKEN).json["message"] == "So nice to see you, ada."


@pytest.mark.usefixtures("connect")
def test_lists_what_the_visitor_may_see(client):
    assert client.get("/my-content", headers=TOKEN).json == [
        {"title": "Zebras", "url": "https://z/", "role": "viewer"},
        {"title": "apes", "url": "https://a/", "role": "owner"},
    ]


@pytest.mark.parametrize("path", ["/me", "/my-content"])
class TestRefusals:
    def test_nobody_is_signed_in(self, client, path):
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.json["message"].startswith("Nobody is signed in.")

    def test_no_integration(self, client, connect, path):
        refuse(connect, 212, "No OAuth integration.")
        answer = client.get(path, headers=TOKEN)
        assert answer.status_code == 503
        assert "Connect Visitor API Key" in answer.json["message"]

    def test_a_token_that_is_over(self, client, connect, path):
        refuse(connect, 3, "The token is over.")
        answer = client.get(path, headers=TOKEN)
        assert answer.status_code == 403
        assert "The token is over." in answer.json["message"]

    def test_connect_is_away(self, client, connect, path):
        connect.reset()
        answer = client.get(path, headers=TOKEN)
        assert answer.status_code == 502
        assert list(answer.json) == ["message"]

    def test_not_on_connect(self, client, monkeypatch, path):
        monkeypatch.delenv("CONNECT_SERVER", raising=False)
        answer = client.get(path, headers=TOKEN)
        assert answer.status_code == 503
        assert "does not run on Connect" in answer.json["message"]


def test_the_console_finds_the_api_wherever_it_is_mounted(client):
    mount = {"base_url": f"{CONNECT}/content/some-guid"}
    assert 'url: "/content/some-guid/openapi.json"' in client.get("/", **mount).text
    assert client.get("/openapi.json", **mount).json["servers"] == [{"url": "."}]


def test_nothing_says_the_key_or_the_token(client, connect):
    said = [client.get("/me", headers=TOKEN).text]
    for code in (3, 212):
        refuse(connect, code, "no")
        said.append(client.get("/me", headers=TOKEN).text)
    assert not any("key-of" in text or "token-of" in text for text in said)
