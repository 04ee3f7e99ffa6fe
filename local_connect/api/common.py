"""What every part of the API needs: the services, the caller, the content, the JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from local_connect.access import rights
from local_connect.access.addresses import Addresses
from local_connect.access.identity import Identities
from local_connect.access.vanities import Vanities
from local_connect.config import Settings
from local_connect.errors import BadRequest, NotFound, TooLarge, Unauthenticated
from local_connect.records.store import Content, Store, User
from local_connect.runtime.deploys import Deploys
from local_connect.runtime.environments import Pythons
from local_connect.runtime.history import History
from local_connect.runtime.jobs import Jobs
from local_connect.runtime.pools import Processes
from local_connect.runtime.tasks import Tasks

#: bytes of a JSON body
_BODY_BYTES = 1 << 20


@dataclass(frozen=True)
class Services:
    """What one running server is made of: what its handlers of requests work with."""

    settings: Settings
    store: Store
    addresses: Addresses
    identities: Identities
    vanities: Vanities
    deploys: Deploys
    processes: Processes
    jobs: Jobs
    history: History
    tasks: Tasks
    pythons: Pythons


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """The services of the server that the request came to."""
    return request.app[SERVICES]


def caller(request: web.Request) -> User:
    """The user whose key the request carries; without one it is refused."""
    user = services(request).identities.from_key(request.headers)
    if user is None:
        raise Unauthenticated("Send an API key: Authorization: Key <key>.")
    return user


def content_of(request: web.Request, user: User) -> Content:
    """The content that the path names by GUID, if the user may see it."""
    with services(request).store.session() as session:
        content = session.query(Content).filter_by(guid=request.match_info["guid"]).one_or_none()
    if content is None:
        raise NotFound("There is no such content, or you may not see it.")
    rights.check_see(user, content)
    return content


def content_to_change(request: web.Request, user: User) -> Content:
    """The content that the path names, if the user may change it."""
    content = content_of(request, user)
    rights.check_change(user, content)
    return content


async def json_body(request: web.Request) -> Any:
    """The request's JSON, or 400 with the place of the fault."""
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > _BODY_BYTES:
            raise TooLarge(f"The request's body is larger than {_BODY_BYTES:,} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request's body is not JSON: {error}.") from error


async def json_object(request: web.Request) -> dict[str, Any]:
    body = await json_body(request)
    if not isinstance(body, dict):
        raise BadRequest("The request's body is not a JSON object.")
    return body


def whole_number(text: str, name: str) -> int:
    """A number from a path or a query, or 400 that names it."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest(f"{name} is not a whole number: {text!r}.")
    return int(text)
