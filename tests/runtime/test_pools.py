"""How many processes there are, and when they come and go.

What a pool decides by the load, the minimum and the time is in `test_pool_rules.py`.
"""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.deployed import Content
from tests.process_app import app, ask, deployments, pids
from tests.publishing import archive_of, create, deploy, publish, upload
from tests.servers import LocalConnect, eventually, running_server


def change(content: Content, **settings: float | None) -> None:
    changed = content.server.request("PATCH", content.api, json=settings)
    assert changed.status_code == 200, changed.text


def alive(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except ProcessLookupError:
        return False
    return True


def active_jobs(content: Content) -> list[dict[str, object]]:
    jobs: list[dict[str, object]] = content.server.get(f"{content.api}/jobs").json()
    return [job for job in jobs if job["status"] == 0]


def test_processes_come_with_the_load_up_to_the_maximum(server: LocalConnect) -> None:
    content = publish(server, app(), max_processes=2, max_conns_per_process=4, load_factor=1)
    pids(content, at_once=3)
    assert len(pids(content, at_once=3)) == 1
    change(content, load_factor=0.25)
    assert eventually(lambda: len(pids(content, at_once=6)) == 2)
    assert len(active_jobs(content)) == 2


def test_idle_processes_end_down_to_the_minimum(server: LocalConnect) -> None:
    content = publish(server, app(), min_processes=2, idle_timeout=1)
    assert eventually(lambda: len(active_jobs(content)) == 2)
    os.kill(int(str(active_jobs(content)[0]["pid"])), signal.SIGKILL)
    assert eventually(lambda: len(active_jobs(content)) == 2)
    change(content, min_processes=0)
    assert eventually(lambda: not active_jobs(content))
    # a process that has a request is not idle
    assert ask(content, "seconds=3")["version"] == "one"


def test_changed_settings_and_variables_replace_processes_without_a_gap(
    server: LocalConnect,
) -> None:
    content = publish(server, app())
    first = ask(content)["pid"]
    with ThreadPoolExecutor(1) as visitor:
        slow = visitor.submit(ask, content, "seconds=2")
        time.sleep(0.3)
        body = [{"name": "COLOUR", "value": "blue"}]
        server.request("PATCH", f"{content.api}/environment", json=body).raise_for_status()
        changed = ask(content)
        assert (changed["colour"], changed["pid"] != first) == ("blue", True)
        assert slow.result()["pid"] == first
    assert eventually(lambda: not alive(first))
    change(content, max_conns_per_process=3)
    assert ask(content)["pid"] != changed["pid"]


def test_settings_that_change_nothing_replace_nothing(server: LocalConnect) -> None:
    content = publish(server, app())
    body = [{"name": "COLOUR", "value": "red"}]
    server.request("PATCH", f"{content.api}/environment", json=body).raise_for_status()
    before = ask(content)
    server.request("PATCH", f"{content.api}/environment", json=body).raise_for_status()
    change(content, max_processes=None)
    assert ask(content) == before


def test_variables_that_break_the_app_leave_the_old_process(server: LocalConnect) -> None:
    source = app() + "\nif os.environ.get('COLOUR') == 'none': raise SystemExit('no colour')\n"
    content = publish(server, source)
    before = ask(content)
    body = [{"name": "COLOUR", "value": "none"}]
    server.request("PATCH", f"{content.api}/environment", json=body).raise_for_status()
    assert ask(content) == before


def test_what_goes_on_to_end_is_started_after_a_pause(server: LocalConnect) -> None:
    content = publish(server, app())
    starts = []
    for _ in range(3):
        start = time.monotonic()
        ask(content)
        starts.append(time.monotonic() - start)
        server.get(f"{content.path}?exit", user=None)
    assert starts[1] < 1 < starts[2]


def test_a_bundle_that_does_not_start_is_not_tried_by_every_visitor(server: LocalConnect) -> None:
    source = app() + "\nif os.environ.get('COLOUR') == 'none': raise SystemExit('no colour')\n"
    content = publish(server, source, idle_timeout=1)
    first = ask(content)["pid"]
    assert eventually(lambda: not alive(first))
    body = [{"name": "COLOUR", "value": "none"}]
    server.request("PATCH", f"{content.api}/environment", json=body).raise_for_status()
    answers = [server.get(content.path, user=None) for _ in range(10)]
    assert {answer.status_code for answer in answers} == {502}
    attempts = [job for job in server.get(f"{content.api}/jobs").json() if job["exit_code"] == 1]
    assert 1 <= len(attempts) <= 3
    # a deployment is a new try at once
    server.request("PATCH", f"{content.api}/environment", json=[{"name": "COLOUR"}])
    assert deploy(content, content.item["bundle_id"])["code"] == 0
    assert ask(content)["version"] == "one"


def test_redeployments_under_load_fail_no_request(server: LocalConnect) -> None:
    content = publish(server, app("0"))
    versions = set()
    stop = False

    def visit() -> int:
        count = 0
        while not stop:
            versions.add(ask(content, "seconds=0.01")["version"])
            count += 1
        return count

    with ThreadPoolExecutor(8) as visitors:
        counts = [visitors.submit(visit) for _ in range(8)]
        for version in range(1, 6):
            archive = archive_of({"app.py": app(str(version)).encode()})
            assert deploy(content, upload(content, archive))["code"] == 0
            assert ask(content)["version"] == str(version)
        stop = True
        # each visit raises where an answer is not 200
        assert sum(count.result() for count in counts) > 100
    assert versions >= {"0", "5"}
    assert eventually(lambda: len(active_jobs(content)) <= 3)


def test_a_bundle_that_does_not_start_is_activated_as_on_connect(server: LocalConnect) -> None:
    content = publish(server, app("good"))
    broken = upload(content, archive_of({"app.py": b"raise SystemExit('bad')"}))
    task = deploy(content, broken)
    assert task["code"] == 0
    assert "bad" in task["output"]
    assert task["output"][-1] == "The app did not start: its process ended with status 1."
    answer = server.get(content.path)
    assert (answer.status_code, content.item["bundle_id"]) == (502, broken)
    assert "The app did not start" in answer.json()["error"]
    assert deploy(content, content.bundles[-1]["id"])["code"] == 0
    assert ask(content)["version"] == "good"


@pytest.mark.parametrize(
    ("signal_number", "verb"), [(signal.SIGTERM, "stopped"), (signal.SIGKILL, "ended")]
)
def test_processes_never_outlive_the_server(
    tmp_path_factory: pytest.TempPathFactory, signal_number: signal.Signals, verb: str
) -> None:
    with running_server(tmp_path_factory.mktemp("outlive") / "data") as server:
        content = publish(server, app(), min_processes=2)
        assert eventually(lambda: len(active_jobs(content)) == 2)
        running = [job["pid"] for job in active_jobs(content)]
        sockets = (server.data / "sockets").readlink()
        slow = upload(content, archive_of({"app.py": b"import time; time.sleep(600)"}))
        server.request("POST", f"{content.api}/deploy", json={"bundle_id": slow})
        assert eventually(lambda: len(active_jobs(content)) == 3)
        server.process.send_signal(signal_number)
        server.process.wait(30)
        assert eventually(lambda: not any(map(alive, running)))
    with running_server(server.data) as server:
        content = Content(server, content.guid)
        assert ask(content)["version"] == "one"
        assert not sockets.exists()
        assert eventually(lambda: len(active_jobs(content)) == 2)
        record = deployments(content)[0]
        assert record["error"] == f"The server {verb} before the work was done."
        assert record["end_time"]


def test_twenty_deployments_at_once(server: LocalConnect) -> None:
    shared = create(server, access_type="all")

    def one(number: int) -> tuple[Content, str]:
        content = shared if number % 2 else create(server, access_type="all")
        version = f"number {number}"
        task = deploy(content, upload(content, archive_of({"app.py": app(version).encode()})))
        assert task["code"] == 0, task
        return content, version

    with ThreadPoolExecutor(20) as people:
        results = list(people.map(one, range(20)))
    for content, version in results:
        if content is not shared:
            assert ask(content)["version"] == version
    assert ask(shared)["version"] in {version for content, version in results if content is shared}
