"""Earlier bundles, deployments and jobs: what is recorded, and what can be done with it."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import text

from local_connect.records.store import Store
from local_connect.runtime.history import History
from local_connect.runtime.tasks import Task
from tests.deployed import Content
from tests.process_app import app, ask, deployments
from tests.publishing import archive_of, create, deploy, finished, publish, upload
from tests.servers import LocalConnect, eventually


def test_an_earlier_bundle_is_activated_again(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    second = upload(content, archive_of({"app.py": app("two").encode()}))
    assert deploy(content, second)["code"] == 0
    newest, oldest = content.bundles
    assert (newest["active"], oldest["active"]) == (True, False)
    assert deploy(content, oldest["id"])["code"] == 0
    assert ask(content)["version"] == "one"
    assert [bundle["active"] for bundle in content.bundles] == [False, True]


def test_any_bundle_but_the_active_one_is_deleted(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    second = upload(content, archive_of({"app.py": app("two").encode()}))
    active = content.item["bundle_id"]
    path = f"{content.api}/bundles"
    refused = server.request("DELETE", f"{path}/{active}")
    assert (refused.status_code, refused.json()["error"]) == (
        409,
        "The active bundle cannot be deleted.",
    )
    assert server.request("DELETE", f"{path}/{second}").status_code == 204
    assert [bundle["id"] for bundle in content.bundles] == [active]
    assert not (server.data / "bundles" / second).exists()
    assert server.request("DELETE", f"{path}/{second}").status_code == 404
    assert ask(content)["version"] == "one"


def test_environments_that_nothing_uses_are_removed(server: LocalConnect) -> None:
    requirements = b"itsdangerous>=2.2\n"
    content = publish(server, app("one"))
    archive = archive_of({"app.py": app("two").encode(), "requirements.txt": requirements})
    before = environments(server)
    second = upload(content, archive)
    assert deploy(content, second)["code"] == 0
    assert len(environments(server) - before) == 1
    assert deploy(content, content.bundles[-1]["id"])["code"] == 0
    assert server.request("DELETE", f"{content.api}/bundles/{second}").status_code == 204
    assert environments(server) == before
    assert ask(content)["version"] == "one"


def environments(server: LocalConnect) -> set[str]:
    return {directory.name for directory in (server.data / "environments").iterdir()}


def test_a_change_of_settings_undoes_no_deployment(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    second = upload(content, archive_of({"app.py": app("two").encode()}))

    def body() -> Iterator[bytes]:
        yield b'{"title": '
        assert deploy(content, second)["code"] == 0
        yield b'"new"}'

    server.request("PATCH", content.api, content=body()).raise_for_status()
    assert (content.item["title"], content.item["bundle_id"]) == ("new", second)
    assert ask(content)["version"] == "two"


def test_content_that_is_deleted_while_a_request_comes_in(server: LocalConnect) -> None:
    content = publish(server, app("one"))

    def body() -> Iterator[bytes]:
        yield b'[{"name": "COLOUR", '
        assert server.request("DELETE", content.api).status_code == 204
        yield b'"value": "blue"}]'

    refused = server.request("PATCH", f"{content.api}/environment", content=body())
    assert refused.status_code == 409
    assert "deleted meanwhile" in refused.json()["error"]


def test_a_build_makes_the_environment_and_nothing_else(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    second = upload(content, archive_of({"app.py": b"raise SystemExit('never run')"}))
    started = server.request("POST", f"{content.api}/build", json={"bundle_id": second})
    task = finished(server, started.json()["task_id"])
    assert (task["finished"], task["code"]) == (True, 0)
    assert ask(content)["version"] == "one"


def test_deployments_are_on_record(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    wordy = b"for _ in range(30): print('x' * 40_000)\nraise SystemExit"
    silent = upload(content, archive_of({"app.py": wordy}))
    task = deploy(content, silent)
    broken = upload(content, archive_of({"requirements.txt": b"./nowhere"}))
    failure = deploy(content, broken)
    started = server.request("POST", f"{content.api}/build", json={"bundle_id": silent})
    build = finished(server, started.json()["task_id"])
    last, failed, second, first = deployments(content)
    assert (first["kind"], bool(first["activate"]), first["error"]) == ("deploy", True, None)
    assert first["started_by"] == server.users["alice"].guid
    assert "Launching Python API..." in first["output"].splitlines()
    assert "(Error code: python-package-install-failed)" in failed["error"] == failure["error"]
    assert (failed["bundle_id"], failed["task_id"]) == (int(broken), failure["id"])
    # bounded, from its beginning
    assert second["error"] is None
    assert len(second["output"]) < (1 << 20) + 100
    assert second["output"].endswith(task["output"][-1] + "\n")
    assert "not kept" in second["output"].splitlines()[0]
    assert (last["kind"], bool(last["activate"])) == ("build", False)
    assert last["output"].splitlines() == build["output"]
    assert all(
        record["start_time"] <= record["end_time"] for record in (last, failed, second, first)
    )


def test_the_oldest_deployments_are_forgotten(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    other = publish(server, app("one"))
    with closing(sqlite3.connect(server.data / "local-connect.db")) as database, database:
        for number in range(60):
            database.execute(
                "INSERT INTO deployments SELECT ?, content_guid, bundle_id, started_by, kind,"
                " activate, NULL, start_time, end_time, error, output"
                " FROM deployments WHERE content_guid = ? LIMIT 1",
                (f"task {number}", content.guid),
            )
    newest = deploy(content, content.item["bundle_id"])
    kept = [record["task_id"] for record in deployments(content)]
    assert kept == [newest["id"], *(f"task {number}" for number in range(59, 10, -1))]
    assert len(deployments(other)) == 1
    assert server.request("DELETE", content.api).status_code == 204
    assert deployments(content) == []


@pytest.mark.quick
def test_a_deployment_ends_where_that_cannot_be_recorded(
    store: Store, guids: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(store)
    task = Task("alice", history.end)
    history.begin(task, content_guid=guids[0], bundle_id=1, kind="deploy", activate=True)
    with store.session() as session:
        session.execute(text("DROP TABLE deployments"))
    asyncio.run(task.finish())
    assert task.finished
    assert (history.running, history.ended) == ({}, {("deploy", True): 1})
    said = f"The record of task {task.id} could not be completed: no such table: deployments\n"
    assert capsys.readouterr().err == said


def jobs(content: Content, *, of_builds: bool = False) -> list[dict[str, object]]:
    """Those of the content's processes, or those of its builds, newest first."""
    found: list[dict[str, object]] = content.server.get(f"{content.api}/jobs").json()
    return [job for job in found if (job["tag"] == "python_restore") == of_builds]


