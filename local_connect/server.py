"""One running server: its services put together, started in order and stopped in order."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import shutil
import socket
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from aiohttp import HttpVersion10, HttpVersion11, web
from sqlalchemy.exc import IntegrityError, NoResultFound, OperationalError

from local_connect import api, dashboard, resetting
from local_connect.access import users_file
from local_connect.access.accounts import Accounts
from local_connect.access.addresses import Addresses
from local_connect.access.exchange import Exchange
from local_connect.access.identity import (
    DEFAULT_IDENTITIES,
    Identities,
    Identity,
    session_cookie,
    wants_page,
)
from local_connect.access.integrations import Integrations
from local_connect.access.vanities import Vanities
from local_connect.api.common import SERVICES, Services
from local_connect.client import seed
from local_connect.config import Settings
from local_connect.dashboard import pages
from local_connect.errors import (
    ApiError,
    BadRequest,
    Conflict,
    LocalConnectError,
    RequestTimeout,
)
from local_connect.gateway import faults as faults_on_demand
from local_connect.gateway import inspection
from local_connect.gateway.connections import check_parser, is_fault
from local_connect.gateway.faults import FAULTS, Faults
from local_connect.gateway.inspection import INSPECTOR, Inspector
from local_connect.gateway.recorder import Recorder
from local_connect.gateway.requests import Gateway
from local_connect.log import log
from local_connect.records.lock import hold
from local_connect.records.snapshot import Snapshot
from local_connect.records.store import KEPT, MARK, Store, User
from local_connect.resetting import RESETS, Resets
from local_connect.runtime.bundles import discard_unrecorded
from local_connect.runtime.checks import Checks
from local_connect.runtime.deploys import Deploys
from local_connect.runtime.environments import Environments, Pythons
from local_connect.runtime.git import Git
from local_connect.runtime.history import History
from local_connect.runtime.hits import Hits
from local_connect.runtime.jobs import Jobs
from local_connect.runtime.pools import Processes
from local_connect.runtime.processes import socket_directory
from local_connect.runtime.repositories import Repositories
from local_connect.runtime.tasks import Tasks

#: bytes of a request line and of one header; the groups of a user can be many
_LINE_BYTES = 1 << 16

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: connections that the system holds until they are taken
_BACKLOG = 1024

#: bytes of a form that a page of ours sends
_FORM_BYTES = 1 << 16


class Server:
    """A Connect-compatible server on one address and one data directory."""

    def __init__(self, settings: Settings) -> None:
        check_parser()
        self._settings = settings
        self._start_identities = _identities(settings)
        if settings.seed:
            # what is wrong with it is said before anything starts
            seed.read(settings.seed, self._start_identities)
        self._addresses = Addresses(settings.host, settings.external_url)
        self._store = Store(settings.data)
        self._jobs = Jobs(self._store)
        self._history = History(self._store)
        self._hits = Hits(self._store)
        self._sockets = socket_directory(self._store.data)
        self._processes = Processes(jobs=self._jobs, sockets=self._sockets)
        self._tasks = Tasks()
        self._pythons = Pythons()
        self._checks = Checks(self._store, self._pythons)
        self._identities = Identities(
            self._store, self._addresses, owner_of_job_key=self._processes.owner_of_key
        )
        self._identities.seed(self._start_identities)
        self._resets: Resets | None = None
        self._runner: web.AppRunner | None = None
        self._repositories: Repositories | None = None
        self._background: list[asyncio.Task[None]] = []
        #: the address without a slash at the end, once the server listens
        self.url = ""
        #: why the newest deployment of watched content failed, by the content's GUID
        self.failures: dict[str, str] = {}
        #: the ports at which debuggers attach, by the GUIDs of content
        self.debugged: dict[str, int] = {}

    @property
    def host(self) -> str:
        return self._settings.host

    @property
    def data(self) -> str:
        return str(self._store.data)

    def debugged_directory(self, content_name: str) -> Path:
        """Where content of that name runs while a debugger can attach to it."""
        return self._store.debugged_directory(content_name)

    @property
    def users(self) -> list[User]:
        return self._identities.all()

    @property
    def administrator(self) -> User:
        """The first of the users who may do everything."""
        for user in self.users:
            if user.user_role == "administrator":
                return user
        raise LocalConnectError("None of the users is an administrator.")

    async def start(self) -> None:
        """Listen; raise `LocalConnectError` where the address cannot be had."""
        listener = _listen(self._settings.host, self._settings.port)
        port = listener.getsockname()[1]
        self._identities.cookie = session_cookie(port)
        discard_unrecorded(self._store)
        snapshot = Snapshot(self._store)
        deploys = Deploys(
            store=self._store,
            snapshot=snapshot,
            environments=Environments(
                self._store.environments, build_seconds=self._settings.limits.build_seconds
            ),
            processes=self._processes,
            tasks=self._tasks,
            jobs=self._jobs,
            history=self._history,
            pythons=self._pythons,
            scheduling=self._settings.scheduling,
            debugged=self.debugged,
        )
        self._repositories = Repositories(
            store=self._store,
            git=Git(self._store.bundles, seconds=self._settings.limits.git_seconds),
            deploys=deploys,
            tasks=self._tasks,
            limits=self._settings.limits,
            poll_seconds=self._settings.git_poll,
        )
        vanities = Vanities(self._store)
        integrations = Integrations(self._store, self._identities)
        faults = Faults()
        recorder = None if self._settings.no_requests else Recorder()
        gateway = Gateway(
            store=self._store,
            identities=self._identities,
            vanities=vanities,
            deploys=deploys,
            hits=self._hits,
            failures=self.failures,
            credentials_use_guid=self._settings.credentials_use_guid,
            recorder=recorder,
            faults=faults,
        )
        front = _front(gateway, self._addresses, self._identities)
        app = web.Application(client_max_size=_FORM_BYTES, middlewares=[front])
        app[SERVICES] = Services(
            settings=self._settings,
            store=self._store,
            addresses=self._addresses,
            identities=self._identities,
            accounts=Accounts(self._store, self._identities),
            integrations=integrations,
            exchange=Exchange(
                self._store,
                self._identities,
                integrations,
                content_of_token=self._processes.content_of_token,
            ),
            vanities=vanities,
            deploys=deploys,
            repositories=self._repositories,
            processes=self._processes,
            jobs=self._jobs,
            history=self._history,
            hits=self._hits,
            checks=self._checks,
            tasks=self._tasks,
            pythons=self._pythons,
        )
        app[FAULTS] = faults
        if recorder:
            app[INSPECTOR] = Inspector(recorder, self._identities, self._processes)
        self._resets = app[RESETS] = Resets(
            app,
            snapshot=snapshot,
            identities=self._start_identities,
            directory=self._settings.seed,
            recorder=recorder,
            url=lambda: self.url,
        )
        app.on_response_prepare.append(_close_after_upgrade)

        async def close_sockets(_: web.Application) -> None:
            await gateway.close()

        app.on_shutdown.append(close_sockets)
        app.add_routes(pages.routes)
        app.add_routes(dashboard.routes)
        app.add_routes(inspection.routes)
        app.add_routes(faults_on_demand.routes)
        app.add_routes(resetting.routes)
        api.add_routes(app)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
            shutdown_timeout=2,
        )
        logging.getLogger("aiohttp.server").addFilter(is_fault)
        # that an app takes none of the subprotocols that it is offered is its own affair
        logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=_BACKLOG).start()
        self._processes.run()
        self._hits.run()
        deploys.resume()
        self.url = f"http://{_reachable(self._settings.host)}:{port}"
        deploys.server_url = f"{self.url}/"
        self._background = [
            asyncio.create_task(deploys.clean()),
            asyncio.create_task(self._repositories.poll()),
        ]

    async def begin(self) -> None:
        """Deploy what the seed has, if there is one, and the server has not.

        What fails is said on the terminal. Raises `LocalConnectError` where nothing can be
        deployed at all.
        """
        assert self._resets is not None  # noqa: S101 (it has started)
        if failed := await self._resets.begin():
            log(f"seed: {len(failed)} of it failed: {', '.join(failed)}.", colour="red")

    async def stop(self) -> None:
        """Refuse new requests, then end tasks and processes; nothing is left running."""
        if self._runner:
            await self._runner.cleanup()
        if self._repositories:
            self._repositories.stop()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._hits.stop()
        await self._checks.stop()
        await self._tasks.stop()
        await self._pythons.stop()
        await self._processes.stop()
        if self._resets:
            await self._resets.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)
        self._store.close()


def _identities(settings: Settings) -> tuple[Identity, ...]:
    """Whom the server starts with: those of a users file, its own or the seed's, or the default."""
    path = settings.users
    if settings.seed and (of_seed := seed.users_file(settings.seed)):
        if path:
            raise LocalConnectError(
                f"There are two users files, {path} by --users and {of_seed} of the seed. "
                "Leave --users out, or take the seed's file away."
            )
        path = of_seed
    return users_file.read(path) if path else DEFAULT_IDENTITIES


