"""Hits and visits, checks and metrics: by posit-sdk, in pages, and who may see which."""

import time
import uuid
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from aiohttp.test_utils import make_mocked_request
from posit.connect import Client  # type: ignore[import-untyped]
from posit.connect.errors import ClientError  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from local_connect.api.instrumentation import _time
from tests.access.conftest import create, deploy, refusal, share, wsgi
from tests.deployed import Content
from tests.servers import LocalConnect, eventually

VISITS = "/__api__/v1/instrumentation/content/visits"
CHECKS = "/__api__/v1/system/checks"

APP = wsgi(
    """
def app(environ, start_response):
    start_response("404 Not Found" if "missing" in environ["PATH_INFO"] else "200 OK", [])
    return [b"hello"]
"""
)


@pytest.fixture(scope="module")
def visited(server: LocalConnect) -> Iterator[Content]:
    """Content of alice's that three people have visited, and one who may not has tried to."""
    content = share(create(server))
    deploy(content, APP)
    for user, path in (("alice", ""), ("carol", "a/b?c=d"), ("frank", "missing")):
        server.get(content.path + path, user=user, headers={"User-Agent": f"agent of {user}"})
    assert server.get(content.path, user="bob").status_code == 403
    # of a draft there are no hits
    assert server.get(f"{content.path}_bundle{content.item['bundle_id']}/").status_code == 200
    yield content
    server.request("DELETE", content.api)


@cache
def sdk(server: LocalConnect, name: str) -> Any:
    # what a client gives holds on to the client only weakly, so it is kept
    return Client(server.url, server.users[name].api_key)


@pytest.mark.parametrize(("who", "sees"), [("alice", 3), ("frank", 3), ("admin", 3), ("erin", 0)])
def test_hits_by_the_sdk(visited: Content, who: str, sees: int) -> None:
    client = sdk(visited.server, who)
    found = client.metrics.hits.fetch(content_guid=[visited.guid, str(uuid.uuid4())])
    assert len(found) == sees
    every = [hit for hit in client.metrics.hits.fetch() if hit["content_guid"] == visited.guid]
    assert every == found
    if sees:
        carol = visited.server.users["carol"].guid
        hit = client.metrics.hits.find_by(user_guid=carol, content_guid=visited.guid)
        assert hit["data"] == {
            "path": "/a/b",
            "query": "c=d",
            "user_agent": "agent of carol",
            "sec_fetch_dest": None,
            "sec_fetch_site": None,
        }
        at = hit["timestamp"]
        assert hit in client.metrics.hits.fetch(start=at, end=at)
        assert client.metrics.hits.fetch(start="2100-01-01T00:00:00+02:00") == []


def test_usage_by_the_sdk(visited: Content) -> None:
    client = sdk(visited.server, "alice")
    events = client.metrics.usage.find(content_guid=visited.guid)
    assert [event.path for event in events] == ["/", "/a/b", "/missing"]
    assert {event.bundle_id for event in events} == {visited.item["bundle_id"]}
    with pytest.raises(ClientError, check=lambda error: bool(error.http_status == 403)):
        sdk(visited.server, "bob").metrics.usage.find()


def pages(server: LocalConnect, url: str, way: str) -> list[list[str]]:
    """The paths on each page, one after the other, as their addresses lead."""
    found = []
    while url:
        answer = server.get(url.removeprefix(server.url)).raise_for_status().json()
        found.append([visit["path"] for visit in answer["results"]])
        url = answer["paging"][way]
    return found


