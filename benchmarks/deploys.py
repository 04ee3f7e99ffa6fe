"""What a deployment costs, with its environment cached and not; and a whole gallery of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.floor import GUID
from benchmarks.measure import Family, Figure, Scale, Target, ratio, seconds, side_by_side
from benchmarks.servers import bundle, publish, python_of, redeploy
from scripts import services
from scripts.gallery import AT_A_TIME
from tests.catalogue import EXAMPLES, ROOT, Example
from tests.deployed import Content
from tests.project.conftest import Checkout
from tests.publishing import create
from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect, running_server
from tests.targets.environments import uv

HOW = """
A warm deployment is `rsconnect deploy api` of flask-restx-example to content that has it already.
Its floor is the same command against a server that does nothing but say yes (benchmarks/floor.py),
and then a new interpreter that imports the app, since a deployment ends well only when its app's
process has started.
A first deployment is measured without rsconnect, from the first byte of its bundle to the end of
its task, with the environment not cached and the wheels in uv's cache; by hand it is `uv venv`,
`uv pip install` and one import of the app. The gallery is `make gallery` from the command to the
line that says it is up, its content and environments being there from an earlier start. Its floor
is what it starts: a server to its first answer; then every example, as many at a time as there,
with its services started, deployed to the server that does nothing, and imported.
"""


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    example = next(example for example in EXAMPLES if example.framework == "Flask-RESTX")
    app = shutil.copytree(example.path, work / example.directory)
    with floor() as nothing:
        figures = [
            *_warm(scale, work, server, app, nothing),
            *_first(scale, work, app),
            *(_gallery(scale, work, server, nothing) if scale.gallery else ()),
        ]
    return Family("Deployments", HOW, tuple(figures))


def _warm(
    scale: Scale, work: Path, server: LocalConnect, app: Path, nothing: str
) -> tuple[Figure, ...]:
    content = publish(server, app)
    key = server.users["alice"].api_key
    python = python_of(content)
    found = side_by_side(
        "warm deployment",
        scale,
        {
            "local Connect": partial(_deploy, app, server.url, key, content.guid, work),
            "floor": partial(_floor, app, python, nothing, work),
        },
    )
    return (
        ratio(
            "warm deployment, over the client's floor and an interpreter that imports the app",
            found["local Connect"],
            found["floor"],
            Target("≤", 1.15),
        ),
        Figure("warm deployment", "s", found["local Connect"]),
        Figure("the client's floor and the import", "s", found["floor"]),
    )


def _first(scale: Scale, work: Path, app: Path) -> tuple[Figure, ...]:
    # on a server where nothing else uses the same environment
    with running_server(work / "first") as server:
        found = side_by_side(
            "first deployment",
            scale,
            {
                "local Connect": partial(_deploy_first, server, bundle(app)),
                "by hand": partial(_by_hand, app, work / "by-hand"),
            },
        )
    return (
        ratio(
            "first deployment, over the same by hand",
            found["local Connect"],
            found["by hand"],
            Target("≤", 1.2),
        ),
        Figure("first deployment", "s", found["local Connect"]),
        Figure("environment and import by hand", "s", found["by hand"]),
    )


def _gallery(scale: Scale, work: Path, server: LocalConnect, nothing: str) -> tuple[Figure, ...]:
    directory = work / "checkout"
    directory.mkdir()
    start = partial(_make_gallery, Checkout(directory))
    start()
    pythons = {example: python_of(publish(server, example.path)) for example in EXAMPLES}
    ways: dict[str, Callable[[], float]] = {
        "make gallery": start,
        "floors": partial(_floors, pythons, nothing, work),
    }
    found = side_by_side("gallery", scale, ways)
    return (
        ratio(
            f"make gallery, warm, over the floor of what it starts, {AT_A_TIME} at a time",
            found["make gallery"],
            found["floors"],
            Target("≤", 1.25),
        ),
        Figure("make gallery, warm", "s", found["make gallery"]),
        Figure("the floor of what it starts", "s", found["floors"]),
    )


@contextmanager
def floor() -> Iterator[str]:
    """The address of a server that does nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.floor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.communicate("")


def _deploy(app: Path, url: str, key: str, guid: str, work: Path) -> float:
    """Seconds that rsconnect takes to deploy to content that is there."""

    def run() -> None:
        done = rsconnect(
            *("deploy", "api", "--app-id", guid, "--entrypoint", "app:app", app),
            home=work / "home",
            environment={"CONNECT_SERVER": url, "CONNECT_API_KEY": key},
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    return seconds(run)


def _import(python: Path, app: Path, variables: Mapping[str, str] | None = None) -> float:
    """Seconds of an interpreter that imports the app and ends."""
    command = [str(python), "-c", "import app"]
    environment = {**os.environ, **(variables or {})}
    return seconds(lambda: subprocess.run(command, cwd=app, env=environment, check=True))


def _floor(app: Path, python: Path, nothing: str, work: Path) -> float:
    """Seconds to deploy the app to the server that does nothing, and to import it."""
    return _deploy(app, nothing, "key", GUID, work) + _import(python, app)


def _deploy_first(server: LocalConnect, archive: bytes) -> float:
    """Seconds of a deployment to new content, whose environment goes with it afterwards."""
    content: Content = create(server)
    took = seconds(lambda: redeploy(content, archive))
    server.request("DELETE", content.api).raise_for_status()
    return took


def _by_hand(app: Path, directory: Path) -> float:
    """Seconds to make the same environment and to import the app in it."""
    python = str(directory / "bin" / "python")

    def run() -> None:
        uv("venv", "--quiet", "--python", sys.executable, str(directory))
        uv("pip", "install", "--python", python, "--requirements", str(app / "requirements.txt"))
        subprocess.run([python, "-c", "import app"], cwd=app, check=True)

    took = seconds(run)
    shutil.rmtree(directory)
    shutil.rmtree(app / "__pycache__")
    return took


def _floors(pythons: dict[Example, Path], nothing: str, work: Path) -> float:
    """Seconds of what `make gallery` starts, without what local Connect adds."""
    copies = work / "floors"

    def start(example: Example, stack: ExitStack) -> None:
        variables: dict[str, str] = {}
        for service in example.services:
            variables |= stack.enter_context(services.started(service))
        app = copies / example.directory
        _deploy(app, nothing, "key", GUID, work)
        _import(pythons[example], app, variables)

    for example in EXAMPLES:
        shutil.copytree(example.path, copies / example.directory)
    begun = time.perf_counter()
    with (
        running_server(copies / "server"),
        ExitStack() as stack,
        ThreadPoolExecutor(AT_A_TIME) as clients,
    ):
        list(clients.map(partial(start, stack=stack), EXAMPLES))
        took = time.perf_counter() - begun
    shutil.rmtree(copies)
    return took


def _make_gallery(checkout: Checkout) -> float:
    """Seconds until `make gallery` is up; then it is ended."""
    with subprocess.Popen(
        ["make", "gallery", "PORT=0"],
        cwd=checkout.directory,
        env=checkout.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        printed: list[str] = []

        def until_up() -> None:
            for line in process.stdout or ():
                printed.append(line)
                if "Ctrl-C ends it." in line:
                    return
            raise RuntimeError("make gallery failed:\n" + "".join(printed))

        try:
            return seconds(until_up)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
