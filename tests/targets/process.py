"""The example alone: a process in its own environment, mounted as Connect would mount it."""

import json
import os
import select
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from tests.catalogue import Example
from tests.targets.base import CREDENTIALS, Content, Headers, Target, User
from tests.targets.environments import environment
from tests.targets.played import SESSION_TOKEN, played_connect, token_of

SERVE = Path(__file__).with_name("serve.py")
PATIENCE = 60


class DidNotStartError(Exception):
    """The process ended, or said nothing, before it was ready."""

    def __init__(self, example: Example, status: int | None, output: str) -> None:
        super().__init__(f"{example.directory} did not start (status {status}):\n{output}")
        self.status = status
        self.output = output


class RunningContent(Content):
    """The test plays Connect: it tells the example who the viewer is."""

    def __init__(self, example: Example, url: str, resources: ExitStack) -> None:
        super().__init__(example, url)
        self.resources = resources

    def identify(self, user: User | None) -> Headers:
        if user is None:
            return ()
        credentials = {"user": user.name, "groups": list(user.groups)}
        headers = [(CREDENTIALS, json.dumps(credentials, ensure_ascii=False).encode())]
        if self.example.integrations:
            headers.append((SESSION_TOKEN, token_of(user.name)))
        return headers

    def close(self) -> None:
        super().close()
        self.resources.close()


class Process(Target):
    """With the newest versions that the example's requirements allow."""

    name: ClassVar[str] = "process"
    plays_connect: ClassVar[bool] = True
    resolution: ClassVar[str] = "highest"

    def start(self, example: Example) -> Content:
        return self.launch(example)

    def copy(self, example: Example) -> Path:
        """A copy of the example's directory, to run or to break."""
        copy = self.scratch / f"{example.directory}-{uuid.uuid4()}"
        ignore = shutil.ignore_patterns("__pycache__", "node_modules", *example.exclude)
        return Path(shutil.copytree(example.path, copy, ignore=ignore))

    def launch(
        self,
        example: Example,
        *,
        directory: Path | None = None,
        mounts: Sequence[str] = (),
        scheme: str = "http",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Content:
        """Run the example; the caller closes it. Its URL is that of the first mount.

        It finds its services by variables that `env` may replace.
        """
        directory = directory or self.copy(example)
        mounts = mounts or [f"/content/{uuid.uuid4()}"]
        python = environment(
            example.path / "requirements.txt", self.cache, resolution=self.resolution
        )
        log = directory.with_suffix(".log")
        variables = self.services.variables(*example.services)

        with ExitStack() as stack:
            if example.integrations:
                variables = {**variables, **stack.enter_context(played_connect())}
            process = subprocess.Popen(
                [python, SERVE, directory, example.entrypoint, *mounts, "--scheme", scheme],
                cwd=cwd or directory,
                env={**os.environ, **variables, **(env or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(log.open("wb")),
            )
            stack.callback(end, process)
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
            port = process.stdout.readline().strip() if ready else b""
            if not port:
                end(process)
                output = log.read_text(encoding="utf-8", errors="replace")
                raise DidNotStartError(example, process.returncode, output)
            url = f"http://127.0.0.1:{int(port)}{mounts[0]}/"
            return RunningContent(example, url, stack.pop_all())


class OldestProcess(Process):
    """With the oldest versions that the example's requirements allow."""

    name: ClassVar[str] = "process-oldest"
    resolution: ClassVar[str] = "lowest-direct"


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that stops when its input ends, or by force if it does not."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
