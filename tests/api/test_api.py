"""Connect's API, where rsconnect does not show all of it: refusals, links, and the long poll."""

import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bundles import FILES, app, manifest_of, member, packed
from tests.catalogue import api_routes
from tests.deployed import Content
from tests.servers import LocalConnect

#: whatever may be asked of the API
ROUTES = [*api_routes(), ("GET", "/__local__/users")]

#: what Connect has besides, as its reference and its clients say
ABSENT = {
    ("GET", "v1/timezones"),
    ("GET", "v1/audit_logs"),
    ("GET", "v1/search/content"),
    ("GET", "v1/system/hosts"),
    ("POST", "v1/environments"),
    ("PUT", "v1/environments/{guid}"),
    ("DELETE", "v1/environments/{guid}"),
    ("GET", "v1/environments/{guid}/permissions"),
    ("PUT", "v1/users"),
    ("GET", "v1/users/{guid}/keys"),
    ("PUT", "v1/groups"),
    ("POST", "v1/content/{guid}/render"),
    ("PUT", "v1/content/{guid}/thumbnail"),
    ("GET", "v1/content/{guid}/jobs/{key}/error"),
    ("GET", "applications/{guid}/variants"),
}

#: what needs no key
OPEN = {"/__api__/server_settings", "/__api__/v1/experimental/bootstrap", "/__api__/tokens"}


