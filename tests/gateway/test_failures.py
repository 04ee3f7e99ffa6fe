"""Apps that are slow, end or do not start: the visitor waits, or gets an answer that says why."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.gateway.conftest import Site
from tests.publishing import finished
from tests.servers import eventually


def refusal(answer: httpx.Response, status: int) -> str:
    """The words of a refusal in the one shape that they have."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "error"}
    return str(answer.json()["error"])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class TestSlowness:
    def test_a_slow_app_is_waited_for(self, own: Site) -> None:
        # it is the time without data from the client, and that has sent all there is
        own.change(read_timeout=1)
        assert own.get("/sleep?seconds=3")["pid"] == own.process["pid"]
        answer = own.server.get(f"{own.mount}/pause?seconds=2&times=2")
        assert answer.text == "half" * 2 + "whole"

    @pytest.mark.parametrize(
        ("lines", "body"),
        [
            (["Content-Length: 3"], b"a"),
            (["Transfer-Encoding: chunked"], b"1\r\na\r\n2"),
            (["Content-Length: 3", "Expect: 100-continue"], b""),
            (["Content-Length: 3", "Accept: text/html"], b"ab"),
        ],
    )
    def test_a_client_that_falls_silent(
        self, impatient: Site, lines: list[str], body: bytes
    ) -> None:
        started = time.monotonic()
        with impatient.wire() as wire:
            wire.send(impatient.request(*lines, method="POST", path="/count", body=body))
            answer = wire.answer()
            assert answer.status == 408
            assert "for 1 seconds (read_timeout)" in answer.error
            assert answer.all("Connection") == [b"close"]
            assert wire.ended
        # long before aiohttp by itself gives up to wait for the rest
        assert time.monotonic() - started < 8
        # the app is not asked to take half for the whole
        assert impatient.get("/echo")["size"] == 0

    def test_init_timeout(self, own: Site) -> None:
        own.end_process()
        own.change(init_timeout=1)
        own.set_variables(PROBE_SECONDS_TO_START="20")
        for _ in range(2):
            said = refusal(own.server.get(f"{own.mount}/echo"), 504)
            assert "init_timeout" in said
            assert "1 second" in said
        own.set_variables(PROBE_SECONDS_TO_START="0")
        own.change(init_timeout=None)
        assert own.get("/echo")["size"] == 0

    def test_init_timeout_of_a_deployment(self, own: Site) -> None:
        own.end_process()
        own.change(init_timeout=1)
        own.set_variables(PROBE_SECONDS_TO_START="20")
        task = own.server.request("POST", f"{own.content.api}/deploy", json={}).json()["task_id"]
        state = finished(own.server, task)
        assert state["code"] == 0
        assert "init_timeout" in state["output"][-1]

    def test_visitors_wait_while_it_starts(self, own: Site) -> None:
        starts = len(own.process["starts"])
        own.end_process()
        own.set_variables(PROBE_SECONDS_TO_START="2")

        def visit(_: int) -> int:
            with httpx.Client(trust_env=False, timeout=60) as client:
                answer = client.get(f"{own.server.url}{own.mount}/echo")
                return int(answer.raise_for_status().json()["pid"])

        with ThreadPoolExecutor(8) as visitors:
            pids = set(visitors.map(visit, range(8)))
        assert len(pids) == 1
        assert len(own.process["starts"]) == starts + 1

    def test_a_visitor_who_does_not_wait(self, own: Site) -> None:
        own.end_process()
        own.set_variables(PROBE_SECONDS_TO_START="1")
        with own.wire() as wire:
            wire.send(own.request())
            time.sleep(0.3)
        # the start goes on for the next
        starts = len(own.process["starts"])
        assert own.get("/echo")["size"] == 0
        assert len(own.process["starts"]) == starts


