"""Each example beside bare Flask, and where the time of a start on demand goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.load import CONNECTIONS
from benchmarks.measure import (
    Family,
    Figure,
    Scale,
    Target,
    per_1000,
    ratio,
    seconds,
    side_by_side,
)
from benchmarks.memory import MIB, NOT_HERE, can_measure, resident
from benchmarks.servers import bare, job_of, load_content, publish, python_of
from scripts.services import missing as unavailable
from tests.beside import Services
from tests.catalogue import EXAMPLES, Example
from tests.deployed import Content
from tests.servers import LocalConnect

HOW = f"""
Each example and bare Flask are deployed, each in its own environment, and {CONNECTIONS} connections
ask each one's process straight, without the gateway: for the list of greetings, for one item, and
bare Flask for its few bytes. Memory is what the process holds (resident) after that.

A start on demand is the first request, through the gateway, after the process was ended; its
target is held against the imports alone. Where its time goes is measured in the same round, in a
new interpreter of the same environment and in the same directory, with bytecode cached for both:
the import of Flask, then of the framework, then of the rest of the app, and then the app's first
answer, which it is asked for without a server. That is work, too: routes are sorted, templates
compiled, modules imported that were not needed before. The interpreter's own start is timed from
outside. What is left over is what local Connect adds: some 23 ms, and with the interpreter's own
start, which no import has in it, 35 ms. Where an app imports little more than Flask, that is more
than a quarter, and the target is missed. To keep interpreters in reserve would meet it, as a second
way to start content.

The list from Redis is that of flask-celery-example, with Valkey on a Unix socket; the list from
memory that of flask-smorest-example, which is made by the same library.
"""

#: one process, which is not ended for want of visitors: those who come straight are not seen
STAYS = {"max_processes": 1, "idle_timeout": 3600}

#: both make their lists by marshmallow; where they take them from is what differs most
REDIS_AND_MEMORY = ("flask-celery-example", "flask-smorest-example")

#: prints the seconds to import Flask, the framework and the app, and of the app's first answer
PARTS = """
import io, time
begun = time.perf_counter()
for name in {names!r}:
    module = __import__(name)
    print(time.perf_counter() - begun)
    begun = time.perf_counter()
