"""A long answer, made as it is sent: as many bytes as the last part of the path says."""

from collections.abc import Callable, Iterator
from typing import Any

PART = b"x" * 65536


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    left = int(environ["PATH_INFO"].rpartition("/")[2] or 0)
    while left > 0:
        yield PART[:left]
        left -= len(PART)
