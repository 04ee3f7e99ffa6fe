"""The example deployed by the real rsconnect into a local Connect of the session's own."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from tests.catalogue import Example
from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect as Server
from tests.servers import running_server
from tests.targets.base import ALICE, BOB, Content, Headers, Target, User


class DeployedContent(Content):
    """Local Connect tells the example who the viewer is, by the key that the test sends."""

    def __init__(self, example: Example, url: str, server: Server) -> None:
        super().__init__(example, url)
        self.server = server

    def identify(self, user: User | None) -> Headers:
        if user is None:
            return ()
        return [(b"Authorization", f"Key {self.server.users[user.name].api_key}".encode())]


class LocalConnect(Target):
    """Alice owns the content and has opened it to everyone."""

    name: ClassVar[str] = "local-connect"
    plays_connect: ClassVar[bool] = False
    viewers: ClassVar[tuple[User | None, ...]] = (ALICE, BOB, None)

    def __init__(self, *, cache: Path, scratch: Path, saved_server: str) -> None:
        super().__init__(cache=cache, scratch=scratch, saved_server=saved_server)
        self.resources = ExitStack()
        self.server: Server | None = None

    def start(self, example: Example) -> Content:
        server = self.server = self.server or self.resources.enter_context(
            running_server(self.scratch / "data")
        )
        copy = shutil.copytree(
            example.path,
            self.scratch / example.directory,
            ignore=shutil.ignore_patterns("__pycache__", "rsconnect-python"),
        )
        done = rsconnect(
            *("deploy", "api", "--new", "--entrypoint", example.entrypoint, copy),
            home=self.scratch / "home",
            environment={
                "CONNECT_SERVER": server.url,
                "CONNECT_API_KEY": server.users[ALICE.name].api_key,
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = server.get("/__api__/v1/content", params={"name": example.directory}).json()
        opened = server.request(
            "PATCH", f"/__api__/v1/content/{found[0]['guid']}", json={"access_type": "all"}
        )
        assert opened.status_code == 200, opened.text
        return DeployedContent(example, found[0]["content_url"], server)

    def close(self) -> None:
        super().close()
        self.resources.close()
