"""Faults on demand, as those who call an API meet them."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Site, publish
from tests.servers import LocalConnect

ADDRESS = "/__local__/faults"


@pytest.fixture(scope="module")
def shaky(server: LocalConnect) -> Site:
    """The probe, for these tests alone."""
    return publish(server)


@pytest.fixture(autouse=True)
def reset(server: LocalConnect) -> Iterator[None]:
    yield
    assert server.request("DELETE", ADDRESS, user="admin").status_code == 204
    assert server.get(ADDRESS, user="admin").json() == []


def demand(site: Site, kind: str, **fields: Any) -> None:
    fault = {"kind": kind, "content_guid": site.guid, **fields}
    made = site.server.request("POST", ADDRESS, user="admin", json=fault)
    assert made.status_code == 201, made.text


def last(site: Site) -> Any:
    query = {"content_guid": site.guid, "limit": "1"}
    return site.server.get("/__local__/requests", user="admin", params=query).json()[0]


def test_a_delay(shaky: Site) -> None:
    demand(shaky, "delay", seconds=0.5, next=1)
    begun = time.monotonic()
    shaky.get("/echo")
    assert time.monotonic() - begun >= 0.5
    assert (last(shaky)["faults"], last(shaky)["status"]) == ("delay of 0.5 s", 200)


def test_a_status_for_the_next_of_a_path(shaky: Site, probe: Site) -> None:
    before = shaky.get("/count")
    demand(shaky, "status", status=503, next=2, path="count")
    found = [shaky.server.get(f"{shaky.mount}/count") for _ in range(3)]
    assert [answer.status_code for answer in found] == [503, 503, 200]
    assert "fault on demand" in found[0].json()["error"]
    # the app did not get the first two
    assert found[2].json() == before + 1
    demand(shaky, "status", status=418)
    assert shaky.server.get(f"{shaky.mount}/echo").status_code == 418
    probe.get("/echo")
    # those who may not open it are told so, and not of faults
    assert shaky.server.get(f"{shaky.mount}/_bundle1/", user=None).status_code == 404


@pytest.mark.parametrize("path", ["/numbers?size=1000&length=1", "/numbers?size=1000"])
def test_an_answer_is_cut_off_in_the_middle(shaky: Site, path: str) -> None:
    demand(shaky, "cut", next=1)
    received: list[bytes] = []
    with shaky.server.client.stream("GET", shaky.mount + path) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            # what has come stays, as the list grows while it is read
            received += answer.iter_raw(1)
    assert len(received) == 500
    assert "cut off" in last(shaky)["error"]
    assert len(shaky.server.get(shaky.mount + path).content) == 1000


def test_a_session_token_that_is_over(shaky: Site) -> None:
    demand(shaky, "token", next=1)
    name = "HTTP_POSIT_CONNECT_USER_SESSION_TOKEN"
    over, good = (shaky.get("/echo")["environ"][name] for _ in range(2))
    said = [
        shaky.server.request(
            "POST",
            "/__api__/v1/oauth/integrations/credentials",
            data={
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token_type": "urn:posit:connect:user-session-token",
                "subject_token": token,
            },
        ).json()["error"]
        for token in (over, good)
    ]
    assert "is over" in said[0]
    assert "is over" not in said[1]


def test_a_process_is_killed(shaky: Site) -> None:
    pid = shaky.get("/echo")["pid"]
    demand(shaky, "kill", next=1)
    killed = shaky.server.get(f"{shaky.mount}/echo")
    assert (killed.status_code, "was killed" in killed.json()["error"]) == (502, True)
    assert shaky.get("/echo")["pid"] != pid
    ended = [
        job
        for job in shaky.server.get(f"{shaky.content.api}/jobs").json()
        if job["pid"] == str(pid)
    ]
    assert ended[0]["exit_code"] == -9


def test_idle_now(shaky: Site) -> None:
    pid = shaky.get("/echo")["pid"]
    demand(shaky, "idle", next=1)
    assert shaky.get("/echo")["pid"] != pid


def test_who_may_and_what_is_wrong(shaky: Site) -> None:
    server = shaky.server
    for method in ("GET", "POST", "DELETE"):
        assert server.request(method, ADDRESS, user="alice").status_code == 403
    wrong = server.request("POST", ADDRESS, user="admin", json={"kind": "slow"})
    assert wrong.status_code == 400
    assert "kind is not one of delay, status" in wrong.json()["error"]
    demand(shaky, "cut", share=0.5)
    (fault,) = server.get(ADDRESS, user="admin").json()
    assert (fault["kind"], fault["content_guid"], fault["share"]) == ("cut", shaky.guid, 0.5)
    assert "FAULT on demand: cut, asked for by admin" in server.output
    one = f"{ADDRESS}/{fault['id']}"
    assert server.request("DELETE", one, user="admin").status_code == 204
    assert server.request("DELETE", one, user="admin").status_code == 404
