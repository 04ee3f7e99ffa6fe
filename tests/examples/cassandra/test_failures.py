"""A database that is away, slow or empty; and what comes of many who ask at once."""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.deployed import Content as Deployed
from tests.examples.cassandra.conftest import EXAMPLE, Initialize, wait_until_it_answers
from tests.examples.cassandra.proxy import EXECUTE, PREPARE, REGISTER, Proxy
from tests.targets import Content
from tests.targets.process import DidNotStartError, Process

FOXES = "animal/Vulpes"

#: seconds that the example waits for an answer of the database
TIMEOUT = 5


def assert_away(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert list(answer.json()) == ["message"]


def eventually(true: Callable[[], bool], *, within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(content: Content) -> bool:
    return content.get(FOXES).status_code == 200


def test_it_starts_while_the_database_is_away_and_finds_it_later(
    behind: Content, proxy: Proxy
) -> None:
    proxy.leave()
    for path in ("", "openapi.json"):
        assert behind.get(path).status_code == 200
    for path in (FOXES, f"{FOXES}/zerda", "plant/Astragalus"):
        assert_away(behind.get(path))
    proxy.come_back()
    assert behind.get(FOXES).status_code == 200
    proxy.leave()
    eventually(lambda: behind.get(FOXES).status_code == 503)
    proxy.come_back()
    eventually(lambda: answers(behind))


def test_a_slow_database_keeps_nobody_waiting_for_long(behind: Content, proxy: Proxy) -> None:
    assert answers(behind)
    proxy.stall()
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as visitors:
        for answer in visitors.map(behind.get, [FOXES] * 8):
            assert_away(answer)
    # side by side, not one after the other
    assert time.monotonic() - begun < 2 * TIMEOUT
    assert behind.get("").status_code == 200
    proxy.come_back()
    eventually(lambda: answers(behind))


def test_first_visitors_at_once_share_a_session_and_prepared_statements(
    behind: Content, proxy: Proxy
) -> None:
    with ThreadPoolExecutor(16) as visitors:
        found = list(visitors.map(behind.get, [FOXES] * 16 + [f"{FOXES}/zerda"] * 16))
    assert {answer.status_code for answer in found} == {200}
    # a session listens for news of the cluster by one connection
    assert proxy.counted[REGISTER] == 1
    assert proxy.counted[PREPARE] == 2
    assert proxy.counted[EXECUTE] == 32


def test_tables_that_are_not_there_are_made_beside_it(
    alone: Process, node: dict[str, str], initialize: Initialize
) -> None:
    """It says how, and answers once they are there. To make them twice changes nothing."""
    variables = node | {"CASSANDRA_KEYSPACE": f"k{uuid.uuid4().hex}"}
    content = alone.launch(EXAMPLE, env=variables)
    try:
        for path in (FOXES, "plant/Astragalus"):
            answer = content.get(path)
            assert_away(answer)
            assert "python -m storage.db_initialize" in answer.json()["message"]

        once = initialize(variables, "--plants", "70")
        assert once.returncode == 0, once.stderr
        assert "6 animals and 70 plants are in k" in once.stdout
        rows = [content.get(path).json() for path in (FOXES, "plant/Astragalus")]
        assert [len(found) for found in rows] == [3, 70]

        animal = {"genus": "Vulpes", "species": "zerda", "sightings": 7}
        content.client.post(f"{content.url}animal", json=animal).raise_for_status()
        rows = [content.get(path).json() for path in (FOXES, "plant/Astragalus")]
        assert initialize(variables, "--plants", "70").returncode == 0
        assert [content.get(path).json() for path in (FOXES, "plant/Astragalus")] == rows
    finally:
        content.close()


def test_tables_cannot_be_made_where_there_is_no_database(initialize: Initialize) -> None:
    for variables, says in (
        ({"CASSANDRA_CONTACT_POINTS": "127.0.0.1", "CASSANDRA_PORT": "1"}, "refused"),
        ({"CASSANDRA_CONTACT_POINTS": "no.such.host.invalid"}, "CASSANDRA_CONTACT_POINTS"),
        ({"CASSANDRA_CONTACT_POINTS": ""}, "set CASSANDRA_CONTACT_POINTS"),
        ({"CASSANDRA_PORT": "9042"}, "CASSANDRA_CONTACT_POINTS"),
    ):
        done = initialize(variables)
        assert done.returncode == 1
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_two_processes_have_a_session_each(deployed: Deployed, gateway_proxy: Proxy) -> None:
    server = deployed.server

    def pids() -> set[int]:
        jobs = server.get(f"{deployed.api}/jobs").raise_for_status().json()
        return {job["pid"] for job in jobs if job["end_time"] is None}

    def change(**fields: int | None) -> None:
        server.request("PATCH", deployed.api, json=fields).raise_for_status()

    change(min_processes=2, max_processes=2, max_conns_per_process=2)
    try:
        eventually(lambda: len(pids()) == 2)
        gateway_proxy.forget()
        # as many at once as two processes take and one does not
        gateway_proxy.stall()
        with ThreadPoolExecutor(4) as visitors:
            found = [
                visitors.submit(server.get, f"{deployed.path}{FOXES}", user="admin")
                for _ in range(4)
            ]
            time.sleep(1)
            gateway_proxy.come_back()
            assert [answer.result().status_code for answer in found] == [200] * 4
        eventually(lambda: gateway_proxy.counted[REGISTER] >= 1)
        for _ in range(20):
            assert server.get(f"{deployed.path}{FOXES}").status_code == 200
        assert len(pids()) == 2
    finally:
        change(min_processes=None, max_processes=None, max_conns_per_process=None)
    wait_until_it_answers(deployed)


def test_settings_of_a_file_and_of_the_environment_before_it(python: Path, tmp_path: Path) -> None:
    """Whatever directory it runs in."""
    ignored = shutil.ignore_patterns("__pycache__")
    copy = Path(shutil.copytree(EXAMPLE.path, tmp_path / EXAMPLE.directory, ignore=ignored))
    (copy / ".env").write_text("CASSANDRA_CONTACT_POINTS=one\nCASSANDRA_PORT=1234\n", "utf-8")
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("CASSANDRA_")}
    show = "from storage import db_connect as d; print(d.setting(d.POINTS), d.setting(d.PORT))"
    for variables, shown in (({}, "one 1234"), ({"CASSANDRA_CONTACT_POINTS": "two"}, "two 1234")):
        done = subprocess.run(
            [python, "-c", show],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(copy), **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == shown


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (
            {"ASTRA_DB_SECURE_BUNDLE_PATH": "x.zip", "ASTRA_DB_APPLICATION_TOKEN": "AstraCS:x"},
            ("CASSANDRA_CONTACT_POINTS", "ASTRA_DB_SECURE_BUNDLE_PATH", "not both"),
        ),
        ({"CASSANDRA_PASSWORD": "secret"}, ("CASSANDRA_USERNAME", "CASSANDRA_PASSWORD")),
    ],
    ids=["both", "half"],
)
def test_contradictory_settings_stop_the_start(
    alone: Process, variables: dict[str, str], named: tuple[str, ...]
) -> None:
    with pytest.raises(DidNotStartError) as failed:
        alone.launch(EXAMPLE, env=variables).close()
    assert failed.value.status == 1
    for name in named:
        assert name in failed.value.output
    for secret in ("AstraCS:x", "secret", "Traceback"):
        assert secret not in failed.value.output
