"""What this server must know of aiohttp that aiohttp does not document; nothing else here does.

Where a later aiohttp has other names for these, nothing breaks: a pure Python parser is not
noticed, and bytes that are no HTTP put a traceback on the terminal. A test of each turns red.
"""

from __future__ import annotations

import logging

from aiohttp import http_parser

from local_connect.errors import LocalConnectError


def check_parser() -> None:
    """Raise `LocalConnectError` where aiohttp reads requests by its parser in pure Python.

    That one takes what the other refuses, so where a request ends would be in doubt.
    """
    in_python = getattr(http_parser, "HttpRequestParserPy", None)
    if in_python and getattr(http_parser, "HttpRequestParser", None) is in_python:
        raise LocalConnectError(
            "aiohttp runs without its C extensions, and local-connect cannot be safe without its "
            "HTTP parser in C. Unset AIOHTTP_NO_EXTENSIONS, or install aiohttp again, from a "
            "wheel: pip install --force-reinstall --only-binary aiohttp aiohttp"
        )


def is_fault(record: logging.LogRecord) -> bool:
    """Whether what aiohttp's server reports is a fault: not a client that is gone or no HTTP."""
    kind = record.exc_info[0] if record.exc_info else None
    if kind is None:
        return True
    return not issubclass(kind, ConnectionError) and kind.__module__ != "aiohttp.http_exceptions"
