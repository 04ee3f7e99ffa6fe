"""The examples as `make deploy` left them on a server that someone uses: looked at, not changed."""

from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from scripts.connect import Client, Server, connected, find_server
from tests.beside import Services
from tests.catalogue import Example
from tests.targets.base import Content, Headers, NotDeployedError, Target, User

#: stands for the owner of the key, until the server says who that is
OWNER = User("owner")


class FoundContent(Content):
    """The server tells the example who the viewer is, by the key."""

    def __init__(self, example: Example, item: dict[str, Any], where: Server, owner: User) -> None:
        # unlike the other targets this one may be beyond a proxy
        client = httpx.Client(timeout=60, verify=where.certificates)
        super().__init__(example, item["content_url"].rstrip("/") + "/", client)
        self.open_to_all = item["access_type"] == "all"
        self.key = where.api_key
        self.viewer = self.owner = owner

    def seen_by(self, viewer: User | None) -> Content:
        if viewer is None and not self.open_to_all:
            pytest.skip(f"{self.example.directory} is not open to everyone there")
        return super().seen_by(self.owner if viewer is OWNER else viewer)

    def identify(self, user: User | None) -> Headers:
        if user is None:
            return ()
        assert user is self.owner, f"there is no key of {user.name}"
        return [(b"Authorization", f"Key {self.key}".encode())]


class Connect(Target):
    """A real Connect, or any server like it. Its content is the key's owner's.

    Which server: `--connect-server NAME` as rsconnect saved it, else CONNECT_SERVER and
    CONNECT_API_KEY. Nobody sees only the content that is open to everyone.
    """

    name: ClassVar[str] = "connect"
    plays_connect: ClassVar[bool] = False
    by_default: ClassVar[bool] = False
    viewers: ClassVar[tuple[User | None, ...]] = (OWNER, None)

    def __init__(
        self, *, cache: Path, scratch: Path, services: Services, saved_server: str = ""
    ) -> None:
        super().__init__(cache=cache, scratch=scratch, services=services, saved_server=saved_server)
        self.owner: User | None = None

    def start(self, example: Example) -> Content:
        where = find_server(self.saved_server)
        with connected(where) as client:
            item = client.find(client.me()["guid"], example.directory)
            self.owner = self.owner or owner_of_the_key(client)
        if item is None or item["bundle_id"] is None:
            raise NotDeployedError(
                f"{example.directory} is not deployed at {where.url}: make deploy-"
                f"{example.directory} deploys it there, make deploy all of them"
            )
        return FoundContent(example, item, where, self.owner)


def owner_of_the_key(client: Client) -> User:
    """The name and the groups of the key's owner.

    No request tells the groups of a user, so it asks each group for its members, as posit-sdk does.
    """
    me = client.me()
    groups = [
        str(group["name"])
        for group in client.pages("v1/groups")
        if me["guid"]
        in (member["guid"] for member in client.pages(f"v1/groups/{group['guid']}/members"))
    ]
    return User(me["username"], tuple(groups))
