"""`v1/content/{guid}/jobs`: what content processes and builds did and printed."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from local_connect.api.common import caller, content_to_change, services, whole_number
from local_connect.errors import Conflict, NotFound
from local_connect.records.store import Content, Job
from local_connect.runtime.jobs import ACTIVE, BUILD

routes = web.RouteTableDef()


@routes.get("/__api__/v1/content/{guid}/jobs")
async def find_jobs(request: web.Request) -> web.Response:
    """Newest first."""
    content = content_to_change(request, caller(request))
    jobs = services(request).jobs.find(content.guid)
    return web.json_response([_answer(job, content) for job in jobs])


@routes.get("/__api__/v1/content/{guid}/jobs/{key}")
async def get_job(request: web.Request) -> web.Response:
    content = content_to_change(request, caller(request))
    return web.json_response(_answer(_job_of(request, content), content))


@routes.delete("/__api__/v1/content/{guid}/jobs/{key}")
async def kill_job(request: web.Request) -> web.Response:
    """End the process, of which the next visitor gets another, or stop the build."""
    content = content_to_change(request, caller(request))
    job = _job_of(request, content)
    if job.status != ACTIVE:
        raise Conflict("This job has ended.", code=0)
    if job.tag == BUILD:
        services(request).deploys.stop_build(job.key)
    else:
        await services(request).processes.kill(job.key)
    return web.json_response(
        {"app_id": content.id, "app_guid": content.guid, "job_key": job.key}, status=202
    )


@routes.get("/__api__/v1/content/{guid}/jobs/{key}/log")
async def get_log(request: web.Request) -> web.Response:
    """The lines that it printed, the last `maxLogLines` where it is given."""
    content = content_to_change(request, caller(request))
    entries = services(request).jobs.log(_job_of(request, content).key)
    if limit := request.query.get("maxLogLines"):
        entries = entries[-max(1, whole_number(limit, "maxLogLines")) :]
    return web.json_response({"entries": entries})


@routes.get("/__api__/v1/content/{guid}/jobs/{key}/download")
async def download_log(request: web.Request) -> web.Response:
    """The same as plain text."""
    content = content_to_change(request, caller(request))
    job = _job_of(request, content)
    return web.Response(
        text="".join(f"{entry['data']}\n" for entry in services(request).jobs.log(job.key)),
        headers={"Content-Disposition": f'attachment; filename="{job.key}.log"'},
    )


def _job_of(request: web.Request, content: Content) -> Job:
    for job in services(request).jobs.find(content.guid):
        if job.key == request.match_info["key"]:
            return job
    raise NotFound("This content has no such job.")


def _answer(job: Job, content: Content) -> dict[str, Any]:
    """A job as Connect's API shows one (documented in posit-sdk)."""
    return {
        "id": str(job.id),
        "ppid": None,
        "pid": str(job.pid),
        "key": job.key,
        "remote_id": None,
        "app_id": str(content.id),
        "app_guid": content.guid,
        # newer names of the same
        "content_id": str(content.id),
        "content_guid": content.guid,
        "variant_id": "0",
        "variant_key": "",
        "bundle_id": str(job.bundle_id),
        "start_time": job.start_time,
        "end_time": job.end_time,
        "last_heartbeat_time": job.end_time or job.start_time,
        "queued_time": None,
        "status": job.status,
        "exit_code": job.exit_code,
        "hostname": job.hostname,
        "cluster": "Local",
        "image": None,
        "run_as": "",
        "queue_name": None,
        "tag": job.tag,
        "error": None,
        "skip_reason": None,
    }
