"""Publishes through the API, where rsconnect is not what is tested: quicker, and in steps."""

import json
import uuid
from typing import Any

from tests.bundles import manifest_of, member, packed
from tests.deployed import Content
from tests.servers import LocalConnect


def create(server: LocalConnect, *, user: str = "alice", **fields: Any) -> Content:
    """New content without a bundle, by a name that no other has."""
    fields = {"name": f"content-{uuid.uuid4().hex[:12]}", **fields}
    made = server.request("POST", "/__api__/v1/content", user=user, json=fields)
    assert made.is_success, made.text
    return Content(server, made.json()["guid"])


def archive_of(files: dict[str, bytes], *, python: str = "", **metadata: str) -> bytes:
    """A bundle as rsconnect would send it; no requirements where there are none among the files.

    `python` is the version of Python that it asks for in place of ours.
    """
    files = {"requirements.txt": b"", **files}
    document = manifest_of(files)
    document["metadata"] |= metadata
    if python:
        document["python"]["version"] = python
    manifest = json.dumps(document).encode()
    return packed([member("manifest.json", manifest), *(member(*file) for file in files.items())])


def upload(content: Content, archive: bytes, *, user: str = "alice") -> str:
    """The id of a new bundle."""
    sent = content.server.request("POST", f"{content.api}/bundles", user=user, content=archive)
    assert sent.is_success, sent.text
    return str(sent.json()["id"])


def deploy(content: Content, bundle_id: str, *, user: str = "alice") -> dict[str, Any]:
    """Deploy a bundle; the task when it has finished."""
    started = content.server.request(
        "POST", f"{content.api}/deploy", user=user, json={"bundle_id": bundle_id}
    )
    assert started.is_success, started.text
    return finished(content.server, started.json()["task_id"], user=user)


def finished(server: LocalConnect, task_id: str, *, user: str = "alice") -> dict[str, Any]:
    """The task at its end, with all its output."""
    output: list[str] = []
    last = 0
    while True:
        # without `first` it would answer at once as soon as there is a line
        task: dict[str, Any] = server.get(
            f"/__api__/v1/tasks/{task_id}", user=user, params={"wait": 5, "first": last}
        ).json()
        output += task["output"]
        last = task["last"]
        if task["finished"]:
            return {**task, "output": output}


def publish(server: LocalConnect, source: str, **fields: Any) -> Content:
    """New content that runs this app, open to everyone unless the fields say otherwise."""
    content = create(server, **{"access_type": "all", **fields})
    task = deploy(content, upload(content, archive_of({"app.py": source.encode()})))
    assert task["code"] == 0, "\n".join(task["output"])
    return content
