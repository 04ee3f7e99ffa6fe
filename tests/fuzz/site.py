"""A server with two contents that answer with all they are given: one open, one closed."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.bundles import manifest_of, member, packed
from tests.fuzz.wire import Connection
from tests.publishing import finished
from tests.servers import LocalConnect, running_server

PROBE = {
    path.name: path.read_bytes()
    for path in sorted(Path(__file__).with_name("probe").iterdir())
    if path.is_file()
}

#: places in `Probe.mounts`
DRAFT, MOUNT, VANITY = range(3)

#: what the gateway decides, as WSGI shows it: nothing else by such a name may reach content
DECIDED = (
    "HTTP_RSTUDIO_CONNECT_CREDENTIALS",
    "HTTP_RSTUDIO_CONNECT_APP_BASE_URL",
    "HTTP_X_RSC_REQUEST",
    "HTTP_POSIT_CONNECT_USER_SESSION_TOKEN",
)
PROTECTED = re.compile(
    r"HTTP_(RSTUDIO_CONNECT|POSIT_CONNECT|X_RSC|X_LOCAL_CONNECT|X_FORWARDED|X_ORIGINAL)(_.*)?"
    r"|HTTP_(FORWARDED|X_REAL_IP|X_REWRITE_URL|X_SCRIPT_NAME|X_SCHEME|X_HOST|PROXY)"
)


def manifest() -> dict[str, Any]:
    document = manifest_of(PROBE)
    document["metadata"]["entrypoint"] = "probe:app"
    return document


@dataclass(frozen=True)
class Probe:
    """A content item that runs the probe."""

    server: LocalConnect
    guid: str
    bundle_id: str
    vanity: str

    @property
    def mount(self) -> str:
        return f"/content/{self.guid}"

    @property
    def mounts(self) -> tuple[str, ...]:
        """Its addresses, without a slash at the end."""
        return (f"{self.mount}/_bundle{self.bundle_id}", self.mount, self.vanity)

    def run(self) -> list[dict[str, Any]]:
        """What it was given since this was asked the last time, in order."""
        answer = self.server.get(f"{self.mount}/.run", user="admin")
        run: list[dict[str, Any]] = answer.raise_for_status().json()
        return run


@dataclass(frozen=True)
class Site:
    """The server; `open` is for all to see, `closed` for administrators."""

    server: LocalConnect
    open: Probe
    closed: Probe

    @property
    def netloc(self) -> str:
        return urlsplit(self.server.url).netloc

    def connect(self) -> Connection:
        url = urlsplit(self.server.url)
        assert url.hostname
        assert url.port
        return Connection(url.hostname, url.port)

    def key(self, user: str) -> str:
        return self.server.users[user].api_key

    def credentials(self, user: str | None) -> dict[str, Any] | None:
        """What content is to be told of this user."""
        if user is None:
            return None
        return {"user": user, "groups": self.server.users[user].groups}

    def assert_decided_here(
        self, environ: dict[str, str], target: bytes, *, host: str | None = None
    ) -> None:
        """All that the gateway decides of a request, but for the visitor, is as it must be."""
        base = urlsplit(f"http://{host}") if host else urlsplit(self.server.url)
        mount = environ["SCRIPT_NAME"]
        assert mount in self.open.mounts
        assert target.decode("latin-1").startswith(f"{mount}/")
        decided = {
            "HTTP_RSTUDIO_CONNECT_APP_BASE_URL": f"{base.geturl()}{self.open.mount}",
            "HTTP_X_RSC_REQUEST": f"{base.geturl()}{target.decode('latin-1')}",
            "HTTP_HOST": base.netloc,
            "SERVER_NAME": base.hostname,
            "SERVER_PORT": str(base.port or 80),
            "wsgi.url_scheme": "http",
            "REMOTE_ADDR": "127.0.0.1",
        }
        assert {name: environ.get(name) for name in decided} == decided
        for name in environ:
            assert name in DECIDED or not PROTECTED.fullmatch(name), name
        token = environ.get("HTTP_POSIT_CONNECT_USER_SESSION_TOKEN")
        assert (token is None) == (credentials_in(environ) is None)
        assert token is None or re.fullmatch(r"[\w-]{43}", token, re.ASCII), token


def credentials_in(environ: dict[str, str]) -> Any:
    """Who the app is told that its visitor is; None for a stranger."""
    header = environ.get("HTTP_RSTUDIO_CONNECT_CREDENTIALS")
    return None if header is None else json.loads(header.encode("latin-1"))


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            # the probe needs no packages, so nothing is worth keeping
            patch.setenv("UV_NO_CACHE", "1")
            server = stack.enter_context(running_server(directory / "data"))
        site = Site(
            server,
            open=_deploy(server, "alice", "open", access_type="all"),
            closed=_deploy(server, "admin", "closed", access_type="acl"),
        )
        for probe in (site.open, site.closed):
            probe.run()
        yield site


def _deploy(server: LocalConnect, user: str, name: str, *, access_type: str) -> Probe:
    def post(path: str, **options: Any) -> Any:
        return server.request("POST", path, user=user, **options).raise_for_status().json()

    guid = post("/__api__/v1/content", json={"name": f"probe-{name}"})["guid"]
    api = f"/__api__/v1/content/{guid}"
    bundle = packed(
        [
            member("manifest.json", json.dumps(manifest()).encode()),
            *(member(*file) for file in PROBE.items()),
        ]
    )
    bundle_id = post(f"{api}/bundles", content=bundle)["id"]
    task = post(f"{api}/deploy", json={"bundle_id": bundle_id})["task_id"]
    done = finished(server, task, user=user)
    assert done["code"] == 0, done
    settings = {"access_type": access_type, "idle_timeout": 3600}
    server.request("PATCH", api, user=user, json=settings).raise_for_status()
    vanity = f"/{name}-probe"
    server.request("PUT", f"{api}/vanity", user=user, json={"path": vanity}).raise_for_status()
    return Probe(server, guid, bundle_id, vanity)
