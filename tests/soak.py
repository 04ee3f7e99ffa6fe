"""Redeploys under load and kills, for as long as you like: nothing may be lost.

    python -m tests.soak [--requests 100000] [--kills 200] [--seed N]

First visitors ask without a pause while one content is deployed again and again: every
request must be answered by the app. Then a server is killed at a random moment of a
deployment, again and again: after each restart every content must serve the bundle that was
active last, with no half record, no stray process and no orphaned file.

Exits 1 if anything failed.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from tests.deployed import Content, assert_recorded
from tests.process_app import app, deployments
from tests.publishing import archive_of, create, deploy, publish, upload
from tests.servers import LocalConnect, content_processes, running_server

#: visitors at a time, and content that the killed server holds
_VISITORS = 16
_CONTENTS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    arguments = parser.parse_args()
    # so that whoever ends it ends what it has started
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {arguments.seed}")
    chance = random.Random(arguments.seed)  # noqa: S311 (nothing secret)
    failures = Counter[str]()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        with running_server(Path(directory) / "load") as server:
            asyncio.run(redeploy_under_load(server, arguments.requests, failures))
        kill_during_deployments(Path(directory) / "kills", arguments.kills, chance, failures)
    print(f"failures: {dict(failures) or 'none'}")
    sys.exit(bool(failures))


async def redeploy_under_load(server: LocalConnect, requests: int, failures: Counter[str]) -> None:
    content = await asyncio.to_thread(publish, server, app("0"))
    answered = Counter[str]()
    deployed = 0
    show = Progress("requests", requests)

    async def visit(client: aiohttp.ClientSession) -> None:
        while answered.total() + failures.total() < requests:
            try:
                async with client.get(server.url + content.path) as answer:
                    body: dict[str, Any] = await answer.json()
                    if answer.status != 200:
                        failures[f"answer {answer.status}: {body}"] += 1
                    answered[str(body.get("version"))] += 1
            except aiohttp.ClientError as error:
                failures[f"{type(error).__name__} for a visitor"] += 1
            show(answered.total(), f"{deployed} redeployments, {failures.total()} failures")

    async def redeploy() -> None:
        nonlocal deployed
        while answered.total() + failures.total() < requests:
            archive = archive_of({"app.py": app(str(deployed + 1)).encode()})
            bundle = await asyncio.to_thread(upload, content, archive)
            task = await asyncio.to_thread(deploy, content, bundle)
            if task["code"]:
                failures[f"deployment: {task['error']}"] += 1
            deployed += 1

    async with aiohttp.ClientSession() as client:
        await asyncio.gather(redeploy(), *(visit(client) for _ in range(_VISITORS)))
    show.done()
    seen = len(answered)
    print(f"{answered.total()} requests answered by {seen} versions in {deployed} redeployments")


def kill_during_deployments(
    data: Path, kills: int, chance: random.Random, failures: Counter[str]
) -> None:
    with running_server(data) as server:
        contents = [publish(server, app(f"{n}-0"), min_processes=1) for n in range(_CONTENTS)]
        start = time.monotonic()
        assert attempt(contents[0], "0-0")
        undisturbed = time.monotonic() - start
    serves = [{f"{number}-0"} for number in range(_CONTENTS)]
    confirmed = 0
    show = Progress("kills", kills)
    for kill in range(1, kills + 1):
        with running_server(data) as server:
            contents = [Content(server, content.guid) for content in contents]
            check(contents, serves, failures)
            number = chance.randrange(_CONTENTS)
            version = f"{number}-{kill}"
            with ThreadPoolExecutor(1) as publisher:
                deployment = publisher.submit(attempt, contents[number], version)
                time.sleep(chance.uniform(0, 1.1 * undisturbed))
                server.process.kill()
            server.kill()
            if deployment.result():
                serves[number] = {version}
                confirmed += 1
            else:
                # it may have been activated without a word of it getting through
                serves[number].add(version)
        if not gone(data):
            failures["stray process"] += 1
        show(kill, f"{confirmed} deployments ended before, {failures.total()} failures")
    with running_server(data) as server:
        check([Content(server, content.guid) for content in contents], serves, failures)
    show.done()
    print(f"{kills} kills, {confirmed} of them after the deployment had ended")


def attempt(content: Content, version: str) -> bool:
    """Whether a deployment ended well before the server was killed."""
    try:
        # one requirement, so that an environment is made each time, and may be cut short
        files = {"app.py": app(version).encode(), "requirements.txt": b"# %s\n" % version.encode()}
        half_done = create(content.server)
        upload(half_done, archive_of(files))
        return bool(deploy(content, upload(content, archive_of(files)))["code"] == 0)
    except (httpx.HTTPError, AssertionError, ValueError):
        return False


def check(contents: list[Content], serves: list[set[str]], failures: Counter[str]) -> None:
    """Every content serves what it may, and nothing half done lies about."""
    for number, content in enumerate(contents):
        answer = content.server.get(content.path, user=None)
        version = answer.json().get("version") if answer.is_success else answer.text
        if version not in serves[number]:
            failures[f"content serves {version}, not {serves[number]}"] += 1
        else:
            serves[number] = {version}
        if any(record["end_time"] is None for record in deployments(content)):
            failures["record of a deployment that never ends"] += 1
    try:
        assert_recorded(contents[0].server)
    except AssertionError as error:
        failures[f"left over: {error}"] += 1


def gone(data: Path) -> bool:
    """Whether the content processes of a killed server end by themselves."""
    deadline = time.monotonic() + 10
    while content_processes(data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Progress:
    """One line that is rewritten on a terminal, and written now and then elsewhere."""

    def __init__(self, what: str, goal: int) -> None:
        self._what = what
        self._goal = goal
        self._next = 0.0

    def __call__(self, count: int, more: str) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (0.2 if sys.stderr.isatty() else 10)
        end = "\r" if sys.stderr.isatty() else "\n"
        print(f"{count} of {self._goal} {self._what}, {more}", end=end, file=sys.stderr, flush=True)

    def done(self) -> None:
        if sys.stderr.isatty():
            print(file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
