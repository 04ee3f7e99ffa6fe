"""The way of a visitor's request to content: who, may they, which process, headers, proxy.

What the app sees of its visitor, its address and its mount is decided here. Every
copy of a header that could say otherwise is dropped from what the client sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local_connect import access
from local_connect.addresses import base_url
from local_connect.deploys import Deploys
from local_connect.errors import ApiError, NotFound
from local_connect.identity import KEY_HEADERS, Identities
from local_connect.processes import ContentProcess, ProcessFailed
from local_connect.store import Bundle, Content, Store, User

CREDENTIALS_HEADER = "RStudio-Connect-Credentials"

#: carries what the content process puts into the WSGI environ; see content_process
ENVIRON_HEADER = "X-Local-Connect-Environ"

_CONTENT = re.compile(
    r"(?P<mount>/content/(?P<guid>[0-9a-f-]{36})(?:/_bundle(?P<bundle>\d{1,18}))?)(?P<rest>/[^?]*)?"
)

#: Names, as WSGI folds them, that say something about the visitor, the address or
#: the mount. A client's own copies are dropped.
_DECIDED_HERE = re.compile(
    r"RSTUDIO_CONNECT_.*|POSIT_CONNECT_.*|X_RSC_.*|X_LOCAL_CONNECT_.*"
    r"|X_FORWARDED(_.*)?|FORWARDED|X_REAL_IP|X_ORIGINAL_.*|X_REWRITE_URL"
    r"|X_SCRIPT_NAME|X_SCHEME|X_URL_SCHEME|X_HOST|PROXY|HOST"
)

#: of this connection only, never passed on (RFC 9110, 7.6.1)
_HOP_BY_HOP = {
    "CONNECTION",
    "KEEP_ALIVE",
    "PROXY_AUTHENTICATE",
    "PROXY_AUTHORIZATION",
    "PROXY_CONNECTION",
    "TE",
    "TRAILER",
    "TRANSFER_ENCODING",
    "UPGRADE",
    # answered here, before the body is read
    "EXPECT",
}

#: bytes read from a process at a time
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Target:
    """Where a request goes: which content and bundle, under which mount, and the rest."""

    content: Content
    bundle_id: int
    mount: str


class Gateway:
    """Answers `/content/<guid>/…` by the process that runs the content."""

    def __init__(self, *, store: Store, identities: Identities, deploys: Deploys) -> None:
        self._store = store
        self._identities = identities
        self._deploys = deploys

    def serves(self, path: str) -> bool:
        """Whether a path, as it stands in the request line, belongs to content."""
        return path.startswith("/content/")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or raise an `ApiError` that says why not."""
        raw_path, _, query = request.raw_path.partition("?")
        match = _CONTENT.fullmatch(raw_path)
        if match is None:
            raise NotFound("There is no content at this address.")
        viewer = self._identities.from_headers(request.headers)
        target = self._target(match, viewer)
        if match["rest"] is None:
            location = f"{base_url(request)}{target.mount}/" + (f"?{query}" if query else "")
            return web.Response(status=308, headers={"Location": location})
        try:
            process = await self._deploys.process(target.content.guid, target.bundle_id)
        except ProcessFailed as failure:
            raise ApiError(
                f"{failure} The deployment's log in Connect's dashboard, or this server's "
                "terminal, shows what the app printed.",
                status=502,
            ) from failure
        async with process.request():
            return await self._proxy(request, process, self._headers(request, target, viewer))

    def _target(self, match: re.Match[str], viewer: User | None) -> Target:
        with self._store.session() as session:
            content = session.query(Content).filter_by(guid=match["guid"]).one_or_none()
            if content is None:
                raise NotFound("There is no content at this address.")
            access.check_open(viewer, content)
            bundle_id = content.bundle_id
            if match["bundle"]:
                draft = session.get(Bundle, int(match["bundle"]))
                if (
                    draft is None
                    or draft.content_guid != content.guid
                    or viewer is None
                    or not access.may_change(viewer, content)
                ):
                    raise NotFound("There is no such draft, or you may not see it.")
                bundle_id = draft.id
        if bundle_id is None:
            raise NotFound("Nothing has been deployed to this content yet.")
        return Target(content, bundle_id, match["mount"])

    def _headers(
        self, request: web.Request, target: Target, viewer: User | None
    ) -> CIMultiDict[str]:
        """What the process gets: the client's own headers, less those that are decided here."""
        origin = URL(base_url(request))
        headers = CIMultiDict(_from_client(request))
        headers["Host"] = origin.authority
        if viewer:
            headers[CREDENTIALS_HEADER] = json.dumps(
                {"user": viewer.username, "groups": [group.name for group in viewer.groups]},
                ensure_ascii=False,
            )
        headers["RStudio-Connect-App-Base-URL"] = f"{origin}content/{target.content.guid}"
        headers["X-RSC-Request"] = f"{str(origin).rstrip('/')}{request.raw_path}"
        headers[ENVIRON_HEADER] = json.dumps(
            {
                "SCRIPT_NAME": target.mount,
                "SERVER_NAME": origin.host,
                "SERVER_PORT": str(origin.port),
                "REMOTE_ADDR": request.remote or "",
                "wsgi.url_scheme": origin.scheme,
            }
        )
        return headers

    async def _proxy(
        self, request: web.Request, process: ContentProcess, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        launch = process.launch
        try:
            answer = await process.client.request(
                request.method,
                URL(f"http://content{request.raw_path}", encoded=True),
                headers=headers,
                data=_body(request) if request.body_exists else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=launch.connection_timeout,
                    sock_read=launch.read_timeout,
                ),
            )
        except TimeoutError as error:
            raise ApiError(
                f"The app did not answer within {launch.read_timeout:g} seconds "
                "(its read_timeout).",
                status=504,
            ) from error
        except aiohttp.ClientError as error:
            raise ApiError(
                f"The app's process ended without an answer ({error}).", status=502
            ) from error
        async with answer:
            return await _pass_on(request, answer)


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Send the process's answer to the client, as it comes."""
    named = {name.strip().upper() for name in answer.headers.get("Connection", "").split(",")}
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.upper().replace("-", "_") not in _HOP_BY_HOP and name.upper() not in named:
            response.headers.add(name, _printable(value))
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await response.write(chunk)
    except (aiohttp.ClientError, TimeoutError):
        # the answer has begun, so all that is left is to end the connection short,
        # which tells the client that it is not whole
        if request.transport:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _from_client(request: web.Request) -> list[tuple[str, str]]:
    """The client's headers that may pass, cookies joined into one as HTTP/1.1 has it."""
    named = {name.strip().upper() for name in request.headers.get("Connection", "").split(",")}
    passed = []
    cookies = []
    for name, value in request.headers.items():
        folded = name.upper().replace("-", "_")
        if (
            # WSGI cannot tell A_B from A-B, so no name with an underscore passes
            "_" in name
            or folded in _HOP_BY_HOP
            or name.upper() in named
            or _DECIDED_HERE.fullmatch(folded)
            or _is_api_key(name, value)
        ):
            continue
        if folded == "COOKIE":
            cookies.append(value)
        else:
            passed.append((name, _printable(value)))
    if cookies:
        passed.append(("Cookie", _printable("; ".join(cookies))))
    return passed


def _is_api_key(name: str, value: str) -> bool:
    """The viewer's key is for this server; another kind of authorization is for the app."""
    return name.title() in (header.title() for header in KEY_HEADERS) and (
        value.strip().partition(" ")[0].lower() == "key"
    )


def _printable(value: str) -> str:
    """A header's text as UTF-8: bytes that are not UTF-8 are read as Latin-1, as HTTP has it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        yield chunk
