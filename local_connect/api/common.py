"""What every part of the API needs: the services, the caller, the content, the JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from local_connect.access import rights
from local_connect.access.accounts import Accounts
from local_connect.access.addresses import Addresses
from local_connect.access.exchange import Exchange
from local_connect.access.identity import Identities
from local_connect.access.integrations import Integrations
from local_connect.access.vanities import Vanities
from local_connect.config import Settings
from local_connect.errors import (
    ApiError,
    BadRequest,
    NotFound,
    RequestTimeout,
    TooLarge,
    Unauthenticated,
)
from local_connect.records.store import Content, Store, User
from local_connect.runtime.checks import Checks
from local_connect.runtime.deploys import Deploys
from local_connect.runtime.environments import Pythons
from local_connect.runtime.history import History
from local_connect.runtime.hits import Hits
from local_connect.runtime.jobs import Jobs
from local_connect.runtime.pools import Processes
from local_connect.runtime.repositories import Repositories
from local_connect.runtime.tasks import Tasks

#: bytes of a JSON body
_BODY_BYTES = 1 << 20

T = TypeVar("T")

#: results on one page, at most and by default (documented)
PAGE = 500
DEFAULT_PAGE = 20


@dataclass(frozen=True)
class Services:
    """What one running server is made of: what its handlers of requests work with."""

    settings: Settings
    store: Store
    addresses: Addresses
    identities: Identities
    accounts: Accounts
    integrations: Integrations
    exchange: Exchange
    vanities: Vanities
    deploys: Deploys
    repositories: Repositories
    processes: Processes
    jobs: Jobs
    history: History
    hits: Hits
    checks: Checks
    tasks: Tasks
    pythons: Pythons


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """The services of the server that the request came to."""
    return request.app[SERVICES]


def caller(request: web.Request) -> User:
    """The user whose key the request carries, or whose token signed it; else it is refused."""
    user = services(request).identities.from_program(request)
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


async def in_time(reading: Awaitable[T], seconds: float) -> T:
    """What a read of a request's body gives; `RequestTimeout` where nothing comes for so long.

    For 0 seconds it waits for ever. That is also what ends the wait for a body which turns out to
    be no HTTP while it comes: aiohttp tells nobody who reads it.
    """
    try:
        async with asyncio.timeout(seconds or None):
            return await reading
    except TimeoutError as error:
        raise RequestTimeout(
            f"Nothing more of the request's body has come for {seconds:g} seconds (read_timeout)."
        ) from error


def patience(request: web.Request) -> float:
    """Seconds that a client of the API may take until more of a request's body comes."""
    return services(request).settings.scheduling.read_timeout


async def body(request: web.Request) -> AsyncIterator[bytes]:
    """The request's body as it comes; raises `RequestTimeout`."""
    while piece := await in_time(request.content.readany(), patience(request)):
        yield piece


async def json_body(request: web.Request) -> Any:
    """The request's JSON, or 400 with the place of the fault."""
    text = b""
    async for piece in body(request):
        text += piece
        if len(text) > _BODY_BYTES:
            raise TooLarge(f"The request's body is larger than {_BODY_BYTES:,} bytes.")
    try:
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        # JSON can say it, UTF-8 cannot, nor can the database
        raise BadRequest("The request's body has half of a surrogate pair in it.") from error
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The request's body is not JSON: {error}.") from error
    return document


async def json_object(request: web.Request) -> dict[str, Any]:
    document = await json_body(request)
    if not isinstance(document, dict):
        raise BadRequest("The request's body is not a JSON object.")
    return document


async def form_fields(request: web.Request) -> dict[str, str]:
    """The fields of the form in a request's body, but for files; empty where it is no form."""
    try:
        fields = await in_time(request.post(), patience(request))
    except (ApiError, ConnectionError, web.HTTPException):
        raise
    except Exception as error:
        # aiohttp does not say what it raises for a form that is not one
        raise BadRequest(f"The form cannot be read: {error}.") from error
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def whole_number(text: str, name: str) -> int:
    """A number from a path or a query, or 400 that names it."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest(f"{name} is not a whole number: {text!r}.")
    return int(text)


def page(
    request: web.Request, found: list[T], answer: Callable[[T], dict[str, Any]]
) -> web.Response:
    """One page of results, as `page_number` and `page_size` ask for it."""
    number = max(1, whole_number(request.query.get("page_number", "1"), "page_number"))
    size = whole_number(request.query.get("page_size", str(DEFAULT_PAGE)), "page_size")
    size = max(1, min(size, PAGE))
    results = found[(number - 1) * size : number * size]
    return web.json_response(
        {"results": [answer(item) for item in results], "current_page": number, "total": len(found)}
    )