def _not_understood(request: web.Request) -> str:
    """Why a request that aiohttp accepts is refused here; empty for one that is not.

    aiohttp takes other versions of HTTP, and transfer codings that it does not decode.
    """
    if request.version not in (HttpVersion10, HttpVersion11):
        return "This server speaks HTTP/1.1 and HTTP/1.0."
    if "Transfer-Encoding" not in request.headers:
        return ""
    codings = ",".join(request.headers.getall("Transfer-Encoding")).lower()
    if any(coding.strip() not in ("", "chunked") for coding in codings.split(",")):
        return f"This server knows no transfer coding but chunked: {codings}."
    return ""


async def _close_after_upgrade(request: web.Request, response: web.StreamResponse) -> None:
    """Let nothing follow a request to upgrade that is not granted.

    aiohttp loses what comes after one that names another protocol than websocket.
    """
    if "Upgrade" in request.headers and not isinstance(response, web.WebSocketResponse):
        response.force_close()
        response.headers["Connection"] = "close"


def reset(data: Path) -> None:
    """Remove what a server keeps in its data directory, and nothing else that is there.

    Raises `LocalConnectError` while a server uses it.
    """
    if not data.is_dir():
        return
    with hold(data):
        sockets = data / "sockets"
        if sockets.is_symlink():
            shutil.rmtree(sockets.readlink(), ignore_errors=True)
        for path in list(data.iterdir()):
            if not any(path.match(pattern) for pattern in KEPT):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        mark = data / MARK
        if mark.is_file() and not mark.stat().st_size:
            mark.unlink()
            with suppress(OSError):
                mark.parent.rmdir()


