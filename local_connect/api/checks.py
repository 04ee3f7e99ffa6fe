"""`v1/system/checks`: checks of the server itself, for administrators."""

from __future__ import annotations

import socket
from typing import Any

from aiohttp import web

from local_connect.access import rights
from local_connect.api.common import caller, json_object, services
from local_connect.errors import BadRequest, NotFound
from local_connect.runtime.checks import Result, Run

routes = web.RouteTableDef()


@routes.get("/__api__/v1/system/checks")
async def find_runs(request: web.Request) -> web.Response:
    """Oldest first."""
    rights.check_administrator(caller(request))
    return web.json_response([_run(run) for run in services(request).checks.all()])


@routes.post("/__api__/v1/system/checks")
async def start_run(request: web.Request) -> web.Response:
    """Begin to check; `hostname` may name this host, the only one that there is."""
    rights.check_administrator(caller(request))
    hostname = (await json_object(request)).get("hostname")
    if hostname not in (None, "", socket.gethostname()):
        raise BadRequest(f"There is no host {hostname!r} here but {socket.gethostname()}.")
    return web.json_response(_run(services(request).checks.start()))


@routes.get("/__api__/v1/system/checks/{id}")
async def get_run(request: web.Request) -> web.Response:
    return web.json_response(_run(_run_of(request)))


@routes.get("/__api__/v1/system/checks/{id}/results")
async def get_results(request: web.Request) -> web.Response:
    """As far as it has come."""
    run = _run_of(request)
    return web.json_response(
        {"run": _run(run), "results": [_result(result) for result in run.results]}
    )


@routes.delete("/__api__/v1/system/checks/{id}")
async def delete_run(request: web.Request) -> web.Response:
    services(request).checks.delete(_run_of(request).id)
    return web.Response(status=204)


def _run_of(request: web.Request) -> Run:
    rights.check_administrator(caller(request))
    run = services(request).checks.get(request.match_info["id"])
    if run is None:
        raise NotFound("There is no such run of checks. A restart of the server forgets them.")
    return run


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "start_time": run.start_time,
        "hostname": run.hostname,
        "status": run.status,
        "passed": run.passed,
        "failed": run.failed,
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "group": {"name": result.check.group},
        "test": {"name": result.check.name, "args": result.check.args},
        "passed": not result.error,
        "output": result.output,
        "error": result.error,
    }