def test_jobs_and_their_logs(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    pid = ask(content, "say=first&say=زمین")["pid"]
    (job,) = jobs(content)
    assert job["pid"] == str(pid)
    assert (job["status"], job["tag"], job["exit_code"]) == (0, "run_python_api", None)
    path = f"{content.api}/jobs/{job['key']}"
    assert server.get(path).json() == job

    def lines() -> list[str]:
        return [entry["data"] for entry in server.get(f"{path}/log").json()["entries"]]

    assert eventually(lambda: lines() == ["started one", "first", "زمین"])
    assert server.get(f"{path}/log?maxLogLines=1").json()["entries"][0]["data"] == "زمین"
    assert server.get(f"{path}/download").text == "started one\nfirst\nزمین\n"
    assert server.get(path, user="bob").status_code == 403

    server.get(f"{content.path}?exit", user=None)
    assert eventually(lambda: jobs(content)[0]["status"] == 1)
    assert jobs(content)[0]["exit_code"] == 3


def test_a_log_is_bounded(server: LocalConnect) -> None:
    content = publish(server, app("one") + "\nprint('x' * (3 << 20) + '\\nand on', flush=True)\n")
    (job,) = jobs(content)
    path = f"{content.api}/jobs/{job['key']}"

    def last() -> str:
        return str(server.get(f"{path}/log").json()["entries"][-1]["data"])

    # a line that is too long to be kept does not end the log
    assert eventually(lambda: last() == "and on")
    for number in range(30):
        answer = server.get(f"{content.path}?say={number}{'x' * 50_000}", user=None)
        assert answer.status_code == 200
    assert eventually(lambda: last().startswith("29x"))
    assert (server.data / "jobs" / f"{job['key']}.log").stat().st_size <= 1 << 20


def test_a_job_is_killed(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    (job,) = jobs(content)
    killed = server.request("DELETE", f"{content.api}/jobs/{job['key']}")
    assert (killed.status_code, killed.json()["job_key"]) == (202, job["key"])
    assert ask(content)["pid"] != int(str(job["pid"]))
    assert server.request("DELETE", f"{content.api}/jobs/{job['key']}").status_code == 409


def test_a_build_is_a_job(server: LocalConnect) -> None:
    content = create(server)
    bundle_id = upload(content, archive_of({"app.py": app("one").encode()}))
    order = {"bundle_id": bundle_id}
    task_id = server.request("POST", f"{content.api}/deploy", json=order).json()["task_id"]
    (job,) = server.get(f"{content.api}/jobs").json()
    assert (job["tag"], job["bundle_id"]) == ("python_restore", bundle_id)
    task = finished(server, task_id)
    (job,) = jobs(content, of_builds=True)
    assert (job["status"], job["exit_code"]) == (1, 0)
    printed = server.get(f"{content.api}/jobs/{job['key']}/download").text.splitlines()
    # all that was said of it before the app started
    assert printed == task["output"][: len(printed)]
    assert task["output"][len(printed)] == "Launching Python API..."
    assert len(jobs(content)) == 1

    missing = archive_of({"app.py": b"", "requirements.txt": b"./missing"})
    assert deploy(content, upload(content, missing))["code"] == 1
    newest, oldest = jobs(content, of_builds=True)
    assert (newest["status"], newest["exit_code"], oldest) == (1, 1, job)


def test_a_build_is_stopped(server: LocalConnect) -> None:
    content = publish(server, app("one"))
    files = {
        "app.py": app("two").encode(),
        "requirements.txt": b"./slow",
        "slow/pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "slow"\n'
        b'backend-path = ["."]\n',
        "slow/slow.py": b"import time\ntime.sleep(600)\n",
    }
    order = {"bundle_id": upload(content, archive_of(files))}
    task_id = server.request("POST", f"{content.api}/deploy", json=order).json()["task_id"]
    (job, _) = jobs(content, of_builds=True)
    path = f"{content.api}/jobs/{job['key']}"
    assert eventually(lambda: "Creating environment" in server.get(f"{path}/download").text)
    assert server.request("DELETE", path).status_code == 202
    task = finished(server, task_id)
    assert (task["code"], task["error"]) == (1, "The build was stopped.")
    ended = server.get(path).json()
    assert (ended["status"], ended["exit_code"]) == (1, 1)
    assert server.request("DELETE", path).status_code == 409
    assert ask(content)["version"] == "one"
