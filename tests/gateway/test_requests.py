"""The requests that a server has recorded, as its administrator gets them."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.content.conftest import sign_in
from tests.gateway.conftest import Site
from tests.publishing import publish
from tests.servers import LocalConnect, running_server

ADDRESS = "/__local__/requests"


def recorded(server: LocalConnect, **query: str) -> list[dict[str, Any]]:
    answer = server.get(ADDRESS, user="admin", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def mark() -> str:
    """What tells the requests of one test from those of the others."""
    return uuid.uuid4().hex


def test_what_was_sent_beside_what_the_app_got(probe: Site) -> None:
    users, name = probe.server.users, mark()
    got = probe.environ(
        f"Authorization: Key {users['bob'].api_key}",
        "X-Forwarded-For: 10.0.0.1",
        "X-Mine: yes",
        path=f"/echo?{name}",
    )
    (one,) = recorded(probe.server, path=name)
    assert (one["visitor"], one["method"], one["status"]) == ("bob", "GET", 200)
    assert one["content_guid"] == probe.guid
    assert one["path"] == f"{probe.mount}/echo?{name}"
    sent, received = dict(one["sent"]), dict(one["received"])
    assert sent["X-Forwarded-For"] == "10.0.0.1"
    for header, value in received.items():
        if value != "(hidden)":
            assert got[f"HTTP_{header.upper().replace('-', '_')}"] == value, header
    assert received["RStudio-Connect-Credentials"] == '{"user": "bob", "groups": []}'
    assert {each["name"] for each in one["dropped"]} == {"Authorization", "X-Forwarded-For"}
    assert {each["name"] for each in one["set"]} == set(received) - {"X-Mine"}
    for variable in ("SCRIPT_NAME", "PATH_INFO", "REMOTE_PORT", "wsgi.url_scheme"):
        assert one["mount"][variable] == got[variable]
    assert 0 < one["process_seconds"] + one["app_seconds"] <= one["total_seconds"]
    secrets = (users["bob"].api_key, got["HTTP_POSIT_CONNECT_USER_SESSION_TOKEN"])
    for secret in secrets:
        assert secret not in str(one)


def test_bodies_up_to_16_kib(probe: Site) -> None:
    name = mark()
    body = b"x" * 20_000
    answer = probe.server.request("POST", f"{probe.mount}/echo?{name}", content=iter([body, body]))
    (one,) = recorded(probe.server, path=name)
    assert (one["request_bytes"], one["answer_bytes"]) == (40_000, len(answer.content))
    assert one["body_note"] == "This is its beginning."
    assert 16_000 < len(one["body"]) <= 16_384
    assert one["answer_body"][:20] == answer.text[:20]
    streamed = probe.server.get(f"{probe.mount}/numbers?size=1000000&{name}-streamed")
    (one,) = recorded(probe.server, path=f"{name}-streamed")
    assert one["answer_bytes"] == len(streamed.content)
    assert one["answer_body"] is None


def test_who_is_refused_and_why(probe: Site) -> None:
    name = mark()
    probe.exchange(probe.request("Authorization: Key wrong", path=f"/{name}"))
    probe.exchange(probe.request(path=f"/_bundle1/{name}"))
    draft, key = recorded(probe.server, path=name)
    assert (draft["status"], draft["visitor"], draft["received"]) == (404, None, [])
    assert (key["status"], key["error"]) == (401, "The API key is not valid.")
    assert not key["app_seconds"]
    assert recorded(probe.server, path=name, status="401") == [key]
    assert recorded(probe.server, path=name, limit="1") == [draft]


def test_a_stream_is_there_while_it_goes_on(probe: Site) -> None:
    name = mark()
    with probe.wire() as wire:
        wire.send(probe.request(path=f"/events?name={name}"))
        assert wire.start() == 200
        (one,) = recorded(probe.server, path=name)
        assert (one["status"], one["ended"], one["total_seconds"]) == (200, False, None)
        probe.get(f"/say?name={name}&text=")
        while not recorded(probe.server, path=f"events?name={name}")[0]["ended"]:
            pass


@pytest.mark.parametrize(("user", "status"), [("alice", 403), (None, 401)])
def test_for_administrators_only(server: LocalConnect, user: str | None, status: int) -> None:
    assert server.get(ADDRESS, user=user).status_code == status


def test_filters_that_are_none(server: LocalConnect) -> None:
    for query in ("status=4", "limit=x"):
        answer = server.get(f"{ADDRESS}?{query}", user="admin")
        assert answer.status_code == 400
        assert query.partition("=")[0] in answer.json()["error"]


def demand(server: LocalConnect, **fault: Any) -> None:
    """Let a fault befall the next request."""
    asked = server.request("POST", "/__local__/faults", user="admin", json={**fault, "next": 1})
    asked.raise_for_status()


#: begins with what it was sent; below /short it ends before it has sent all that it promised
LONG = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "200000")])
    yield environ["wsgi.input"].read().ljust(100_000, b".")
    if environ["PATH_INFO"] != "/short":
        yield b"." * 100_000
"""


def test_a_server_that_keeps_none(tmp_path: Path) -> None:
    """It answers as one that keeps them, faults on demand and all."""
    with running_server(tmp_path / "data", "--no-requests") as server:
        assert server.get(f"/content/{uuid.uuid4()}/").status_code == 404
        content = publish(server, LONG)
        answer = server.request("POST", content.path, content=b"some")
        assert answer.content == b"some".ljust(200_000, b".")
        with pytest.raises(httpx.RemoteProtocolError):
            server.get(f"{content.path}short")
        demand(server, kind="status", status=503)
        assert server.get(content.path).status_code == 503
        demand(server, kind="cut")
        with pytest.raises(httpx.RemoteProtocolError):
            server.get(content.path)
        answer = server.get(ADDRESS, user="admin")
        assert answer.status_code == 404
        assert "--no-requests" in answer.json()["error"]
        cookie = {"Cookie": sign_in(server, "alice")}
        page = server.get(f"/connect/apps/{content.guid}/requests", user=None, headers=cookie)
        assert page.status_code == 200
        assert "--no-requests" in page.text
