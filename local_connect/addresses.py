"""The addresses that clients use: links in answers follow the one of the request."""

from __future__ import annotations

from aiohttp import web


def base_url(request: web.Request) -> str:
    """Scheme and host as the client wrote them, without a slash at the end."""
    return f"{request.scheme}://{request.host}"
