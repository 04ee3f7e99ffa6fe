"""`v1/tasks`: the log of a deployment while it runs."""

from __future__ import annotations

from aiohttp import web

from local_connect.api.common import caller, services, whole_number
from local_connect.errors import NotFound
from local_connect.runtime.tasks import Task

routes = web.RouteTableDef()

#: seconds that a client may ask to be kept waiting
_LONGEST_WAIT = 30


@routes.get("/__api__/v1/tasks/{id}")
async def get_task(request: web.Request) -> web.Response:
    """Answer at once where there is news after line `first`, else within `wait` seconds."""
    task = task_of(request)
    first = whole_number(request.query.get("first", "0"), "first")
    wait = whole_number(request.query.get("wait", "0"), "wait")
    if wait:
        await task.wait(first, min(wait, _LONGEST_WAIT))
    return web.json_response(task.answer(first))


def task_of(request: web.Request) -> Task:
    """The task that the path names, if it is the caller's, or they are an administrator."""
    user = caller(request)
    task = services(request).tasks.get(request.match_info["id"])
    if task.owner_guid != user.guid and user.user_role != "administrator":
        raise NotFound(f"There is no task {task.id}, or you may not see it.")
    return task
