"""`/metrics`: what the server does, in the text format of Prometheus."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from functools import partial

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import select

from local_connect import __version__
from local_connect.api.common import Services, services
from local_connect.records.store import Content

routes = web.RouteTableDef()


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """For whoever reaches the server: it needs no key, as on Connect."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Connect(services(request)))
    return web.Response(
        body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


class _Connect(Collector):
    """Reads everything in the moment when it is asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services
        with services.store.session() as session:
            self._contents = list(session.scalars(select(Content).order_by(Content.id)))

    def collect(self) -> Iterable[Metric]:
        yield self._build()
        yield self._content()
        yield from self._requests()
        yield from self._processes()
        yield from self._deployments()

    def _build(self) -> Metric:
        info = GaugeMetricFamily(
            "connect_build_info",
            "What this server says it is, and what it is.",
            labels=["version", "build", "os"],
        )
        version = self._services.settings.connect_version
        info.add_metric([version, f"local-connect {__version__}", platform.system()], 1)
        return info

    def _content(self) -> Metric:
        info = GaugeMetricFamily(
            "connect_content_info",
            "Content items.",
            labels=["content_guid", "name", "app_mode", "access_type"],
        )
        for content in self._contents:
            labels = [content.guid, content.name, content.app_mode, content.access_type]
            info.add_metric(labels, 1)
        return info

    def _requests(self) -> Iterator[Metric]:
        hits = CounterMetricFamily(
            "connect_content_hits",
            "Requests that content was given, since the server started.",
            labels=["content_guid"],
        )
        answers = CounterMetricFamily(
            "connect_content_requests",
            "Requests for content that were answered or refused, since the server started.",
            labels=["content_guid", "status"],
        )
        there = {content.guid for content in self._contents}
        for guid in there:
            hits.add_metric([guid], self._services.hits.counts[guid])
        for (guid, status), count in self._services.hits.answers.items():
            if guid in there:
                answers.add_metric([guid, str(status)], count)
        yield hits
        yield answers

    def _processes(self) -> Iterator[Metric]:
        """Of each content process: that it runs, what it has to do, and what it takes.

        What it takes is known on Linux only, and leaves out processes that the app starts.
        """
        labels = ["content_guid", "job_key"]
        running = GaugeMetricFamily(
            "connect_content_processes", "Content processes that take requests.", labels=labels
        )
        requests = GaugeMetricFamily(
            "connect_content_requests_in_progress", "Requests under way.", labels=labels
        )
        memory = GaugeMetricFamily(
            "connect_content_process_resident_memory_bytes", "Resident memory.", labels=labels
        )
        seconds = CounterMetricFamily(
            "connect_content_process_cpu_seconds", "Time of processors.", labels=labels
        )
        for process in self._services.processes.alive():
            values = [process.launch.content_guid, process.job_key]
            running.add_metric(values, 1)
            requests.add_metric(values, process.requests)
            its_own = CollectorRegistry()
            ProcessCollector(pid=partial(str, process.pid), registry=its_own)
            for family, name in (
                (memory, "process_resident_memory_bytes"),
                (seconds, "process_cpu_seconds_total"),
            ):
                value = its_own.get_sample_value(name)
                if value is not None:  # pragma: no branch (macOS has no /proc)
                    family.add_metric(values, value)
        yield from (running, requests, memory, seconds)

    def _deployments(self) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "connect_deployments",
            "Deployments and builds that ended, since the server started.",
            labels=["kind", "outcome"],
        )
        for (kind, well), count in self._services.history.ended.items():
            ended.add_metric([kind, "success" if well else "failure"], count)
        yield ended
        running = GaugeMetricFamily(
            "connect_deployments_in_progress", "Deployments and builds under way.", labels=["kind"]
        )
        under_way = list(self._services.history.running.values())
        for kind in ("deploy", "build"):
            running.add_metric([kind], under_way.count(kind))
        yield running
