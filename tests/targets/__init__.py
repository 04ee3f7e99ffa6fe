"""The places that an example can be deployed to.

Add one to TARGETS and every contract test runs there too, by default or by name.
"""

from tests.targets.base import ALICE, BOB, CREDENTIALS, Content, Headers, Target, User
from tests.targets.connect import Connect
from tests.targets.local_connect import LocalConnect
from tests.targets.process import OldestProcess, Process

TARGETS: dict[str, type[Target]] = {
    target.name: target for target in (Process, OldestProcess, LocalConnect, Connect)
}

__all__ = ["ALICE", "BOB", "CREDENTIALS", "TARGETS", "Content", "Headers", "Target", "User"]
