"""Reads the beginning of an answer, which may come in pieces and have no end."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

#: seconds in which what an app has to say is mostly there
_PATIENCE = 5.0


async def beginning(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """What comes of its body within some seconds: at most `limit` bytes.

    Raises `aiohttp.ClientError` where it is broken off before that.
    """
    found = bytearray()
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            async for piece in answer.content.iter_any():
                found += piece
                if len(found) >= limit:
                    break
    return bytes(found[:limit])