def test_visits_in_pages(visited: Content) -> None:
    server = visited.server
    first = f"{VISITS}?content_guid={visited.guid}&limit=2"
    assert pages(server, first, "next") == [["/", "/a/b"], ["/missing"]]
    assert pages(server, f"{first}&asc_order=false", "next") == [["/missing", "/a/b"], ["/"]]
    paging = server.get(first).json()["paging"]
    assert (paging["first"], paging["previous"], paging["cursors"]["previous"]) == (None,) * 3
    assert pages(server, paging["last"], "previous") == [["/a/b", "/missing"], ["/"]]
    second = server.get(paging["next"].removeprefix(server.url)).json()["paging"]
    assert (second["next"], second["last"]) == (None, None)
    assert second["first"] == f"{server.url}{first}"

    everything = f"{VISITS}?content_guid={visited.guid}"
    by_carol = server.get(f"{everything}&user_agent=agent of carol").json()["results"]
    assert [visit["user_guid"] for visit in by_carol] == [server.users["carol"].guid]
    assert server.get(f"{everything}&min_data_version=4").json()["results"] == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("from=yesterday", "from is not a time such as 2026-01-02T03:04:05Z: 'yesterday'."),
        ("to=7", "to is not a time"),
        ("limit=many", "limit is not a whole number"),
        ("next=x", "next is not a whole number"),
        ("next=1&previous=2", "by next or by previous, not by both"),
        ("asc_order=no", "asc_order is neither true nor false"),
        ("min_data_version=new", "min_data_version is not a whole number"),
    ],
)
def test_what_is_asked_for_wrongly(server: LocalConnect, query: str, says: str) -> None:
    assert says in refusal(server.get(f"{VISITS}?{query}"), 400)


@pytest.mark.quick
def test_a_time_without_an_offset_is_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "UTC-5")
        time.tzset()
        asked = make_mocked_request("GET", "/?from=2026-01-02T03:04:05&to=2026-01-02T03:04:05-01")
        said = [_time(asked, name) for name in ("from", "to", "at")]
    time.tzset()
    assert said == ["2026-01-02T03:04:05Z", "2026-01-02T04:04:05Z", None]


def test_hits_go_with_their_content(server: LocalConnect) -> None:
    content = create(server, access_type="all")
    deploy(content, APP)
    server.get(content.path, user=None)
    (hit,) = sdk(server, "admin").metrics.hits.fetch(content_guid=content.guid)
    assert hit["user_guid"] is None
    server.request("DELETE", content.api)
    assert sdk(server, "admin").metrics.hits.fetch(content_guid=content.guid) == []


def test_metrics(visited: Content) -> None:
    answer = visited.server.get("/metrics", user=None)
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            of_others = sample.labels.get("content_guid", visited.guid) != visited.guid
            if not of_others:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    hits = found["connect_content_hits_total"]
    assert [value for _, value in hits] == [3]
    statuses = {
        labels["status"]: value for labels, value in found["connect_content_requests_total"]
    }
    assert statuses == {"200": 3, "404": 1, "403": 1}
    ((labels, _),) = found["connect_content_info"]
    assert (labels["name"], labels["access_type"]) == (visited.item["name"], "acl")
    job_keys = [job["key"] for job in visited.jobs if job["status"] == 0]
    running = [labels["job_key"] for labels, _ in found["connect_content_processes"]]
    assert sorted(running) == sorted(job_keys)
    assert all(value > 1e6 for _, value in found["connect_content_process_resident_memory_bytes"])
    ended = {
        (labels["kind"], labels["outcome"]) for labels, _ in found["connect_deployments_total"]
    }
    assert ("deploy", "success") in ended
    assert found["connect_build_info"][0][0]["version"] == "2026.06.0"
    assert found["process_resident_memory_bytes"][0][1] > 1e6


def test_checks(server: LocalConnect) -> None:
    def ask(method: str, path: str = "", **options: Any) -> httpx.Response:
        return server.request(method, CHECKS + path, user="admin", **options)

    started = ask("POST", json={}).raise_for_status().json()
    assert started["id"] in [run["id"] for run in ask("GET").json()]
    path = f"/{started['id']}"
    assert eventually(lambda: ask("GET", path).json()["status"] == "done", seconds=60)
    document = ask("GET", f"{path}/results").json()
    failed = [result for result in document["results"] if not result["passed"]]
    assert failed == []
    assert document["run"]["passed"] == len(document["results"])
    assert ask("DELETE", path).status_code == 204
    refusal(ask("GET", path), 404)
    assert "There is no host 'elsewhere'" in refusal(
        ask("POST", json={"hostname": "elsewhere"}), 400
    )
