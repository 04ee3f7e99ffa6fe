"""The example whole: a real Valkey, the API, and worker and beat as its Procfile has them."""

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import valkey as client

from scripts.services.keeper import Kept, kept
from tests.beside import Services
from tests.catalogue import EXAMPLES
from tests.examples.celery.source import Source, serving
from tests.targets import ALICE, Content, Target
from tests.targets.environments import environment
from tests.targets.process import Process

EXAMPLE = next(example for example in EXAMPLES if example.directory == "flask-celery-example")
PROCFILE = dict(
    re.findall(r"^(\w+): (.+)$", (EXAMPLE.path / "Procfile").read_text("utf-8"), re.MULTILINE)
)

#: seconds that anything may take
PATIENCE = 60


def comes(true: Callable[[], Any], *, patience: float = PATIENCE) -> Any:
    """What it gives, once that is something."""
    deadline = time.monotonic() + patience
    while not (found := true()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
    return found


class Stack:
    """The API, and what else of the example is started."""

    def __init__(
        self,
        process: Process,
        source: Source,
        scratch: Path,
        redis_url: str,
        *,
        task_seconds: int = PATIENCE,
    ) -> None:
        self.process = process
        self.source = source
        self.directory = process.copy(EXAMPLE)
        self.logs = scratch
        self.env = {
            "REDIS_URL": redis_url,
            "GREETINGS_SOURCE": source.url,
            "SOURCE_SECONDS": "3",
            "RETRY_SECONDS": "0.05",
            "REFRESH_SECONDS": "1",
            "TASK_SECONDS": str(task_seconds),
        }
        self.resources = ExitStack()
        self.api: Content = process.launch(EXAMPLE, directory=self.directory, env=self.env)
        self.resources.callback(self.api.close)

    @property
    def redis(self) -> Any:
        """The server itself, as anyone else would see it."""
        path, _, number = self.env["REDIS_URL"].removeprefix("redis+socket://").partition("?")
        database = int(number.removeprefix("virtual_host="))
        return client.Valkey(unix_socket_path=path, db=database, decode_responses=True)

    def start(self, name: str, **options: Any) -> Kept:
        """Start one more of the processes of the Procfile."""
        return self.resources.enter_context(self.running(name, **options))

    def running(
        self, name: str, *, enter: Sequence[str] = (), log: str = "", **env: str
    ) -> AbstractContextManager[Kept]:
        """It, with more variables and a log of its own where they are given, run by `enter`."""
        program, *arguments = shlex.split(PROCFILE[name].removeprefix("exec "))
        python = environment(EXAMPLE.path / "requirements.txt", self.process.cache)
        return kept(
            [*enter, python.with_name(program), *arguments],
            cwd=self.directory,
            env={**self.env, "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", **env},
            log=self.logs / f"{log or name}.log",
        )

    def log(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text("utf-8", "replace")

    def texts(self) -> dict[str, str]:
        """The greetings, as the API lists them."""
        answer = self.api.get("greetings/")
        assert answer.status_code == 200, answer.text
        return {item["lang"]: item["text"] for item in answer.json()}

    def post(self, path: str = "refresh") -> httpx.Response:
        return self.api.request("POST", path, user=ALICE)

    def request(self) -> str:
        """Ask for a refresh; the address of its task."""
        answer = self.post()
        assert answer.status_code == 202, answer.text
        assert answer.json()["id"] == answer.headers["Location"].removeprefix("tasks/")
        return answer.headers["Location"]

    def task(self, address: str) -> dict[str, Any]:
        answer = self.api.get(address)
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def ended(self, address: str) -> dict[str, Any]:
        """The task at its end."""

        def end() -> dict[str, Any] | None:
            answer = self.api.get(address)
            # Redis may be away for a while
            if answer.status_code != 503:
                assert answer.status_code == 200, answer.text
                task: dict[str, Any] = answer.json()
                if task["state"] in ("done", "failed"):
                    return task
            return None

        task: dict[str, Any] = comes(end)
        return task

    def refreshed(self) -> dict[str, Any]:
        """Ask for a refresh, and wait for its end."""
        return self.ended(self.request())

    def close(self) -> None:
        self.resources.close()


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with serving() as source:
        yield source


@pytest.fixture(scope="session")
def newest(targets: dict[str, Target]) -> Process:
    """Where the example runs with the newest versions that its requirements allow."""
    process = targets[Process.name]
    assert isinstance(process, Process)
    return process


@pytest.fixture(scope="module")
def stack(
    newest: Process,
    services: Services,
    source: Source,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """With one worker, and without beat; it has a database of its own."""
    scratch = tmp_path_factory.mktemp("celery")
    stack = Stack(newest, source, scratch, services.variables("valkey")["REDIS_URL"])
    try:
        stack.start("worker")
        yield stack
    finally:
        stack.close()
