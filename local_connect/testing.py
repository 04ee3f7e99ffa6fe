"""A server of a test session's own, and what is deployed to it, under the name to import it by.

`local_connect.client.testing` has it and says more.
"""

from local_connect.client.testing import (
    Content,
    DeployFailed,
    Fault,
    LocalConnect,
    Recorded,
    User,
    Visitor,
)

__all__ = ["Content", "DeployFailed", "Fault", "LocalConnect", "Recorded", "User", "Visitor"]
