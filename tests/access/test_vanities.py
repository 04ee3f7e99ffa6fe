"""Vanity URLs: the second address of content, as visitors and the API's clients see it.

Which paths can be one is in `test_vanity_rules.py`.
"""

import uuid

import httpx
import pytest

from tests.access.conftest import ECHO, HTML, create, deploy, raw, refusal, wsgi
from tests.deployed import Content


def new_path() -> str:
    return f"/v-{uuid.uuid4().hex[:12]}/"


def put(content: Content, path: object, *, user: str = "alice", **body: object) -> httpx.Response:
    return content.server.request(
        "PUT", f"{content.api}/vanity", user=user, json={"path": path, **body}
    )


def set_path(content: Content, path: str) -> str:
    """Set it; the path as the server then tells it."""
    return str(put(content, path).raise_for_status().json()["path"])


@pytest.fixture
def live(own: Content) -> Content:
    deploy(own, ECHO)
    return own


def test_content_answers_at_both_addresses(live: Content) -> None:
    path = set_path(live, new_path())
    for mount in (path, live.path):
        answer = live.server.get(f"{mount}a/b%20c?d=e").json()
        assert answer["environ"]["SCRIPT_NAME"] == mount.rstrip("/")
        assert answer["environ"]["PATH_INFO"] == "/a/b c"
        assert answer["url"] == f"{live.server.url}{mount}a/b%20c?d=e"
        # its base URL is one and the same
        base = answer["environ"]["HTTP_RSTUDIO_CONNECT_APP_BASE_URL"]
        assert base == f"{live.server.url}/content/{live.guid}"
        assert answer["environ"]["HTTP_X_RSC_REQUEST"] == f"{live.server.url}{mount}a/b%20c?d=e"
    root = live.server.get(path).json()["environ"]
    assert (root["SCRIPT_NAME"], root["PATH_INFO"]) == (path.rstrip("/"), "/")


def test_it_is_refused_to_the_same_visitors(live: Content) -> None:
    path = set_path(live, new_path())
    assert live.server.get(path).status_code == 200
    refusal(live.server.get(path, user="bob"), 403)
    refusal(live.server.get(path, user=None), 401)
    led = live.server.get(f"{path}?a=b", user=None, headers={"Accept": HTML})
    assert led.headers["Location"] == f"/__login__?url={path}%3Fa%3Db"
    live.open_to("all")
    assert live.server.get(path, user=None).status_code == 200


def test_without_the_last_slash(live: Content) -> None:
    path = set_path(live, new_path())
    for mount in (path, live.path):
        for query in ("", "?a=b&c=%2F", "?"):
            answer = live.server.get(mount.rstrip("/") + query)
            assert answer.status_code == 308
            assert answer.headers["Location"] == live.server.url + mount + query.rstrip("?")
        # the method stays what it was
        assert live.server.request("POST", mount.rstrip("/")).status_code == 308
        # and who may not come in learns nothing
        refusal(live.server.get(mount.rstrip("/"), user=None), 401)


def test_drafts_have_their_own_address_only(live: Content) -> None:
    path = set_path(live, new_path())
    draft = deploy(live, ECHO, activate=False)
    assert live.server.get(f"{live.path}_bundle{draft}/").json()["path"] == ""
    # at the vanity path this is a path of the app's
    answer = live.server.get(f"{path}_bundle{draft}/").json()
    assert answer["path"] == f"_bundle{draft}/"
    assert answer["environ"]["SCRIPT_NAME"] == path.rstrip("/")


def test_what_cannot_be_a_path(own: Content) -> None:
    for path in ("a/../b", "", None, 7, ["a"], {"a": "b"}):
        refusal(put(own, path), 400)
    assert "settings" in refusal(put(own, "/settings/api/"), 400)
    refusal(own.server.get(f"{own.api}/vanity"), 404)


def test_a_path_that_is_taken(live: Content) -> None:
    path = set_path(live, new_path())
    other = create(live.server, user="erin")
    for written in (path, path.strip("/")):
        refusal(put(other, written, user="erin"), 409)
    # to take it away is for administrators, and must be asked for
    refusal(put(other, path, user="erin", force=True), 403)
    refusal(put(other, path, user="admin"), 409)
    refusal(put(other, path, user="admin", force="yes"), 400)
    assert live.server.get(path).json()["version"] == "one"
    assert put(other, path, user="admin", force=True).is_success
    refusal(live.server.get(f"{live.api}/vanity"), 404)
    # nothing has been deployed to what is there now, and alice may not open it
    refusal(live.server.get(path), 403)
    assert live.echo()["version"] == "one"


def test_it_changes_and_goes(live: Content) -> None:
    first, second = new_path(), new_path()
    set_path(live, first)
    assert set_path(live, first) == first
    set_path(live, second)
    assert live.server.get(second).status_code == 200
    refusal(live.server.get(first), 404)
    assert live.server.request("DELETE", f"{live.api}/vanity").status_code == 204
    refusal(live.server.get(second), 404)
    refusal(live.server.get(f"{live.api}/vanity"), 404)
    refusal(live.server.request("DELETE", f"{live.api}/vanity"), 404)
    assert live.echo()["version"] == "one"


def test_it_goes_with_the_content(live: Content) -> None:
    path = set_path(live, new_path())
    assert live.server.request("DELETE", live.api).status_code == 204
    refusal(live.server.get(path), 404)
    assert set_path(create(live.server), path) == path


def test_a_path_is_written_one_way_only(live: Content) -> None:
    path = set_path(live, f"/v-{uuid.uuid4().hex[:12]}/Sub/")
    for other in (
        path,
        path.lower(),
        path.upper(),
        path.replace("Sub", "%53ub"),
        path.replace("/Sub", "//Sub"),
        path.replace("Sub", "./Sub"),
        f"/x/..{path}",
        path.replace("/Sub", "%2FSub"),
    ):
        key = f"Authorization: Key {live.server.users['alice'].api_key}"
        lines = (f"GET {other} HTTP/1.1", "Host: localhost", key)
        status = raw(live.server, *(line.encode() for line in lines))
        assert status == (b"200" if other == path else b"404"), other


def test_cookies_stay_below_it(own: Content) -> None:
    deploy(
        own,
        wsgi(
            "def app(environ, start_response):\n"
            "    cookies = ['a=b; Path=/', 'c=d', 'local-connect-session-1=x; Path=/']\n"
            "    start_response('200 OK', [('Set-Cookie', cookie) for cookie in cookies])\n"
            "    return [b'']\n"
        ),
    )
    path = set_path(own, new_path())
    for mount in (path, own.path):
        cookies = own.server.get(mount).headers.get_list("Set-Cookie")
        assert cookies == [f"a=b; Path={mount}", f"c=d; Path={mount}"]