class TestSettings:
    @pytest.mark.parametrize(
        "settings",
        [{"read_timeout": 7}, {"max_conns_per_process": 3}, {"load_factor": 0.3}],
    )
    def test_a_changed_setting_replaces_the_process(
        self, own: Site, settings: dict[str, float]
    ) -> None:
        before = own.process["pid"]
        own.change(title="A title is nothing to a process")
        assert own.process["pid"] == before
        own.change(**settings)
        assert own.process["pid"] != before

    def test_a_process_is_replaced_once_its_requests_have_ended(self, own: Site) -> None:
        with own.wire() as wire:
            wire.send(own.request(path="/sleep?seconds=2"))
            time.sleep(0.5)
            own.change(read_timeout=9)
            new = own.get("/echo")["pid"]
            answer = wire.answer()
            assert answer.status == 200
            assert answer.json["pid"] != new
        assert eventually(lambda: is_gone(answer.json["pid"]))

    def test_a_visitor_who_has_gone_does_not_delay_the_replacement(self, own: Site) -> None:
        pid = own.get("/echo")["pid"]
        with own.wire() as wire:
            wire.send(own.request(path="/sleep?seconds=25"))
            time.sleep(0.3)
        own.change(read_timeout=60)
        assert eventually(partial(is_gone, pid), seconds=10)

    @pytest.mark.parametrize("field", ["max_processes", "max_conns_per_process", "init_timeout"])
    def test_a_setting_that_would_shut_everyone_out_is_refused(self, own: Site, field: str) -> None:
        for value in (0, -1):
            answer = own.server.request("PATCH", own.content.api, json={field: value})
            assert field in refusal(answer, 400)

    def test_idle_timeout(self, own: Site) -> None:
        own.change(idle_timeout=1)
        pid = own.get("/echo")["pid"]
        assert eventually(lambda: is_gone(pid))
        assert own.get("/echo")["pid"] != pid


class TestDeath:
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    def test_a_process_that_ends_during_a_request(self, own: Site, method: str) -> None:
        starts = len(own.process["starts"])
        said = refusal(own.server.request(method, f"{own.mount}/end?status=3"), 502)
        assert "process ended without an answer" in said
        # nor is the request made twice, though some methods would allow it
        process = own.process
        assert len(process["starts"]) == starts + 1

    def test_a_process_whose_socket_is_gone(self, own: Site) -> None:
        process = own.process
        with own.wire() as wire:
            # keeps the connection that there is
            wire.send(own.request(path="/sleep?seconds=1"))
            time.sleep(0.3)
            Path(process["sockets"][0]).unlink()
            answer = own.server.request("POST", f"{own.mount}/echo", content=b"hello")
            assert answer.status_code == 200
            assert answer.json()["size"] == 5
            assert answer.json()["pid"] != process["pid"]
            assert wire.answer().json["pid"] == process["pid"]

    def test_a_process_that_ends_during_an_answer(self, own: Site) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            own.server.get(f"{own.mount}/end?half=1")
        assert own.get("/echo")["size"] == 0

    def test_the_other_requests_of_a_process_that_ends(self, own: Site) -> None:
        with own.wire() as wire:
            wire.send(own.request(path="/sleep?seconds=20"))
            time.sleep(0.3)
            own.server.get(f"{own.mount}/end")
            assert wire.answer().status == 502

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_process_that_is_killed(self, own: Site, method: str) -> None:
        for _ in range(3):
            pid = own.get("/echo")["pid"]
            os.kill(pid, 9)
            # until then it is not dead but dying
            assert eventually(partial(is_gone, pid))
            answer = own.server.request(method, f"{own.mount}/echo", content=b"hello")
            assert answer.status_code == 200, answer.text
            assert answer.json()["pid"] != pid
            assert answer.json()["size"] == 5

    def test_a_process_that_ends_again_and_again(self, own: Site) -> None:
        for _ in range(3):
            assert own.server.get(f"{own.mount}/end").status_code == 502
            assert own.server.request("POST", f"{own.mount}/echo").status_code == 200

    def test_a_process_that_fails_at_its_start(self, own: Site) -> None:
        own.end_process()
        own.set_variables(PROBE_SECONDS_TO_START="not a number")
        said = refusal(own.server.get(f"{own.mount}/echo"), 502)
        assert "did not start" in said
        assert "ValueError: could not convert string to float" in own.server.output
        name = own.content.item["name"]
        assert f"{name}: The app did not start: its process ended" in own.server.output