class _Middleware(Protocol):
    def __call__(
        self, request: web.Request, handler: _Handler
    ) -> Awaitable[web.StreamResponse]: ...


def _front(gateway: Gateway, addresses: Addresses, identities: Identities) -> _Middleware:
    """The outermost handler: gives content to the gateway, and turns every error into an answer.

    Content has no route of its own, as a vanity path can be any path; aiohttp takes it for one that
    is not there, and asks for no body.
    """

    async def answer(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not request.raw_path.startswith("/"):
            raise BadRequest("The request's target is not a path.")
        base = addresses.base_url(request)
        if target := gateway.target(request.raw_path):
            return await gateway.handle(request, target, base)
        return await handler(request)

    @web.middleware
    async def front(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if fault := _not_understood(request):
            refused = _refuse(BadRequest(fault))
            refused.force_close()
            return refused
        try:
            return await answer(request, handler)
        except RequestTimeout as error:
            return await _give_up(request, _refuse(error))
        except ApiError as error:
            refusal = error
        except web.HTTPException as error:
            refusal = ApiError(f"{error.reason}.", status=error.status)
        except ConnectionError:
            raise
        except (IntegrityError, NoResultFound):
            changed = "What this request is about was changed or deleted meanwhile."
            return _refuse(Conflict(changed, code=0))
        except OperationalError as error:
            log(f"The database takes nothing: {error.orig}")
            return _refuse(
                ApiError(f"The server's database takes nothing: {error.orig}.", status=507)
            )
        except Exception:
            log(traceback.format_exc())
            refusal = ApiError("local-connect failed; its terminal shows the details.", status=500)
        if wants_page(request):
            return pages.refuse(request, refusal, identities.from_session(request))
        return _refuse(refusal)

    return front


async def _give_up(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Answer a client whose body does not come, and end the connection.

    By itself aiohttp would wait for the rest of the body for another ten seconds.
    """
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    if request.transport:  # pragma: no branch (the client may be gone in this moment)
        request.transport.close()
    return response


def _refuse(refusal: ApiError) -> web.Response:
    return web.json_response({"code": refusal.code, "error": refusal.error}, status=refusal.status)


def _reachable(host: str) -> str:
    """The host of an address that leads here: one of them, where it listens on all."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise LocalConnectError(
            f"Cannot listen on {host} port {port}: {reason}. "
            "Choose another with --port, or a free one with --port 0."
        ) from error
    return listener
