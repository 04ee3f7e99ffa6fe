"""One server a session with people of every kind, and content for them to ask.

Tests leave the shared content as it was; what they change is content of their own.
"""

import socket
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.access.people import USERS
from tests.bundles import FILES, app, manifest_of, member, packed
from tests.deployed import Content
from tests.publishing import finished
from tests.servers import LocalConnect, running_server

ECHO = packed(app())

#: what a browser that goes to an address asks for
HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def refusal(answer: httpx.Response, status: int) -> str:
    """The text of a refusal of the API, once it has the shape that every one has."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    assert set(body) == {"code", "error"}
    assert type(body["code"]) is int
    assert type(body["error"]) is str
    assert body["error"]
    return str(body["error"])


def raw(server: LocalConnect, *lines: bytes) -> bytes:
    """The status of the answer to a request of these lines, sent as they are."""
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(b"\r\n".join((*lines, b"Connection: close")) + b"\r\n\r\n")
        return connection.recv(65536).split(b" ")[1]


def write_users(path: Path, text: str = USERS) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def create(server: LocalConnect, *, user: str = "alice", **fields: Any) -> Content:
    """New content of this user's to which nothing has been deployed."""
    name = f"content-{uuid.uuid4().hex[:12]}"
    answer = server.request("POST", "/__api__/v1/content", user=user, json={"name": name, **fields})
    return Content(server, answer.raise_for_status().json()["guid"])


def upload(content: Content, bundle: bytes, *, user: str = "alice") -> str:
    answer = content.server.request("POST", f"{content.api}/bundles", user=user, content=bundle)
    return str(answer.raise_for_status().json()["id"])


def deploy(content: Content, bundle: bytes, *, activate: bool = True, user: str = "alice") -> str:
    """Upload a bundle and wait until it is live; its id."""
    server = content.server
    bundle_id = upload(content, bundle, user=user)
    order = {"bundle_id": bundle_id, "activate": activate}
    answer = server.request("POST", f"{content.api}/deploy", user=user, json=order)
    done = finished(server, answer.raise_for_status().json()["task_id"], user=user)
    assert done["code"] == 0, done
    return bundle_id


def wsgi(source: str) -> bytes:
    """A bundle of one WSGI app that needs no package."""
    files = {**FILES, "app.py": source.encode(), "requirements.txt": b""}
    manifest = app(manifest_of(files))[0]
    return packed([manifest, *(member(*file) for file in files.items())])


def permit(content: Content, name: str, role: str, *, group: bool = False) -> str:
    """Put a user or a group on the access list; the permission's id."""
    server = content.server
    body = {
        "principal_guid": group_guid(server, name) if group else server.users[name].guid,
        "principal_type": "group" if group else "user",
        "role": role,
    }
    answer = server.request("POST", f"{content.api}/permissions", json=body)
    return str(answer.raise_for_status().json()["id"])


@cache
def group_guid(server: LocalConnect, name: str) -> str:
    groups = server.get("/__api__/v1/groups", params={"prefix": name}).json()["results"]
    (guid,) = (group["guid"] for group in groups if group["name"] == name)
    return str(guid)


def share(content: Content) -> Content:
    """Alice's content with everyone on its list whom `people` says is on it."""
    permit(content, "carol", "viewer")
    permit(content, "readers", "viewer", group=True)
    permit(content, "frank", "owner")
    permit(content, "editors", "owner", group=True)
    return content


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    directory = tmp_path_factory.mktemp("access")
    users = write_users(directory / "users.toml")
    with running_server(directory / "data", "--users", str(users)) as server:
        yield server


@pytest.fixture(scope="session")
def shared(server: LocalConnect) -> dict[str, Content]:
    """The echoing app of alice's by each access type, with an access list. No test changes it."""
    contents = {}
    for access_type in ("all", "logged_in", "acl"):
        content = contents[access_type] = share(create(server, access_type=access_type))
        deploy(content, ECHO)
    return contents


@pytest.fixture
def own(server: LocalConnect) -> Content:
    """Content of alice's that the test may do with as it likes; nothing is deployed to it."""
    return create(server)
