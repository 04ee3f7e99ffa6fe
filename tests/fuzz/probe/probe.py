"""Answers every request with what it was given, and remembers what it has run."""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable
from typing import Any

RUN: deque[dict[str, Any]] = deque(maxlen=1000)


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/.run":
        # what was run since this was asked the last time
        answer: Any = [RUN.popleft() for _ in range(len(RUN))]
    else:
        body = environ["wsgi.input"].read()
        answer = {
            "content": os.environ["CONNECT_CONTENT_GUID"],
            "length": len(body),
            "md5": hashlib.md5(body, usedforsecurity=False).hexdigest(),
            "environ": {name: value for name, value in environ.items() if isinstance(value, str)},
        }
        RUN.append(answer)
    text = json.dumps(answer).encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
    )
    return [text]
