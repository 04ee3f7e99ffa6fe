"""A FastAPI app on the shared server, as alice deployed it with rsconnect."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import httpx
import pytest

from tests.deployed import Content, Person
from tests.servers import LocalConnect

APP = Path(__file__).with_name("app")

VANITY = "/asgi-api"

Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(coroutine)


@asynccontextmanager
async def opened(
    server: LocalConnect, path: str, *, user: str | None = "alice", **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket at this path, with the key of `user`."""
    headers = {**options.pop("headers", {})}
    if user:
        headers["Authorization"] = f"Key {server.users[user].api_key}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            server.url + path, headers=headers, max_msg_size=0, autoclose=False, **options
        ) as socket,
    ):
        yield socket


def sign_in(server: LocalConnect, user: str) -> str:
    """The cookie of a browser that has signed in."""
    with httpx.Client(base_url=server.url, trust_env=False) as browser:
        page = browser.get("/__login__").raise_for_status().text
        token = re.findall(r'name="token" value="([^"]+)"', page)[0]
        browser.post("/__login__", data={"token": token, "username": user})
        name = server.session_cookie
        return f"{name}={browser.cookies[name]}"


def viewer(seen: dict[str, Any]) -> str | None:
    """As whom the app sees its visitor."""
    credentials = dict(seen["headers"]).get("rstudio-connect-credentials")
    return credentials and json.loads(credentials)["user"]


def pytest_itemcollected(item: pytest.Item) -> None:
    # it cannot mark itself, as it runs on Pythons without pytest, too
    if item.path.name == "test_units.py":
        item.add_marker("quick")


@pytest.fixture(scope="session")
def api(server: LocalConnect, tmp_path_factory: pytest.TempPathFactory) -> Content:
    """The app, open to everyone, at two addresses."""
    directory = tmp_path_factory.mktemp("alice")
    copy = directory / "probe"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("__pycache__"))
    alice = Person(server, "alice", directory / "home")
    content = alice.deploy("fastapi", copy)
    content.open_to("all")
    server.request("PUT", f"{content.api}/vanity", json={"path": VANITY}).raise_for_status()
    return content
