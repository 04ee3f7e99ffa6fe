"""A content process by itself: without a server, a bundle or a deployment around it."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import aiohttp
import httpx

from local_connect.runtime.jobs import Jobs
from local_connect.runtime.processes import ContentProcess, Launch, content_environment

#: where the gateway says that its visitors are, and what it asks the process for
BASE = "https://connect.test"
ASKED = "http://connect.test"


class Running:
    """A process that has started, reached as the gateway reaches it."""

    def __init__(self, client: httpx.AsyncClient, socket: Path) -> None:
        self._client = client
        self._socket = str(socket)

    async def get(self, mount: str, path: str, **headers: str) -> httpx.Response:
        return await self._client.get(mount + path, headers=headers | _decided(mount))

    async def talk(self, mount: str, path: str, said: str) -> Any:
        """What a WebSocket there answers to one message."""
        connector = aiohttp.UnixConnector(self._socket)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(ASKED + mount + path, headers=_decided(mount)) as socket,
        ):
            await socket.send_str(said)
            return await socket.receive_json(timeout=30)


@asynccontextmanager
async def running(
    scratch: Path,
    python: Path,
    app: Path,
    entrypoint: str,
    *,
    app_mode: str = "python-fastapi",
    init_timeout: float = 60,
) -> AsyncIterator[Running]:
    """A process that runs this app; `ProcessFailed` if it does not start."""
    socket = scratch / "app.sock"
    (scratch / "home").mkdir(exist_ok=True)
    process = ContentProcess(
        Launch(
            content_guid="guid",
            owner_guid="owner",
            content_name="probe",
            bundle_id=1,
            app=app,
            python=python,
            app_mode=app_mode,
            entrypoint=entrypoint,
            environment=content_environment(python, scratch / "home") | _of_coverage(),
            max_processes=1,
            load_factor=0.5,
            threads=2,
            init_timeout=init_timeout,
            idle_timeout=60,
            connection_timeout=5,
            read_timeout=30,
        ),
        job_key="job",
        jobs=create_autospec(Jobs, instance=True),
        socket_path=socket,
        at_end=lambda: None,
    )
    try:
        await process.start()
        transport = httpx.AsyncHTTPTransport(uds=str(socket), verify=False)
        async with httpx.AsyncClient(transport=transport, base_url=ASKED, timeout=30) as client:
            yield Running(client, socket)
    finally:
        await process.stop()


def _of_coverage() -> dict[str, str]:
    """By what coverage.py measures a process that has it, which are those of this Python."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


def _decided(mount: str) -> dict[str, str]:
    """The header by which the gateway says where the app is."""
    environ = {
        "SCRIPT_NAME": mount,
        "SERVER_NAME": "connect.test",
        "SERVER_PORT": "443",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_HOST": "127.0.0.1",
        "REMOTE_PORT": "1234",
        "wsgi.url_scheme": "https",
    }
    return {"X-Local-Connect-Environ": json.dumps(environ)}
