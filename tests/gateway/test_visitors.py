"""What content sees of its visitors, and which visitors it sees."""

import json
import uuid
from pathlib import Path

import httpx
import pytest

from tests.deployed import Content, Person
from tests.servers import running_server

CREDENTIALS = "HTTP_RSTUDIO_CONNECT_CREDENTIALS"

#: what only Connect says, or what would make content believe in another address or visitor
SPOOFED = [
    "RStudio-Connect-Credentials",
    "rstudio-connect-credentials",
    "RSTUDIO_CONNECT_CREDENTIALS",
    "RStudio_Connect-Credentials",
    "RStudio-Connect-App-Base-URL",
    "RStudio-Connect-Anything-Else",
    "Posit-Connect-User-Session-Token",
    "posit_connect_user_session_token",
    "Posit-Connect-Credentials",
    "X-RSC-Request",
    "x_rsc_request",
    "X-RSC-Authorization",
    "X-Local-Connect-Environ",
    "X_Local_Connect_Environ",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X_Forwarded_Proto",
    "X-Real-IP",
    "X-Script-Name",
    "X-Original-URL",
    "Proxy",
]


def spoofs(environ: dict[str, str]) -> list[str]:
    return [name for name, value in environ.items() if "spoofed" in value]


@pytest.mark.parametrize("name", SPOOFED)
def test_spoofed_headers_do_not_arrive(visited: Content, name: str) -> None:
    for user in ("alice", None):
        true = visited.echo(user=user)["environ"]
        headers = [(name, "spoofed"), ("X-Between", "1"), (name.lower(), '{"user": "spoofed"}')]
        environ = visited.echo(user=user, headers=headers)["environ"]
        assert spoofs(environ) == []
        assert environ.pop("HTTP_X_BETWEEN") == "1"
        assert environ.keys() == true.keys()
        for key in ("SCRIPT_NAME", "REMOTE_ADDR", "HTTP_HOST", "HTTP_X_RSC_REQUEST"):
            assert environ[key] == true[key]


def test_other_headers_arrive(visited: Content) -> None:
    # or the test above would pass where nothing does
    name = "X-Ordinary"
    environ = visited.echo(headers=[(name, "spoofed"), (name, "too")])["environ"]
    assert spoofs(environ) == ["HTTP_X_ORDINARY"]
    assert [part.strip() for part in environ["HTTP_X_ORDINARY"].split(",")] == ["spoofed", "too"]


def test_a_name_with_an_underscore_cannot_pose_as_one_with_a_hyphen(visited: Content) -> None:
    headers = [("X-Ordinary", "own"), ("X_Ordinary", "spoofed")]
    assert visited.echo(headers=headers)["environ"]["HTTP_X_ORDINARY"] == "own"


def test_the_client_cannot_have_the_credentials_dropped(visited: Content) -> None:
    headers = {
        "Connection": "keep-alive, RStudio-Connect-Credentials, X-Ordinary",
        "X-Ordinary": "1",
    }
    environ = visited.echo(headers=headers)["environ"]
    assert json.loads(environ[CREDENTIALS])["user"] == "alice"
    assert "HTTP_X_ORDINARY" not in environ


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("alice", {"user": "alice", "groups": ["data-science", "staff"]}),
        ("bob", {"user": "bob", "groups": []}),
        ("admin", {"user": "admin", "groups": []}),
    ],
)
def test_credentials(visited: Content, user: str, expected: object) -> None:
    assert json.loads(visited.echo(user=user)["environ"][CREDENTIALS]) == expected
    key = visited.server.users[user].api_key
    by_other_header = visited.echo(user=None, headers={"X-RSC-Authorization": f"Key {key}"})
    assert json.loads(by_other_header["environ"][CREDENTIALS]) == expected


def test_no_credentials_for_a_visitor_who_is_not_signed_in(visited: Content) -> None:
    assert CREDENTIALS not in visited.echo(user=None)["environ"]


def test_the_key_stays_with_the_server(visited: Content) -> None:
    keys = [user.api_key for user in visited.server.users.values()]
    environ = visited.echo()["environ"]
    assert not [name for name, value in environ.items() if any(key in value for key in keys)]
    # what is not for the server is for the app
    environ = visited.echo(user=None, headers={"Authorization": "Bearer of news"})["environ"]
    assert environ["HTTP_AUTHORIZATION"] == "Bearer of news"


def test_the_mount_and_the_address(visited: Content) -> None:
    url = f"{visited.server.url}/content/{visited.guid}"
    environ = visited.echo("a/b%20c/d?q=1&r=%C3%A9")["environ"]
    assert environ["SCRIPT_NAME"] == f"/content/{visited.guid}"
    assert environ["PATH_INFO"] == "/a/b c/d"
    assert environ["QUERY_STRING"] == "q=1&r=%C3%A9"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_HOST"] == visited.server.url.removeprefix("http://")
    assert f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}" == environ["HTTP_HOST"]
    assert environ["HTTP_RSTUDIO_CONNECT_APP_BASE_URL"] == url
    assert environ["HTTP_X_RSC_REQUEST"] == f"{url}/a/b%20c/d?q=1&r=%C3%A9"
    # and so what the app makes of it all is right
    assert visited.echo("a/b?q=1")["url"] == f"{url}/a/b?q=1"


