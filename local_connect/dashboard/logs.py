"""The logs of content: of its deployments, and of its processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from local_connect.api.common import services
from local_connect.dashboard.items import fault_of, username
from local_connect.records.store import Content, Deployment, Job
from local_connect.runtime.jobs import ACTIVE, BUILD


@dataclass(frozen=True)
class Line:
    """One line of a log; `time` is empty where it is not known."""

    text: str
    time: str = ""


@dataclass(frozen=True)
class Entry:
    """One log: of a deployment, or of a process."""

    #: what the address of the page calls it
    name: str
    bundle_id: int
    title: str
    by: str
    start_time: str
    ended: bool
    #: how it ended, in words
    outcome: str
    failed: bool
    #: whether it is of a deployment that activates nothing
    draft: bool
    lines: Callable[[], list[Line]]


def find(request: web.Request, content: Content) -> list[Entry]:
    """The logs of a content item, newest first."""
    deployments = services(request).history.find(content.guid)
    # what a build printed is in the log of its deployment
    jobs = [job for job in services(request).jobs.find(content.guid) if job.tag != BUILD]
    entries = [
        *(_of_deployment(request, deployment) for deployment in deployments),
        *(_of_job(request, job) for job in jobs),
    ]
    return sorted(entries, key=lambda entry: entry.start_time, reverse=True)


def most_telling(entries: list[Entry]) -> str:
    """The name of the newest deployment where it goes on or failed, else of what runs.

    A draft comes before that: where it goes no further, `rsconnect` has found that it answers
    with an error, and leads here. What it printed says why.
    """
    deployments = [entry for entry in entries if entry.name.startswith("deploy-")]
    newest = deployments[:1]
    running = [entry for entry in entries if not entry.ended]
    if any(entry.failed or not entry.ended for entry in newest):
        return newest[0].name
    drafts = [
        entry
        for entry in entries
        if entry.name.startswith("job-")
        and any(draft.draft and draft.bundle_id == entry.bundle_id for draft in newest)
    ]
    return next((entry.name for entry in (*drafts, *running, *deployments, *entries)), "")


def _of_deployment(request: web.Request, deployment: Deployment) -> Entry:
    what = "Build" if deployment.kind == "build" else "Deployment"
    draft = deployment.kind == "deploy" and not deployment.activate
    fault = fault_of(request, deployment)

    def lines() -> list[Line]:
        if deployment.end_time is None:
            output = services(request).tasks.get(deployment.task_id).output
        else:
            output = deployment.output.splitlines()
        return [Line(text) for text in output]

    return Entry(
        name=f"{deployment.kind}-{deployment.id}",
        bundle_id=deployment.bundle_id,
        title=f"{what} of bundle {deployment.bundle_id}{' as a draft' if draft else ''}",
        by=username(request, deployment.started_by),
        start_time=deployment.start_time,
        ended=deployment.end_time is not None,
        outcome=fault or ("done" if deployment.end_time else "under way"),
        failed=bool(fault),
        draft=draft,
        lines=lines,
    )


def _of_job(request: web.Request, job: Job) -> Entry:
    running = job.status == ACTIVE

    def lines() -> list[Line]:
        return [
            Line(line["data"], line["timestamp"][11:19])
            for line in services(request).jobs.log(job.key)
        ]

    return Entry(
        name=f"job-{job.key}",
        bundle_id=job.bundle_id,
        title=f"Process {job.pid}, bundle {job.bundle_id}",
        by="",
        start_time=job.start_time,
        ended=not running,
        outcome="running" if running else f"ended with status {job.exit_code}",
        failed=not running and (job.exit_code or 0) > 0,
        draft=False,
        lines=lines,
    )