def error(answer: httpx.Response, status: int) -> str:
    """The text of a refusal, once it has the shape that every refusal has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"code", "error"}
    assert type(body["code"]) is int
    assert type(body["error"]) is str
    assert body["error"]
    return str(body["error"])


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path in ROUTES if path not in OPEN]
)
def test_every_route_needs_a_key(published: Content, method: str, path: str) -> None:
    server = published.server
    item = published.item
    bundle = item["bundle_id"]
    path = path.replace("{id}", item["id"] if "/applications/" in path else bundle)
    path = path.format(guid=published.guid, key="none", app_mode="none", user_guid=uuid.uuid4())
    error(server.request(method, path, user=None), 401)
    for header in ("Authorization", "X-RSC-Authorization"):
        for value in (f"Key {uuid.uuid4().hex}", "Key"):
            error(server.request(method, path, user=None, headers={header: value}), 401)


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path in ROUTES if "{" in path]
)
def test_what_is_not_there_is_refused_in_one_shape(
    server: LocalConnect, method: str, path: str
) -> None:
    path = path.format(
        guid=uuid.uuid4(), id=99999, key="none", app_mode="none", user_guid=uuid.uuid4()
    )
    body = {"name": "x", "path": "/x/", "tag_id": 99999, "bundle_id": 99999, "locked": True}
    said = error(server.request(method, path, user="admin", json=body), 404)
    assert said.startswith(("There is no such", "There is no tag 99999", "There is no task 99999"))


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_a_method_that_a_path_does_not_have(server: LocalConnect, path: str) -> None:
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {
        method for method, other in ROUTES if other == path
    }:
        if path.endswith(("/remote", "/credentials")):
            # for these it is the name of a user, a group or an integration
            continue
        address = path.format(
            guid=uuid.uuid4(), id=1, key="none", app_mode="none", user_guid=uuid.uuid4()
        )
        answer = server.request(method, address, user="admin")
        if (method, path.removeprefix("/__api__/")) in ABSENT:
            error(answer, 501)
        else:
            assert f"nothing at {address} for {method}" in error(answer, 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for method, path in ROUTES
        if method in ("POST", "PUT", "PATCH")
        and not path.endswith(("/bundles", "/upload", "/bootstrap", "/credentials"))
    ],
)
def test_a_body_that_is_not_json(published: Content, method: str, path: str) -> None:
    server = published.server
    bob = {"principal_guid": server.users["bob"].guid, "principal_type": "user", "role": "viewer"}
    if path.endswith("/permissions/{id}"):
        made = server.request("POST", f"{published.api}/permissions", json=bob).json()["id"]
    else:
        made = published.item["id"] if "/applications/" in path else "1"
    address = path.format(guid=published.guid, id=made)
    try:
        for body in (b"", b"{", b"\xff"):
            said = error(server.request(method, address, user="admin", content=body), 400)
            assert "not JSON" in said
    finally:
        if path.endswith("/permissions/{id}"):
            assert server.request("DELETE", address).status_code == 204


def test_what_is_open_to_all(server: LocalConnect) -> None:
    for path in ("/__local__/health", "/__api__/server_settings"):
        assert server.get(path, user=None).is_success


def test_a_wrong_key_has_the_code_that_rsconnect_knows(server: LocalConnect) -> None:
    answer = server.get("/__api__/v1/user", user=None, headers={"Authorization": "Key wrong"})
    assert answer.json()["code"] == 30


@pytest.mark.parametrize(("method", "path"), sorted(ABSENT))
def test_what_only_connect_has_says_its_name(server: LocalConnect, method: str, path: str) -> None:
    address = path.format(guid=uuid.uuid4(), key="none", id=1)
    said = error(server.request(method, f"/__api__/{address}?at=all", user="admin"), 501)
    assert said == f"local-connect does not implement {method} /{address}."


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_what_connect_has_not_either(server: LocalConnect, method: str) -> None:
    for path in ("v1/no/such/thing", "v1", "v2/content", "v1/user/", "v1/contents"):
        said = error(server.request(method, f"/__api__/{path}?at=all"), 404)
        assert f"/__api__/{path} for {method}" in said


def test_not_found(server: LocalConnect) -> None:
    assert "/no/such/page" in error(server.get("/no/such/page"), 404)
    nobody = uuid.uuid4()
    for path in (f"/__api__/v1/content/{nobody}", "/__api__/applications/99999"):
        error(server.get(path), 404)
    assert "none" in error(server.get("/__api__/v1/tasks/none"), 404)


def test_bad_requests(published: Content) -> None:
    server = published.server
    for path in ("/__api__/v1/content", f"{published.api}/deploy"):
        assert "not JSON" in error(server.request("POST", path, content=b"{"), 400)
        assert "not a JSON object" in error(server.request("POST", path, json=[]), 400)
    said = error(server.request("POST", "/__api__/v1/content", json={"name": "no spaces"}), 400)
    assert "'no spaces' cannot be a name" in said
    said = error(server.request("PATCH", published.api, json={"colour": "red"}), 400)
    assert "colour" in said
    said = error(server.request("PATCH", published.api, json={"access_type": "everyone"}), 400)
    assert "all, logged_in, acl" in said
    error(server.request("POST", f"{published.api}/deploy", json={"bundle_id": "99999"}), 404)


def test_a_name_is_taken(published: Content) -> None:
    name = published.item["name"]
    said = error(published.server.request("POST", "/__api__/v1/content", json={"name": name}), 409)
    assert name in said


def test_users_are_for_administrators(server: LocalConnect) -> None:
    for user in ("alice", "bob"):
        assert "administrator" in error(server.get("/__local__/users", user=user), 403)
    users = {user["username"]: user for user in server.get("/__local__/users", user="admin").json()}
    assert {name: user["user_role"] for name, user in users.items()} == {
        "admin": "administrator",
        "alice": "publisher",
        "bob": "viewer",
    }
    assert users["alice"]["groups"] == ["data-science", "staff"]
    assert users["bob"]["groups"] == []


def test_a_viewer_changes_nothing(published: Content) -> None:
    server = published.server
    bob = {"user": "bob"}
    error(server.request("POST", "/__api__/v1/content", json={"name": "bobs"}, **bob), 403)
    # he may not even know of it
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/deploy"), ("GET", "/bundles")):
        error(server.request(method, published.api + path, json={}, **bob), 404)


def test_a_viewer_changes_nothing_of_what_he_sees(visited: Content) -> None:
    server = visited.server
    for method, path in (
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/deploy"),
        ("POST", "/bundles"),
        ("PATCH", "/environment"),
        ("GET", "/environment"),
        ("GET", "/bundles"),
        ("GET", f"/bundles/{visited.item['bundle_id']}/download"),
    ):
        error(server.request(method, visited.api + path, json={}, user="bob"), 403)


def test_links_follow_the_address_of_the_client(published: Content) -> None:
    host = "localhost:8080"
    item = published.server.get(published.api, headers={"Host": host}).json()
    assert item["content_url"] == f"http://{host}/content/{published.guid}/"
    assert item["dashboard_url"].startswith(f"http://{host}/connect/")


def test_find_content_by_name(published: Content) -> None:
    server = published.server
    name = published.item["name"]

    def found(user: str, **query: str) -> list[str]:
        answer = server.get("/__api__/v1/content", user=user, params=query).raise_for_status()
        return [item["guid"] for item in answer.json()]

    assert found("alice", name=name) == [published.guid]
    assert found("alice", name=f"{name}-not") == []
    assert found("bob", name=name) == []
    assert published.guid in found("alice", owner_guid=server.users["alice"].guid)
    assert found("admin", name=name, owner_guid=server.users["admin"].guid) == []


def waiting_for(file: Path) -> bytes:
    """A bundle whose app does not start before there is this file."""
    source = f"""