def test_the_host_is_the_one_that_the_client_used(visited: Content) -> None:
    environ = visited.echo(headers={"Host": "localhost:8080"})["environ"]
    assert environ["HTTP_HOST"] == "localhost:8080"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "8080")
    assert environ["HTTP_X_RSC_REQUEST"] == f"http://localhost:8080{visited.path}"


def test_text_in_any_script(visited: Content) -> None:
    seen = visited.echo(
        "greetings/ᏏᏲ/你好", headers=[(b"X-Name", "José هَبَارِ".encode()), (b"X-Latin", b"caf\xe9")]
    )
    assert seen["path"] == "greetings/ᏏᏲ/你好"
    # WSGI hands bytes over as Latin-1
    environ = seen["environ"]
    assert environ["HTTP_X_NAME"].encode("latin-1").decode() == "José هَبَارِ"
    assert environ["HTTP_X_LATIN"] in ("caf\xe9", "caf\xe9".encode().decode("latin-1"))


def test_cookies_arrive_as_one(visited: Content) -> None:
    headers = [("Cookie", "a=1"), ("Cookie", "b=2")]
    assert visited.echo(headers=headers)["environ"]["HTTP_COOKIE"] == "a=1; b=2"


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_arrives(visited: Content, size: int, chunked: bool) -> None:
    body = b"x" * size
    # httpx sends an iterator in chunks
    content = iter([body]) if chunked else body
    answer = visited.server.request("POST", visited.path, content=content)
    seen = answer.raise_for_status().json()
    assert seen["method"] == "POST"
    assert len(seen["body"]) == size


def test_the_apps_own_refusals_pass(visited: Content) -> None:
    answer = visited.server.request("DELETE", visited.path)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert visited.server.request("HEAD", visited.path).status_code == 200


@pytest.mark.parametrize("query", ["", "?lang=en&lang=sw&empty=&x=%2F"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_the_last_slash(visited: Content, query: str, method: str) -> None:
    server = visited.server
    answer = server.request(method, visited.path.rstrip("/") + query)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{server.url}{visited.path}{query}"
    followed = server.request(method, visited.path.rstrip("/") + query, follow_redirects=True)
    assert followed.json()["method"] == method
    assert f"?{followed.json()['environ']['QUERY_STRING']}" == (query or "?")


def test_who_may_open_it(alice: Person, app: Path) -> None:
    content = alice.deploy("api", app)

    def statuses() -> dict[str | None, int]:
        return {
            user: content.server.get(content.path, user=user).status_code
            for user in ("alice", "admin", "bob", None)
        }

    assert statuses() == {"alice": 200, "admin": 403, "bob": 403, None: 401}
    content.open_to("logged_in")
    assert statuses() == {"alice": 200, "admin": 200, "bob": 200, None: 401}
    content.open_to("all")
    assert statuses() == {"alice": 200, "admin": 200, "bob": 200, None: 200}
    content.open_to("acl")
    assert statuses() == {"alice": 200, "admin": 403, "bob": 403, None: 401}


def test_a_wrong_key_is_not_a_visitor_without_one(visited: Content) -> None:
    for header in ("Authorization", "X-RSC-Authorization"):
        answer = visited.server.get(
            visited.path, user=None, headers={header: f"Key {uuid.uuid4().hex}"}
        )
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/content/",
        "/content/{no_such_guid}/",
        "/content/{GUID}/",
        "/content//{guid}/",
        "/content/../content/{no_such_guid}/",
        "/CONTENT/{guid}/",
        "/%63ontent/{guid}/",
        "/content/{guid}x/",
    ],
)
def test_no_content_there(visited: Content, path: str) -> None:
    guid = visited.guid
    path = path.format(guid=guid, GUID=guid.upper(), no_such_guid=uuid.uuid4())
    # as it stands: httpx resolves dots
    url = httpx.URL(visited.server.url).copy_with(raw_path=path.encode())
    answer = visited.server.client.get(url)
    assert answer.status_code == 404
    assert set(answer.json()) == {"code", "error"}


USERS = """
[[users]]
username = "José 你好"
user_role = "administrator"
groups = ["Ünïts", "هَبَارِ"]
"""


def test_names_in_any_script(visited: Content, tmp_path: Path, app: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text(USERS, "utf-8")
    with running_server(tmp_path / "data", "--users", str(users)) as server:
        jose = Person(server, "José 你好", tmp_path / "home")
        done = jose.rsconnect("deploy", "api", "--quiet", app)
        assert done.returncode == 0, done.stderr
        (item,) = server.get("/__api__/v1/content", user=jose.name).json()
        environ = server.get(f"/content/{item['guid']}/", user=jose.name).json()["environ"]
        # as Connect, written in Go, would send it: UTF-8, which WSGI hands over as Latin-1
        credentials = environ[CREDENTIALS].encode("latin-1")
        assert json.loads(credentials) == {"user": "José 你好", "groups": ["Ünïts", "هَبَارِ"]}
        assert "José".encode() in credentials

        # a key is good for the server that gave it
        key = {"Authorization": f"Key {server.users[jose.name].api_key}"}
        assert server.get("/__api__/v1/user", user=None, headers=key).is_success
        assert visited.server.get("/__api__/v1/user", user=None, headers=key).status_code == 401
