"""The example deployed by the real rsconnect into a local Connect of the session's own.

It is deployed by its manifest, as Connect does that publishes it from git. `make deploy` and the
commands of its README, which have tests of their own, write one each time.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar
from urllib.parse import urljoin

from tests.beside import Services
from tests.catalogue import Example
from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect as Server
from tests.servers import running_server
from tests.targets.base import ALICE, BOB, Content, Headers, Target, User
from tests.targets.environments import environment


class DeployedContent(Content):
    """Local Connect tells the example who the viewer is, by the key that the test sends."""

    def __init__(self, example: Example, url: str, server: Server) -> None:
        super().__init__(example, url)
        self.server = server

    @property
    def guid(self) -> str:
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def api(self) -> str:
        """Its path in Connect's API."""
        return f"/__api__/v1/content/{self.guid}"

    def open_to(self, access_type: str) -> None:
        """Change who may visit: `all`, `logged_in` or `acl`."""
        changed = self.server.request("PATCH", self.api, json={"access_type": access_type})
        assert changed.status_code == 200, changed.text

    def use(self, *templates: str) -> None:
        """Let it use the server's own integrations of these templates."""
        listed = self.server.get("/__api__/v1/oauth/integrations").json()
        known = {one["template"]: {"oauth_integration_guid": one["guid"]} for one in listed}
        path = f"{self.api}/oauth/integrations/associations"
        answer = self.server.request("PUT", path, json=[known[template] for template in templates])
        assert answer.status_code == 200, answer.text

    @contextmanager
    def at(self, path: str) -> Iterator[str]:
        """Give it a vanity path for a while, such as `/greetings/`; its URL there."""
        given = self.server.request("PUT", f"{self.api}/vanity", json={"path": path})
        assert given.status_code == 200, given.text
        try:
            yield urljoin(self.url, path)
        finally:
            self.server.request("DELETE", f"{self.api}/vanity")

    def identify(self, user: User | None) -> Headers:
        if user is None:
            return ()
        return [(b"Authorization", f"Key {self.server.users[user.name].api_key}".encode())]


class LocalConnect(Target):
    """Alice owns the content and has opened it to everyone, or to whoever is signed in."""

    name: ClassVar[str] = "local-connect"
    plays_connect: ClassVar[bool] = False
    viewers: ClassVar[tuple[User | None, ...]] = (ALICE, BOB, None)

    def __init__(
        self,
        *,
        cache: Path,
        scratch: Path,
        services: Services,
        saved_server: str = "",
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(cache=cache, scratch=scratch, services=services, saved_server=saved_server)
        self.resources = ExitStack()
        self.options = options

    @cached_property
    def server(self) -> Server:
        """The server, started when it is first needed."""
        return self.resources.enter_context(running_server(self.scratch / "data", *self.options))

    def start(self, example: Example) -> Content:
        server = self.server
        copy = shutil.copytree(
            example.path,
            self.scratch / example.directory,
            ignore=shutil.ignore_patterns(
                *("__pycache__", "node_modules", "rsconnect-python"), *example.exclude
            ),
        )
        variables = self.services.variables(*example.services)
        self._release(example, copy, variables)
        done = rsconnect(
            *("deploy", "manifest", "--new", "--quiet"),
            *(option for variable in variables for option in ("-E", variable)),
            copy / "manifest.json",
            home=self.scratch / "home",
            environment={
                **variables,
                "CONNECT_SERVER": server.url,
                "CONNECT_API_KEY": server.users[ALICE.name].api_key,
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        content = DeployedContent(example, done.stdout.strip(), server)
        content.open_to("logged_in" if example.integrations else "all")
        content.use(*example.integrations)
        return content

    def _release(self, example: Example, directory: Path, variables: Mapping[str, str]) -> None:
        """Run what the example's Procfile has to run before it goes live, in its environment."""
        if example.release_command is None:
            return
        python = environment(example.path / "requirements.txt", self.cache)
        path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", example.release_command],
            cwd=directory,
            env={**os.environ, **variables, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def close(self) -> None:
        super().close()
        self.resources.close()
