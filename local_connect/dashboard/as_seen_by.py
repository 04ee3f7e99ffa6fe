"""What each identity gets from content, side by side."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus

import aiohttp
from aiohttp import web
from yarl import URL

from local_connect.api.common import services
from local_connect.dashboard.answers import beginning
from local_connect.errors import BadRequest
from local_connect.records.store import Content, User

#: identities that content is shown to at once, besides nobody
_SEEN_BY = 12

#: characters of an answer that are shown
_ANSWER = 600

#: seconds that content may take to answer
_PATIENCE = 30.0

#: redirects that are followed, below the content's own address
_REDIRECTS = 5


@dataclass(frozen=True)
class AsSeenBy:
    """What one visitor gets from content."""

    who: str
    status: int
    text: str
    #: by which integrations the content acted for them meanwhile, and as what
    acted: tuple[str, ...] = ()

    @property
    def phrase(self) -> str:
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""


async def ask(request: web.Request, content: Content, path: str) -> list[AsSeenBy]:
    """Ask content for a path as each identity, and as nobody."""
    mount = f"/content/{content.guid}/"
    address = URL(f"{services(request).deploys.server_url.rstrip('/')}{mount}{path.lstrip('/')}")
    if not address.raw_path.startswith(mount):
        raise BadRequest(f"The path {path} leads out of the content.")
    users = services(request).identities.all()[:_SEEN_BY]
    exchange = services(request).exchange
    before = exchange.last
    async with aiohttp.ClientSession() as client:
        seen = await asyncio.gather(
            *(_seen_by(client, address, mount, user) for user in (*users, None))
        )
    acts = list(exchange.acts(content.guid, before))
    return [
        replace(
            one,
            acted=tuple(
                dict.fromkeys(
                    f"{user.username}{f', {act.user_role},' if act.user_role else ''} "
                    f"by {act.integration}"
                    for act in acts
                    if user and act.user_guid == user.guid
                )
            ),
        )
        for one, user in zip(seen, (*users, None), strict=True)
    ]


async def _seen_by(
    client: aiohttp.ClientSession, address: URL, mount: str, user: User | None
) -> AsSeenBy:
    """What content answers to one visitor, after redirects within it."""
    who = user.username if user else "Nobody"
    headers = {"Accept": "application/json, */*;q=0.5"}
    if user:
        headers["Authorization"] = f"Key {user.api_key}"
    try:
        for _ in range(_REDIRECTS):
            async with client.get(
                address,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_PATIENCE),
            ) as answer:
                target = URL(answer.headers.get("Location", ""), encoded=True)
                if 300 <= answer.status < 400 and target.raw_path.startswith(mount):
                    address = address.with_path(target.raw_path, encoded=True).with_query(
                        target.query
                    )
                    continue
                body = await beginning(answer, 4 * _ANSWER)
                return AsSeenBy(who, answer.status, _readable(answer.content_type, body))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return AsSeenBy(who, 0, f"No answer: {error or 'it took too long'}")
    return AsSeenBy(who, 0, f"More than {_REDIRECTS} redirects.")


def _readable(content_type: str, body: bytes) -> str:
    if content_type == "text/html":
        return "an HTML page"
    text = body.decode("utf-8", "replace").strip()
    if content_type == "application/json":
        with suppress(ValueError):
            text = json.dumps(json.loads(text), ensure_ascii=False)
    return text[:_ANSWER] + ("…" if len(text) > _ANSWER else "")
