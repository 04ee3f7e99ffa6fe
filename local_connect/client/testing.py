"""A server of a test session's own, and what is deployed to it.

The pytest plugin's fixture `local_connect` is a `LocalConnect`; without pytest::

    with LocalConnect(directory) as connect:
        api = connect.deploy("my-api")
        assert api.get("greetings/").status_code == 200

It needs httpx and rsconnect-python, which `local-connect[pytest]` brings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from local_connect.client import rsconnect
from local_connect.errors import LocalConnectError

#: pytest then shows a failure where the test is, not here
__tracebackhide__ = True

#: seconds that a request may take, and the server to stop
_PATIENCE = 60.0

#: Says where the server is and who is its administrator, and ends when its input does: with this
#: process, however that ends.
_LIFELINE = ("sh", "-c", 'echo "$CONNECT_SERVER $CONNECT_API_KEY" && exec cat >/dev/null')


class DeployFailed(LocalConnectError):
    """A deployment that did not come up; `log` holds all that `rsconnect` and the server said."""

    def __init__(self, directory: Path, log: str) -> None:
        super().__init__(f"{directory} was not deployed:\n\n{log}")
        self.log = log


@dataclass(frozen=True)
class User:
    """One identity of the server."""

    username: str
    guid: str
    #: viewer, publisher or administrator
    user_role: str
    groups: list[str]
    api_key: str


class Visitor(Enum):
    """Stands for the owner of the content that is asked."""

    OWNER = "owner"


class LocalConnect:
    """A server in a process of its own, on a free port, that ends with this process.

    `directory` holds all of its state; `options` are those of the command line. Raises
    `LocalConnectError` with the server's own words if it does not start.
    """

    def __init__(
        self, directory: Path, *, options: Iterable[str] = (), root: Path | None = None
    ) -> None:
        self.directory = directory
        #: where relative paths begin
        self.root = root or Path.cwd()
        self._contents: dict[tuple[object, ...], Content] = {}
        self._deploying = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        self._process = self._start(options)
        self._client = httpx.Client(
            timeout=_PATIENCE,
            trust_env=False,
            # what one test was given, the next does not send
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        try:
            assert self._process.stdout is not None  # noqa: S101 (it is a pipe, by the call above)
            #: the address, without a slash at the end
            self.url, _, key = self._process.stdout.readline().strip().partition(" ")
            if not key:
                self._process.wait()
                raise LocalConnectError(f"local-connect did not start:\n\n{self.output}")
            #: the identities, by name
            self.users = self._identities(key)
        except BaseException:
            self.close()
            raise

    @property
    def output(self) -> str:
        """What the server has printed, with each line that content printed."""
        return self._log.read_text("utf-8", "replace")

    @property
    def publisher(self) -> str:
        """Who deploys where nobody is named: the first publisher, else an administrator."""
        for user in self.users.values():
            if user.user_role == "publisher":
                return user.username
        return self.administrator

    @property
    def administrator(self) -> str:
        """The first of the users who may do everything."""
        return next(
            user.username for user in self.users.values() if user.user_role == "administrator"
        )

    def deploy(
        self,
        path: str | os.PathLike[str],
        *,
        kind: str = "api",
        entrypoint: str | None = None,
        name: str | None = None,
        owner: str | None = None,
        environment: Mapping[str, str] | None = None,
        access_type: str | None = None,
        vanity: str | None = None,
        integrations: Iterable[str] = (),
        **settings: Any,
    ) -> Content:
        """Deploy a directory with `rsconnect deploy <kind>`; the content, which answers.

        `environment` are its environment variables, `access_type` who may open it (all, logged_in
        or acl, which is the default), `vanity` a path of its own such as `/my-api/`,
        `integrations` those by which it acts for its visitors, by name (`visitor-key` is the one
        that gives it their API keys), and `settings` are further fields of a content item, such as
        `max_processes=1`. `owner` is the user who deploys.

        The same call again gives the same content: as it is, or updated if the files have
        changed. A call with other arguments gives content of its own.

        Raises `DeployFailed` with the log of the build if it does not come up.
        """
        directory = (self.root / path).resolve()
        if not directory.is_dir():
            raise LocalConnectError(f"There is no directory {directory} to deploy.")
        owner = owner or self.publisher
        environment = environment or {}
        integrations = tuple(integrations)
        asked = (directory, kind, entrypoint, name, owner, access_type, vanity, integrations)
        more = (repr(sorted(environment.items())), repr(sorted(settings.items())))
        if access_type is not None:
            settings["access_type"] = access_type
        with self._deploying:
            content = self._contents.get((*asked, *more))
            if content is None:
                content = self._create(name or rsconnect.content_name(directory), owner)
                try:
                    content.change(**{"title": name or directory.name, **settings})
                    if environment:
                        variables = [
                            {"name": key, "value": environment[key]} for key in environment
                        ]
                        content.call("PUT", "/environment", json=variables)
                    if vanity:
                        content.call("PUT", "/vanity", json={"path": vanity})
                    if integrations:
                        content.use(*integrations)
                except LocalConnectError:
                    content.call("DELETE", "")
                    raise
                self._contents[(*asked, *more)] = content
            self._update(content, directory, kind, entrypoint)
        return content

    def request(
        self, method: str, path: str, *, as_user: str | None = None, **options: Any
    ) -> httpx.Response:
        """Send one request to the server, such as to its API: `/__api__/v1/content`.

        `options` are those of `httpx.Client.request`. Redirects are not followed, and cookies
        not kept, unless you ask.
        """
        headers = httpx.Headers(options.pop("headers", None))
        if as_user is not None:
            headers["Authorization"] = f"Key {self._user(as_user).api_key}"
        return self._client.request(method, self.url + path, headers=headers, **options)

    def fault(
        self,
        kind: str,
        *,
        content: Content | None = None,
        path: str | None = None,
        share: float | None = None,
        next: int | None = None,  # noqa: A002 (what it is called in the API)
        seconds: float | None = None,
        status: int | None = None,
    ) -> Fault:
        """Let a fault befall requests, from now until it is ended; a context manager that ends it.

        `kind` is `delay` (with `seconds`), `status` (with a `status`), `cut`, `token`, `kill` or
        `idle`. It is for this `content`, else for all; for paths that `path` is a part of; for a
        `share` of the requests, such as 0.5; and for the `next` so many.
        """
        fields = {
            "kind": kind,
            "content_guid": content.guid if content else None,
            "path": path,
            "share": share,
            "next": next,
            "seconds": seconds,
            "status": status,
        }
        made = _answered(
            self.request("POST", "/__local__/faults", as_user=self.administrator, json=fields)
        )
        return Fault(self, made["id"])

    def reset_faults(self) -> None:
        """End all faults."""
        _answered(self.request("DELETE", "/__local__/faults", as_user=self.administrator))

    def content(self, name: str, *, owner: str | None = None) -> Content:
        """Content that is there already, such as the seed's; of this owner, if you name one."""
        query = {"name": name}
        if owner is not None:
            query["owner_guid"] = self._user(owner).guid
        listed = _answered(
            self.request("GET", "/__api__/v1/content", as_user=self.administrator, params=query)
        )
        if len(listed) != 1:
            found = "no content" if not listed else "content of several owners"
            raise LocalConnectError(f"There is {found} named {name!r}.")
        names = {user.guid: user.username for user in self.users.values()}
        return Content(self, listed[0]["guid"], name, names[listed[0]["owner_guid"]])

    def reset(self) -> None:
        """Go back to the seed (see `--seed`), or to a server without content.

        All that was deployed or changed since is gone: content, settings, users, faults, and the
        requests that were recorded. The seed's own content keeps its address.
        """
        # where the seed has to be deployed again, that takes as long as it takes
        answer = self.request("POST", "/__local__/reset", as_user=self.administrator, timeout=None)
        failed = _answered(answer)["failed"]
        self._contents.clear()
        self.users = self._identities(self._user(self.administrator).api_key)
        if failed:
            raise LocalConnectError(f"Of the seed was not deployed: {', '.join(failed)}.")

    def close(self) -> None:
        """Stop the server and all that runs in it."""
        self._client.close()
        process = self._process
        assert process.stdin is not None  # noqa: S101 (both are pipes)
        assert process.stdout is not None  # noqa: S101
        process.stdin.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:  # pragma: no cover (a server that hangs)
            process.kill()
            process.wait()
        process.stdout.close()

    def __enter__(self) -> LocalConnect:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _log(self) -> Path:
        return self.directory / "local-connect.log"

    def _start(self, options: Iterable[str]) -> subprocess.Popen[str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CONNECT_", "LOCAL_CONNECT_"))
        }
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "local_connect", "--port", "0"),
                    *("--data", str(self.directory / "data"), *options, "--", *_LIFELINE),
                ],
                env=inherited,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C on the terminal is for pytest, which then stops the server
                start_new_session=True,
            )

    def _create(self, name: str, owner: str) -> Content:
        """New content of that name, or of one with a number if the owner has that name already."""
        taken = {content.name for content in self._contents.values() if content.owner == owner}
        count = 1
        wanted = name
        while name in taken:
            count += 1
            name = f"{wanted[:60]}-{count}"
        made = _answered(
            self.request("POST", "/__api__/v1/content", as_user=owner, json={"name": name})
        )
        return Content(self, made["guid"], name, owner)

    def _update(self, content: Content, directory: Path, kind: str, entrypoint: str | None) -> None:
        """Deploy the directory as it is now, unless the content has it already."""
        with tempfile.TemporaryDirectory(dir=self.directory) as parent:
            copy = Path(parent) / directory.name
            digest = rsconnect.copy(directory, copy, leave_out=self.directory)
            if digest == content.deployed:
                return
            done = subprocess.run(
                [
                    *(rsconnect.find(), "deploy", kind, "--app-id", content.guid),
                    *(("--entrypoint", entrypoint) if entrypoint else ()),
                    str(copy),
                ],
                env=rsconnect.environment(
                    self.directory / "home",
                    {
                        "CONNECT_SERVER": self.url,
                        "CONNECT_API_KEY": self.users[content.owner].api_key,
                    },
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        content.build_log = rsconnect.plain(done.stdout).replace(str(copy), str(directory))
        if done.returncode:
            printed = content.printed(content.jobs[:1])
            if printed.strip() not in content.build_log:
                content.build_log += f"\nThe app printed:\n\n{printed}"
            content.deployed = ""
            raise DeployFailed(directory, content.build_log)
        content.deployed = digest

    def _identities(self, key: str) -> dict[str, User]:
        listing = self._client.get(
            f"{self.url}/__local__/users", headers={"Authorization": f"Key {key}"}
        )
        return {user["username"]: User(**user) for user in listing.json()}

    def _user(self, name: str) -> User:
        try:
            return self.users[name]
        except KeyError:
            known = ", ".join(self.users)
            raise LocalConnectError(f"There is no user {name!r}, only {known}.") from None


class Fault:
    """A fault that befalls requests. Made by `LocalConnect.fault`."""

    def __init__(self, server: LocalConnect, number: int) -> None:
        self._server = server
        self._number = number

    @property
    def count(self) -> int:
        """How many requests it has befallen, until it ends."""
        listing = self._server.request(
            "GET", "/__local__/faults", as_user=self._server.administrator
        )
        return sum(one["count"] for one in _answered(listing) if one["id"] == self._number)

    def end(self) -> None:
        """End it, if it has not ended by itself."""
        self._server.request(
            "DELETE", f"/__local__/faults/{self._number}", as_user=self._server.administrator
        )

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Recorded:
    """One request that came in for content, as the server has recorded it.

    No key and no token is in it: `(hidden)` stands in their place.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        #: all that `/__local__/requests` has of it
        self.document = document
        #: who asked; None for a visitor who is not signed in
        self.visitor: str | None = document["visitor"]
        self.method: str = document["method"]
        #: as it stood in the request line, with its query
        self.path: str = document["path"]
        #: what the visitor got; None where they went away before
        self.status: int | None = document["status"]
        #: why there is no answer of the app's
        self.error: str | None = document["error"]
        #: the faults that befell it, in words
        self.faults: str | None = document["faults"]
        #: what the visitor sent, and what of it and of the server's own the app received
        self.sent = httpx.Headers(document["sent"], encoding="utf-8")
        self.received = httpx.Headers(document["received"], encoding="utf-8")
        #: why the app did not receive a header, and why it got one from the server, by its name
        self.dropped = {one["name"]: one["why"] for one in document["dropped"]}
        self.set = {one["name"]: one["why"] for one in document["set"]}
        #: the visitor's body and that of the answer, if they are text; 16 KiB at most
        self.body: str | None = document["body"]
        self.answer: str | None = document["answer_body"]

    def __repr__(self) -> str:
        return f"<Recorded {self.method} {self.path} by {self.visitor or 'nobody'}: {self.status}>"


class Content:
    """A deployed API. Made by `LocalConnect.deploy`."""

    def __init__(self, server: LocalConnect, guid: str, name: str, owner: str) -> None:
        self.server = server
        self.guid = guid
        self.name = name
        #: the user who deployed it
        self.owner = owner
        #: what `rsconnect` and the server said of its newest deployment
        self.build_log = ""
        #: the digest of the files that it runs
        self.deployed = ""

    @property
    def url(self) -> str:
        """Its address, which ends with a slash."""
        return f"{self.server.url}/content/{self.guid}/"

    @property
    def logs(self) -> str:
        """What the app has printed, in all its processes, the oldest first."""
        return self.printed(reversed(self.jobs))

    @property
    def requests(self) -> list[Recorded]:
        """The requests that came in for it, the oldest first; the server keeps its last 500."""
        answer = self.server.request(
            "GET",
            "/__local__/requests",
            as_user=self.server.administrator,
            params={"content_guid": self.guid},
        )
        return [Recorded(one) for one in reversed(_answered(answer))]

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """Its processes as the API has them, the newest first."""
        jobs: list[dict[str, Any]] = self.call("GET", "/jobs")
        return [job for job in jobs if job["tag"].startswith("run_")]

    def printed(self, jobs: Iterable[dict[str, Any]]) -> str:
        """What these processes printed."""
        entries = (
            entry
            for job in jobs
            for entry in self.call("GET", f"/jobs/{job['key']}/log")["entries"]
        )
        return "".join(f"{entry['data']}\n" for entry in entries)

    def request(
        self,
        method: str,
        path: str = "",
        *,
        as_user: str | Visitor | None = Visitor.OWNER,
        **options: Any,
    ) -> httpx.Response:
        """Send one request to the app; `path` is below its address, with or without a slash.

        `as_user` is who asks: the owner unless you say otherwise, None for a visitor who is not
        signed in. `options` are those of `httpx.Client.request`.
        """
        who = self.owner if isinstance(as_user, Visitor) else as_user
        mount = f"/content/{self.guid}/"
        return self.server.request(method, mount + path.removeprefix("/"), as_user=who, **options)

    def get(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def head(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("HEAD", path, **options)

    def options(self, path: str = "", **options: Any) -> httpx.Response:
        return self.request("OPTIONS", path, **options)

    def change(self, **settings: Any) -> None:
        """Change fields of the content item, such as `access_type="all"`."""
        self.call("PATCH", "", json=settings)

    def use(self, *integrations: str) -> None:
        """Let it act for its visitors by these integrations, and no others.

        Each by its name; `visitor-key` is the server's own of the template connect.
        """
        address = "/__api__/v1/oauth/integrations"
        listed = _answered(self.server.request("GET", address, as_user=self.owner))
        known = {one["name"]: one["guid"] for one in reversed(listed)}
        for one in reversed(listed):
            if one["template"] == "connect":
                known["visitor-key"] = one["guid"]
        for name in integrations:
            if name not in known:
                raise LocalConnectError(
                    f"There is no integration {name!r}, only {', '.join(sorted(known))}."
                )
        associations = [{"oauth_integration_guid": known[name]} for name in integrations]
        self.call("PUT", "/oauth/integrations/associations", json=associations)

    def token(self, as_user: str | Visitor = Visitor.OWNER) -> str:
        """The token of this user's session, as the app gets it with a request of theirs.

        The app's own key exchanges it, and that of its owner, as whom a test may act for it.
        """
        who = self.owner if isinstance(as_user, Visitor) else as_user
        path = f"/__local__/content/{self.guid}/session-token"
        token: str = _answered(self.server.request("GET", path, as_user=who))["session_token"]
        return token

    def call(self, method: str, path: str, **options: Any) -> Any:
        """What the API answers its owner below `/__api__/v1/content/<guid>`.

        Raises `LocalConnectError` with the server's words where it refuses.
        """
        address = f"/__api__/v1/content/{self.guid}{path}"
        return _answered(self.server.request(method, address, as_user=self.owner, **options))


def _answered(response: httpx.Response) -> Any:
    """The JSON of an answer of the API; a refusal raises its text."""
    if response.is_error:
        raise LocalConnectError(response.json()["error"])
    return response.json() if response.content else None
