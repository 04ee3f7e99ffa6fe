"""A server that accepts deployments and does nothing: what they take is the time of `rsconnect`.

    python -m benchmarks.floor

It prints its port, speaks as much of Connect's API as `rsconnect deploy api` needs, and ends
with its input.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiohttp import web

GUID = "00000000-0000-4000-8000-000000000000"

routes = web.RouteTableDef()


@routes.get("/__api__/server_settings")
async def settings(_: web.Request) -> web.Response:
    return web.json_response({"version": "2026.01.0"})


@routes.get("/__api__/v1/user")
async def user(_: web.Request) -> web.Response:
    return web.json_response({"username": "nobody", "guid": GUID})


@routes.get(f"/__api__/v1/content/{GUID}")
@routes.patch(f"/__api__/v1/content/{GUID}")
async def content(request: web.Request) -> web.Response:
    await request.read()
    item: dict[str, Any] = {
        "guid": GUID,
        "id": "1",
        "name": "nothing",
        "title": "nothing",
        "app_mode": "python-api",
        "content_url": f"http://{request.host}/content/{GUID}/",
        "dashboard_url": f"http://{request.host}/connect/",
    }
    return web.json_response(item)


@routes.post(f"/__api__/v1/content/{GUID}/bundles")
async def bundles(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"id": "1"})


@routes.post(f"/__api__/v1/content/{GUID}/deploy")
async def deploy(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({"task_id": "task"})


@routes.get("/__api__/v1/tasks/task")
async def task(_: web.Request) -> web.Response:
    return web.json_response(
        {
            "id": "task",
            "output": [],
            "last": 0,
            "finished": True,
            "code": 0,
            "error": "",
            "result": None,
        }
    )


@routes.get("/content/{rest:.*}")
async def visit(_: web.Request) -> web.Response:
    return web.Response()


async def main() -> None:
    app = web.Application(client_max_size=1 << 30)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
