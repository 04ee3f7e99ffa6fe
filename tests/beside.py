"""The services that examples stand on, for a test session: each started when it is first needed."""

from contextlib import ExitStack

from scripts import services


class Services:
    """One server for each service, until `close`.

    They are always our own: what tests write must not reach a server that somebody uses.
    """

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
                self.started[name] = self.resources.enter_context(services.started(name))
            apart = getattr(services.load(name), "apart", dict)
            found |= apart(self.started[name])
        return found

    def close(self) -> None:
        self.resources.close()
