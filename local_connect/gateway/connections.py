"""Connections of clients: what aiohttp's server leaves open, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import http_parser, web
from aiohttp.http_exceptions import HttpProcessingError

from local_connect.errors import LocalConnectError


def check_parser() -> None:
    """Raise `LocalConnectError` where aiohttp reads requests by its parser in pure Python.

    That one takes what the other refuses, so where a request ends would be in doubt.
    """
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise LocalConnectError(
            "aiohttp runs without its C extensions, and local-connect cannot be safe without its "
            "HTTP parser in C. Unset AIOHTTP_NO_EXTENSIONS, or install aiohttp again, from a "
            "wheel: pip install --force-reinstall --only-binary aiohttp aiohttp"
        )


def connections(server: web.Server) -> Callable[[], web.RequestHandler]:
    """What makes the protocol of a connection, for `create_server`."""

    def connection() -> web.RequestHandler:
        protocol = server()
        protocol._parser = _Parser(protocol._parser)  # type: ignore[assignment]
        return protocol

    return connection


class _Parser:
    """aiohttp's parser, which also tells whoever reads a body that the rest of it is no HTTP.

    By itself it tells the connection only, which is to answer that after the request whose body
    it is: the request would wait for the rest of its body until the client goes away, or if
    it was answered already, the connection for ten seconds.
    """

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._body: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> Any:
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError as error:
            if self._body is not None and not self._body.is_eof():
                # not before a reader who was woken by the last good chunk waits again,
                # who would not look for it
                asyncio.get_running_loop().call_soon(self._body.set_exception, error)
            raise
        if messages:
            _, self._body = messages[-1]
        return messages, upgraded, tail
