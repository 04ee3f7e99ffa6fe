"""What a test may know of the place where an example runs."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

import httpx

from tests.beside import Services
from tests.catalogue import Example
from tests.servers import CERTIFICATES

CREDENTIALS = b"RStudio-Connect-Credentials"

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ()


# these two exist on the servers that the tests start
ALICE = User("alice", groups=("data-science", "staff"))
BOB = User("bob")


class NotDeployedError(Exception):
    """The example is not where it should be; the message says how it gets there."""


class Viewer(Enum):
    """Stands for whoever the content is `seen_by`."""

    SAME = "same"


class Content(ABC):
    """An example that is deployed and answers.

    `url` is where it is mounted and ends with a slash; paths are relative to it.
    `viewer` is who asks where a test does not say; None is a visitor who is not signed in.
    """

    viewer: User | None = ALICE

    def __init__(self, example: Example, url: str, client: httpx.Client | None = None) -> None:
        self.example = example
        self.url = url
        self.client = client or httpx.Client(timeout=30, trust_env=False, verify=CERTIFICATES)

    def seen_by(self, viewer: User | None) -> "Content":
        """The same content, asked as someone else."""
        other = copy.copy(self)
        other.viewer = viewer
        return other

    def request(
        self,
        method: str,
        path: str,
        *,
        user: User | Viewer | None = Viewer.SAME,
        headers: Headers = (),
    ) -> httpx.Response:
        """Send one request as `user`. Redirects are not followed."""
        who = self.viewer if isinstance(user, Viewer) else user
        return self.client.request(method, self.url + path, headers=[*self.identify(who), *headers])

    def get(
        self, path: str, *, user: User | Viewer | None = Viewer.SAME, headers: Headers = ()
    ) -> httpx.Response:
        return self.request("GET", path, user=user, headers=headers)

    @abstractmethod
    def identify(self, user: User | None) -> Headers:
        """The headers by which a request becomes this user's."""

    def close(self) -> None:
        self.client.close()


class Target(ABC):
    """Somewhere to deploy to. One is made for each test session.

    Each test of the contract runs there as each of the `viewers`.

    `plays_connect` is true where the test itself sets the headers that Connect would set. Elsewhere
    a gateway does, and drops a client's own.

    `by_default` is false where it must be asked for by name.

    `cache` is a directory that outlives the session, `scratch` one that does not; `saved_server`
    names a server that is there already, for a target that does not start its own. `services` has
    what the examples stand on, for a target that starts them.
    """

    name: ClassVar[str]
    plays_connect: ClassVar[bool]
    by_default: ClassVar[bool] = True
    viewers: ClassVar[tuple[User | None, ...]] = (ALICE,)

    def __init__(
        self, *, cache: Path, scratch: Path, services: Services, saved_server: str = ""
    ) -> None:
        self.cache = cache
        self.scratch = scratch
        self.services = services
        self.saved_server = saved_server
        self.deployed: dict[Example, Content | Exception] = {}

    def deploy(self, example: Example) -> Content:
        """The example, live here. Deployed once a session, and tried once if that fails."""
        if example not in self.deployed:
            try:
                self.deployed[example] = self.start(example)
            except Exception as error:
                self.deployed[example] = error
        content = self.deployed[example]
        if isinstance(content, Exception):
            raise content
        return content

    @abstractmethod
    def start(self, example: Example) -> Content:
        """Deploy the example and wait until it answers."""

    def close(self) -> None:
        """Stop all that was started."""
        for content in self.deployed.values():
            if isinstance(content, Content):
                content.close()
