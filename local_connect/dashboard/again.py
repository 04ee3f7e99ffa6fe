"""Sends a request that came in once more, as the same visitor or as another."""

from __future__ import annotations

import secrets

import aiohttp
from aiohttp import web
from yarl import URL

from local_connect.api.common import services
from local_connect.dashboard.answers import beginning
from local_connect.errors import ApiError, BadRequest
from local_connect.gateway import headers as rules
from local_connect.gateway.inspection import AGAIN_HEADER, NOBODY, inspector
from local_connect.gateway.recorder import BODY_BYTES, Recording
from local_connect.records.store import User

#: seconds that the app may take to answer
_PATIENCE = 30.0

#: what says who the visitor is in the app's own way, and is not another's to send
_OF_ONE_VISITOR = ("AUTHORIZATION", "COOKIE")


async def send(request: web.Request, recording: Recording, visitor: str) -> int:
    """Send it to this server; the number of the new one.

    `visitor` is a username, `-` for nobody, and empty for the same visitor. Another does not send
    the cookies and the `Authorization` of the first. Raises `BadRequest` where it cannot be sent.
    """
    if recording.body_bytes > len(recording.body):
        raise BadRequest(
            f"Its body has {recording.body_bytes:,} bytes, and only the first {BODY_BYTES:,} are "
            "kept, so it cannot be sent again."
        )
    if recording.status == 101:
        raise BadRequest("It is a WebSocket, which cannot be opened again from here.")
    before = recording.viewer
    user = before if not visitor else _named(request, visitor)
    same = (user.guid if user else None) == (before.guid if before else None)
    mark = secrets.token_hex(8)
    headers = [
        *((name, rules.printable(value)) for name, value in _passing(recording, same=same)),
        ("Host", recording.sent["Host"]),
        (AGAIN_HEADER, mark),
    ]
    if user:
        headers.append(("X-RSC-Authorization", f"Key {user.api_key}"))
    server = services(request).deploys.server_url.rstrip("/")
    error: Exception | None = None
    try:
        async with (
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                timeout=aiohttp.ClientTimeout(total=_PATIENCE),
            ) as client,
            client.request(
                recording.method,
                URL(f"{server}{recording.path}", encoded=True),
                headers=headers,
                data=recording.body or None,
                allow_redirects=False,
            ) as answer,
        ):
            await beginning(answer, BODY_BYTES)
    except (aiohttp.ClientError, TimeoutError, ValueError) as failed:
        error = failed
    for one in inspector(request).find(recording.guid):
        if one.sent.get(AGAIN_HEADER) == mark:  # pragma: no branch (others come meanwhile)
            return one.number
    raise ApiError(f"It could not be sent again: {error or 'it did not arrive'}.", status=502)


def _named(request: web.Request, visitor: str) -> User | None:
    if visitor == NOBODY:
        return None
    for user in services(request).identities.all():
        if user.username == visitor:
            return user
    raise BadRequest(f"There is no user {visitor}.")


def _passing(recording: Recording, *, same: bool) -> list[tuple[str, str]]:
    """The headers to send: of the visitor's own, those that the server takes from anyone."""
    return [
        (name, value)
        for name, value in rules.from_visitor(recording.sent, signed=recording.signed)
        if same or name.upper() not in _OF_ONE_VISITOR
    ]
