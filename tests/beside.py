"""The services that examples stand on, for a test session: each started when it is first needed."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from scripts import services
from tests.shared import shared


class Services:
    """One server for each service, until `close`.

    They are always our own: what tests write must not reach a server that somebody uses. Where a
    service is `HEAVY`, the workers of a test session share one, by the directory `common`.
    """

    def __init__(self, common: Path | None = None) -> None:
        self.common = common
        self.resources = ExitStack()
        self.started: dict[str, dict[str, str]] = {}

    def variables(self, *names: str) -> dict[str, str]:
        """By which environment variables an example finds these services.

        Where the service can keep its users apart, whoever asks gets a place of their own there.
        """
        found: dict[str, str] = {}
        for name in names:
            if name not in self.started:
                self.started[name] = self.resources.enter_context(self._started(name))
            apart = getattr(services.load(name), "apart", dict)
            found |= apart(self.started[name])
        return found

    def _started(self, name: str) -> AbstractContextManager[dict[str, str]]:
        if self.common and getattr(services.load(name), "HEAVY", False):
            return shared(name, self.common)
        return services.started(name)

    def close(self) -> None:
        self.resources.close()
