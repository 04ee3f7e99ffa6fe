"""An app that says which process answers and takes its time when asked to."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from tests.deployed import Content

#: answers `{"pid", "version", "colour"}`, after `?seconds=` of sleep; `?exit` ends the process
APP = """
import json, os, sys, time
from urllib.parse import parse_qs
VERSION = {version!r}
print("started", VERSION, flush=True)
def app(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    if "exit" in query:
        os._exit(3)
    time.sleep(float(query.get("seconds", ["0"])[0]))
    for line in query.get("say", []):
        print(line, flush=True)
    start_response("200 OK", [("Content-Type", "application/json")])
    answer = {{"pid": os.getpid(), "version": VERSION, "colour": os.environ.get("COLOUR")}}
    return [json.dumps(answer).encode()]
"""


def app(version: str = "one") -> str:
    return APP.format(version=version)


def ask(content: Content, query: str = "") -> dict[str, str | int | None]:
    """What the app says of itself."""
    answer = content.server.get(f"{content.path}?{query}", user=None)
    assert answer.status_code == 200, answer.text
    said: dict[str, str | int | None] = answer.json()
    return said


def pids(content: Content, *, at_once: int, seconds: float = 0.5) -> set[str | int | None]:
    """The processes that answer so many visitors at once."""
    with ThreadPoolExecutor(at_once) as visitors:
        answers = visitors.map(lambda _: ask(content, f"seconds={seconds}"), range(at_once))
        return {answer["pid"] for answer in answers}


def deployments(content: Content) -> list[dict[str, Any]]:
    """The records of a content's deployments, newest first."""
    with closing(sqlite3.connect(content.server.data / "local-connect.db")) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute(
            "SELECT * FROM deployments WHERE content_guid = ? ORDER BY id DESC", (content.guid,)
        )
        return [dict(row) for row in rows]
