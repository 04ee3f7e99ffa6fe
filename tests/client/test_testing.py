"""`local_connect.testing`, in a test's own process."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local_connect.errors import LocalConnectError
from local_connect.testing import Content, DeployFailed, LocalConnect

#: answers with the method and what was sent
APP = """
def app(environ, start_response):
    method = environ["REQUEST_METHOD"]
    sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Method", method)])
    return [f"{method} {environ['PATH_INFO']} {sent}".encode()]
"""


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    directory = tmp_path_factory.mktemp("connect")
    api = directory / "my-api"
    api.mkdir()
    (api / "app.py").write_text(APP, "utf-8")
    (api / "requirements.txt").touch()
    with LocalConnect(directory / "state", root=directory) as connect:
        yield connect


@pytest.fixture(scope="module")
def api(connect: LocalConnect) -> Content:
    return connect.deploy("my-api", name="my-api")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_each_method_is_sent(api: Content, method: str) -> None:
    with_body = method in ("POST", "PUT", "PATCH")
    options = {"content": "sent"} if with_body else {}
    answer = getattr(api, method.lower())("there", **options)
    assert (answer.status_code, answer.headers["X-Method"]) == (200, method)
    if method != "HEAD":
        assert answer.text == f"{method} /there {'sent' if with_body else ''}"


def test_a_recorded_request_is_told_in_one_line(api: Content) -> None:
    api.get("told?a=b")
    mount = f"/content/{api.guid}"
    assert repr(api.requests[-1]) == f"<Recorded GET {mount}/told?a=b by alice: 200>"
    api.get("told", as_user=None)
    assert repr(api.requests[-1]) == f"<Recorded GET {mount}/told by nobody: 401>"


def test_a_publisher_deploys_where_nobody_is_named(connect: LocalConnect, api: Content) -> None:
    assert api.owner == connect.publisher == "alice"


def test_an_administrator_deploys_where_nobody_publishes(
    connect: LocalConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {name: user for name, user in connect.users.items() if name != "alice"}
    monkeypatch.setattr(connect, "users", left)
    assert connect.publisher == "admin"


def test_another_call_gets_a_name_with_a_number(connect: LocalConnect, api: Content) -> None:
    other = connect.deploy("my-api", name="my-api", environment={"COLOUR": "blue"})
    assert other.guid != api.guid
    assert (api.name, other.name) == ("my-api", "my-api-2")
    assert other.get().status_code == 200


def test_a_deployment_that_fails_says_what_the_app_printed(
    connect: LocalConnect, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('broken on purpose')", "utf-8")
    (tmp_path / "requirements.txt").touch()
    with pytest.raises(DeployFailed, match="broken on purpose") as raised:
        connect.deploy(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_what_is_not_there_is_named(connect: LocalConnect, api: Content) -> None:
    with pytest.raises(LocalConnectError, match=r"There is no directory .*nowhere to deploy\."):
        connect.deploy("nowhere")
    with pytest.raises(LocalConnectError, match=r"no user 'carol', only admin, alice, bob\."):
        api.get(as_user="carol")
    with pytest.raises(LocalConnectError, match=r"There is no content named 'nothing'\."):
        connect.content("nothing")


def test_content_of_one_name_is_found_by_its_owner(connect: LocalConnect, api: Content) -> None:
    new = {"name": api.name}
    made = connect.request("POST", "/__api__/v1/content", as_user="admin", json=new)
    made.raise_for_status()
    with pytest.raises(LocalConnectError, match=r"content of several owners named 'my-api'\."):
        connect.content(api.name)
    assert connect.content(api.name, owner="alice").guid == api.guid
    assert connect.content(api.name, owner="admin").guid == made.json()["guid"]


def test_the_address_of_content_is_for_any_client(api: Content) -> None:
    answer = httpx.get(f"{api.url}there", trust_env=False)
    # it is for those who are signed in
    assert answer.status_code == 401


def test_what_an_app_prints_at_length_before_it_fails_is_told(
    connect: LocalConnect, tmp_path: Path
) -> None:
    """The log of a deployment has the end of it only."""
    (tmp_path / "app.py").write_text(
        "for number in range(500):\n    print('line', number)\nraise SystemExit('no more')", "utf-8"
    )
    (tmp_path / "requirements.txt").touch()
    with pytest.raises(DeployFailed) as raised:
        connect.deploy(tmp_path)
    for words in ("line 0", "line 499", "no more"):
        assert words in str(raised.value).splitlines()


def test_an_integration_is_used_by_its_name(connect: LocalConnect, api: Content) -> None:
    address = "/__api__/v1/oauth/integrations"
    new = {"name": "Warehouse", "template": "snowflake", "config": {"auth_mode": "Confidential"}}
    made = connect.request("POST", address, as_user="admin", json=new).raise_for_status().json()
    api.use("Warehouse", "visitor-key")
    used = api.call("GET", "/oauth/integrations/associations")
    names = {one["oauth_integration_guid"]: one["oauth_integration_name"] for one in used}
    assert names.pop(made["guid"]) == "Warehouse"
    assert len(names) == 1
    api.use()
    assert api.call("GET", "/oauth/integrations/associations") == []