import pathlib, time
while not pathlib.Path({str(file)!r}).exists():
    time.sleep(0.02)
def app(environ, start_response): pass
"""
    files = {**FILES, "app.py": source.encode()}
    manifest = app(manifest_of(files))[0]
    return packed([manifest, *(member(*file) for file in files.items())])


class Deployment:
    """A deployment to new content, by hand, so that its task can be watched."""

    def __init__(self, server: LocalConnect, bundle: bytes) -> None:
        self.server = server
        guid = self._post("/__api__/v1/content", json={"name": f"by-hand-{uuid.uuid4()}"})["guid"]
        api = f"/__api__/v1/content/{guid}"
        bundle_id = self._post(f"{api}/bundles", content=bundle)["id"]
        task = self._post(f"{api}/deploy", json={"bundle_id": bundle_id})["task_id"]
        self.path = f"/__api__/v1/tasks/{task}"

    def poll(self, first: int, wait: int) -> dict[str, Any]:
        query = {"first": first, "wait": wait}
        task = self.server.get(self.path, params=query).raise_for_status().json()
        assert set(task) >= {"id", "output", "last", "finished", "code", "error", "result"}
        return dict(task)

    def until(self, line: str) -> int:
        """The number of lines there are once this one is."""
        last = 0
        while True:
            task = self.poll(last, 10)
            assert not task["finished"], task
            last = int(task["last"])
            if line in task["output"]:
                return last

    def _post(self, path: str, **options: Any) -> Any:
        return self.server.request("POST", path, **options).raise_for_status().json()


def test_the_long_poll(server: LocalConnect, tmp_path: Path) -> None:
    file = tmp_path / "now"
    deployment = Deployment(server, waiting_for(file))
    last = deployment.until("Launching Python API...")

    # nothing is new, so it answers when the time is up and not before
    start = time.monotonic()
    task = deployment.poll(last, 2)
    assert 1.9 < time.monotonic() - start < 20
    assert (task["output"], task["last"], task["finished"]) == ([], last, False)

    # without a time, or where there is news, it answers at once
    start = time.monotonic()
    assert deployment.poll(last, 0)["output"] == []
    task = deployment.poll(1, 30)
    assert time.monotonic() - start < 20
    assert (len(task["output"]), task["last"]) == (last - 1, last)

    # the end is news
    timer = threading.Timer(1, file.touch)
    timer.start()
    start = time.monotonic()
    task = deployment.poll(last, 30)
    timer.join()
    assert 0.9 < time.monotonic() - start < 20
    assert task["finished"]
    assert (task["code"], task["error"]) == (0, "")


def test_the_long_poll_of_a_deployment_that_fails(server: LocalConnect) -> None:
    manifest = manifest_of(FILES)
    manifest["python"]["version"] = "3.99.0"
    deployment = Deployment(server, packed(app(manifest)))
    last, output = 0, []
    while not (task := deployment.poll(last, 10))["finished"]:
        last = task["last"]
        output += task["output"]
    assert task["code"] != 0
    assert "the bundle wants 3.99.0" in task["error"]
    assert "Building Python API..." in output + task["output"]


def test_a_task_is_its_owners(server: LocalConnect) -> None:
    deployment = Deployment(server, packed(app()))
    error(server.get(deployment.path, user="bob"), 404)
    assert server.get(deployment.path, user="admin").is_success
    for query in ("first=x", "wait=-1", "first=1.5"):
        error(server.get(f"{deployment.path}?{query}"), 400)
    last = 0
    while not (task := deployment.poll(last, 10))["finished"]:
        last = task["last"]
    assert task["code"] == 0, task
