"""The services that examples stand on, for a test session: each started when it is first needed."""

from contextlib import ExitStack

from scripts import services
from tests.catalogue import Example


class Services:
    """One server for each service, until `close`."""

    def __init__(self) -> None:
        self.resources = ExitStack()
        self.started: dict[str, dict[str, str]] = {}

    def variables(self, *names: str) -> dict[str, str]:
        """By which environment variables an example finds these services.

        Where the service can keep its users apart, whoever asks gets a place of their own there.
        """
        found: dict[str, str] = {}
        for name in names:
            if name not in self.started:
                self.started[name] = self.resources.enter_context(services.running([name]))
            apart = getattr(services.load(name), "apart", dict)
            found |= apart(self.started[name])
        return found

    def close(self) -> None:
        self.resources.close()


def missing(example: Example) -> str | None:
    """Why the example cannot run here, and what to do about it; None where it can."""
    reasons = (services.missing(name) for name in example.services)
    return next((reason for reason in reasons if reason), None)
