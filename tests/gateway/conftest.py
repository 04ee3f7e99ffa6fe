"""A server with identities that are hard to carry, and the probe deployed to it.

Tests leave the session's `probe` as it was; one that changes settings or ends the process
publishes the probe for itself.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import manifest_of, member, packed
from tests.deployed import Content, deploy_echo
from tests.gateway.wire import Answer, Wire, exchange
from tests.publishing import deploy
from tests.servers import LocalConnect, running_server

PROBE = Path(__file__).with_name("probe")

#: what the server has in its environment and no content may see
CANARY = "GATEWAY_CANARY"

#: a user in more groups than fit into 64 KiB
MANY_GROUPS = [f"group-{number:03}-{'x' * 100}" for number in range(700)]

#: a user and groups whose names are not ASCII, or mean something in JSON and HTTP
ODD_NAMES = {
    "José": ["Ünïcode", "数据", "ᏣᎳᎩ"],
    "Зоя 😀": ['quoted "group"', "back\\slash", "comma, colon: semicolon;", "</script>"],
    "many": MANY_GROUPS,
}

USERS = [
    ("admin", "administrator", []),
    ("alice", "publisher", ["data-science", "staff"]),
    ("bob", "viewer", []),
    *((name, "viewer", groups) for name, groups in ODD_NAMES.items()),
]


class Site:
    """One content item that runs the probe, for requests as bytes and otherwise."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.server = content.server
        self.guid = content.guid
        self.mount = content.path.rstrip("/")
        self.host = self.server.url.removeprefix("http://")

    def wire(self) -> Wire:
        return Wire(self.server.url)

    def exchange(self, request: bytes, *, head: bool = False) -> Answer:
        return exchange(self.server.url, request, head=head)

    def request(
        self,
        *lines: str | bytes,
        method: str = "GET",
        path: str | bytes = "/echo",
        body: bytes = b"",
        host: bool = True,
    ) -> bytes:
        """A request in bytes: these header lines besides Host, `path` below the mount."""
        start = b"%s %s%s HTTP/1.1" % (method.encode(), self.mount.encode(), as_bytes(path))
        own = [b"Host: " + self.host.encode()] if host else []
        return b"\r\n".join([start, *own, *map(as_bytes, lines), b"", body])

    def echo(self, *lines: str | bytes, path: str | bytes = "/echo", **options: Any) -> Any:
        """What the probe got of such a request."""
        answer = self.exchange(self.request(*lines, path=path, **options))
        assert answer.status == 200, answer
        return answer.json

    def environ(self, *lines: str | bytes, **options: Any) -> dict[str, str]:
        environ: dict[str, str] = self.echo(*lines, **options)["environ"]
        return environ

    def telling(
        self,
        status: str,
        headers: Sequence[tuple[str, str | int]],
        *body: str,
        method: str = "GET",
    ) -> bytes:
        """A request that tells the probe what to answer; a number makes a header of that length."""
        wanted = json.dumps({"status": status, "headers": headers, "body": body})
        return self.request(f"X-Answer: {wanted}", method=method, path="/answer")

    def told(self, status: str, headers: Sequence[tuple[str, str | int]], *body: str) -> Answer:
        """The answer that comes of one that the probe is told to give."""
        return self.exchange(self.telling(status, headers, *body))

    def get(self, path: str, **options: Any) -> Any:
        """The JSON at a path below the mount."""
        answer = self.server.get(self.mount + path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def process(self) -> Any:
        """What the process says of itself."""
        return self.get("/process")

    def end_process(self) -> None:
        """End the running process, so that the next visitor is one who starts another."""
        (job, *_) = self.server.get(f"{self.content.api}/jobs").json()
        ended = self.server.request("DELETE", f"{self.content.api}/jobs/{job['key']}")
        assert ended.status_code == 202, ended.text

    def change(self, **settings: Any) -> None:
        """Set fields of the content item, as its owner."""
        changed = self.server.request("PATCH", self.content.api, json=settings)
        assert changed.status_code == 200, changed.text

    def set_variables(self, **variables: str) -> None:
        body = [{"name": name, "value": value} for name, value in variables.items()]
        changed = self.server.request("PATCH", f"{self.content.api}/environment", json=body)
        assert changed.status_code == 200, changed.text


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def publish(server: LocalConnect, *, user: str = "alice") -> Site:
    """Publish the probe through the API, open to everyone."""
    created = server.request(
        "POST",
        "/__api__/v1/content",
        user=user,
        json={"name": f"probe-{uuid.uuid4().hex[:12]}", "access_type": "all"},
    )
    assert created.is_success, created.text
    content = Content(server, created.json()["guid"])
    files = {path.name: path.read_bytes() for path in PROBE.iterdir() if path.is_file()}
    manifest = json.dumps(manifest_of(files)).encode()
    archive = packed(
        [member("manifest.json", manifest), *(member(*file) for file in files.items())]
    )
    bundle = server.request("POST", f"{content.api}/bundles", user=user, content=archive)
    assert bundle.is_success, bundle.text
    task = deploy(content, bundle.json()["id"], user=user)
    assert task["code"] == 0, "\n".join(task["output"])
    return Site(content)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    """The server of the session. At its end it has printed no traceback of its own."""
    directory = tmp_path_factory.mktemp("gateway")
    users = directory / "users.toml"
    users.write_text(users_file(), "utf-8")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CANARY, "seen")
            server = stack.enter_context(running_server(directory / "data", "--users", str(users)))
        yield server
        assert CANARY not in server.output


def users_file() -> str:
    return "\n".join(
        f"[[users]]\nusername = {toml(name)}\nuser_role = {toml(role)}\ngroups = {toml(groups)}\n"
        for name, role, groups in USERS
    )


def toml(value: str | list[str]) -> str:
    # JSON's strings and lists are TOML's, but for characters escaped in two halves
    return json.dumps(value, ensure_ascii=False)


@pytest.fixture(scope="session")
def visited(server: LocalConnect, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The echoing app on this server, open to everyone."""
    content = deploy_echo(server, tmp_path_factory.mktemp("visited"))
    content.open_to("all")
    return content


@pytest.fixture(scope="session")
def probe(server: LocalConnect) -> Site:
    """The probe, open to everyone. No test changes it or ends its process."""
    return publish(server)


@pytest.fixture(scope="session")
def other(server: LocalConnect) -> Site:
    """A second content item of the same kind."""
    return publish(server)


@pytest.fixture(scope="session")
def impatient(server: LocalConnect) -> Site:
    """The probe with a `read_timeout` of one second."""
    site = publish(server)
    site.change(read_timeout=1)
    return site


@pytest.fixture
def own(server: LocalConnect) -> Site:
    """The probe published for one test alone, which may break it."""
    return publish(server)