environ = {{
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/content", "PATH_INFO": {path!r}, "QUERY_STRING": "",
    "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
    "wsgi.errors": io.StringIO(), "wsgi.multithread": True, "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}}
b"".join(module.app(environ, lambda status, headers, exc_info=None: None))
print(time.perf_counter() - begun)
"""


@dataclass(frozen=True)
class Deployed:
    """An example, and the environment and directory that it runs with."""

    example: Example
    content: Content
    python: Path
    app: Path
    variables: dict[str, str]

    def parts(self) -> tuple[float, ...]:
        """Seconds of an interpreter that does nothing, and then of one that imports the app.

        Those are the imports of Flask, of the framework and of the rest, and the first answer.
        """
        interpreter = seconds(lambda: subprocess.run([self.python, "-c", ""], check=True))
        framework = self.example.framework.partition(" and ")[0].lower().replace("-", "_")
        names = ("flask", framework, "app")
        done = subprocess.run(
            [self.python, "-c", PARTS.format(names=names, path=f"/{self.example.paths[0]}")],
            cwd=self.app,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=True,
        )
        return (interpreter, *map(float, done.stdout.split()))

    def start(self) -> tuple[float, ...]:
        """Seconds of the first request after its process was ended."""
        server, path = self.content.server, self.content.path + self.example.paths[0]
        server.request(
            "DELETE", f"{self.content.api}/jobs/{job_of(self.content)['key']}"
        ).raise_for_status()
        return (seconds(lambda: server.get(path, user=None).raise_for_status()),)


def measure(scale: Scale, work: Path, server: LocalConnect) -> Family:
    with closing(Services()) as services:
        return _measure(scale, work, server, services)


def _measure(scale: Scale, work: Path, server: LocalConnect, services: Services) -> Family:
    flask = publish(server, bare(work / "frameworks"), **STAYS)
    examples = EXAMPLES[: scale.examples]
    reasons = {
        example: next(filter(None, map(unavailable, example.services)), None)
        for example in examples
    }
    deployed = [
        _deploy(server, example, services.variables(*example.services))
        for example, reason in reasons.items()
        if reason is None
    ]
    figures = _rates(scale, flask, deployed)
    contents = {
        "bare Flask": flask,
        **{one.example.directory: one.content for one in deployed},
    }
    if can_measure():
        figures += [
            Figure(f"{name}: memory", "MiB", (resident(int(job_of(content)["pid"])) / MIB,))
            for name, content in contents.items()
        ]
    for one in deployed:
        figures += _starts(scale, one)
    missing = [f"{example.directory}: {reason}" for example, reason in reasons.items() if reason]
    if not can_measure():
        missing.append(NOT_HERE)
    return Family("Frameworks, and starts on demand", HOW, tuple(figures), tuple(missing))


def _deploy(server: LocalConnect, example: Example, variables: dict[str, str]) -> Deployed:
    content = publish(server, example.path, variables, **STAYS)
    app = server.data / "bundles" / content.bundles[0]["id"] / "app"
    return Deployed(example, content, python_of(content), app, variables)


def _rates(scale: Scale, flask: Content, deployed: list[Deployed]) -> list[Figure]:
    """Lists and items over bare Flask, straight at their processes, one after the other."""
    ways: dict[str, Callable[[float], float]] = {"bare Flask": partial(_rate, flask, "")}
    for one in deployed:
        if one.example.has("list", "item"):
            name, item = one.example.directory, (one.example.item or "").format(lang="en")
            ways[f"{name}: requests/s of its list"] = partial(
                _rate, one.content, one.example.list or ""
            )
            ways[f"{name}: requests/s of its item"] = partial(_rate, one.content, item)
    for way in ways.values():
        way(scale.seconds / 4)
    found = side_by_side(
        "frameworks",
        scale,
        {name: partial(way, scale.seconds / 2) for name, way in ways.items()},
    )
    bare_flask = found.pop("bare Flask")
    figures = [
        ratio(f"{name}, over bare Flask", rates, bare_flask) for name, rates in found.items()
    ]
    redis, memory = (found.get(f"{name}: requests/s of its list") for name in REDIS_AND_MEMORY)
    if redis and memory:
        figures.append(ratio("requests/s of the list from Redis, over from memory", redis, memory))
    return figures


def _rate(content: Content, path: str, time: float) -> float:
    return load_content(content, path, time).requests_per_second


def _starts(scale: Scale, one: Deployed) -> list[Figure]:
    name = one.example.directory
    # bytecode is written by the first
    one.parts()
    found = side_by_side(
        f"{name}: start", scale, {"start": one.start, "parts": one.parts}, _over_imports
    )
    start = tuple(took for (took,) in found["start"])
    interpreter, flask, framework, app, answer = zip(*found["parts"], strict=True)
    imports = tuple(map(sum, zip(flask, framework, app, strict=True)))
    rest = tuple(whole - sum(parts) for whole, parts in zip(start, found["parts"], strict=True))
    return [
        ratio(f"{name}: start on demand, over its imports", start, imports, Target("≤", 1.25)),
        Figure(f"{name}: start on demand", "ms", per_1000(start)),
        Figure(f"{name}: the interpreter", "ms", per_1000(interpreter)),
        Figure(f"{name}: import of Flask", "ms", per_1000(flask)),
        Figure(f"{name}: import of the framework", "ms", per_1000(framework)),
        Figure(f"{name}: import of the app", "ms", per_1000(app)),
        Figure(f"{name}: the app's first answer", "ms", per_1000(answer)),
        Figure(f"{name}: all else, as spawn, WSGI server and gateway", "ms", per_1000(rest)),
    ]


def _over_imports(start: tuple[float, ...], parts: tuple[float, ...]) -> float:
    """How much longer a start on demand took than the imports of the same app."""
    return start[0] / sum(parts[1:4])
