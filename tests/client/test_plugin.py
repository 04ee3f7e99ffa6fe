"""The pytest plugin, in the tests of someone's own API."""

import re
import signal
import subprocess
import time

import httpx

from tests.catalogue import ROOT
from tests.newcomers import Newcomer
from tests.servers import processes_that_name

#: seconds in which what is to happen by itself has happened
PATIENCE = 60

BESIDE_ASYNCIO = """
import asyncio
import pytest
from local_connect.testing import LocalConnect

@pytest.fixture
async def api(local_connect: LocalConnect):
    return await asyncio.to_thread(local_connect.deploy, "my-api", access_type="logged_in")

async def test_asyncio(api, local_connect):
    answers = await asyncio.gather(*(asyncio.to_thread(api.get, "hello") for _ in range(3)))
    assert [answer.json() for answer in answers] == [{"hello": "alice"}] * 3
    assert local_connect.deploy("my-api", access_type="logged_in") is api

def test_other_worker(local_connect, worker_id):
    print(f"{worker_id} has {local_connect.url}", flush=True)
"""

ASYNCIO = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

OF_ALL_KINDS = """
import pytest
from local_connect.errors import LocalConnectError
from local_connect.testing import DeployFailed

APP = '''
import os
from flask import Flask, request, session
app = Flask(__name__)
app.secret_key = "key"
print("started as", __name__)
@app.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def index():
    session["visits"] = session.get("visits", 0) + 1
    return {
        "method": request.method, "data": request.get_data(as_text=True), "args": request.args,
        "mount": request.script_root, "visits": session["visits"],
        "colour": os.environ.get("COLOUR")
    }
'''

@pytest.fixture
def mine(tmp_path):
    (tmp_path / "service.py").write_text(APP)
    (tmp_path / "requirements.txt").write_text("flask>=3,<4\\n")
    return tmp_path

def test_users(local_connect):
    assert {name: user.groups for name, user in local_connect.users.items()} == {
        "maria": [], "pavel": ["staff"]
    }

def test_requests_and_settings(local_connect, mine):
    def deploy(**options):
        return local_connect.deploy(mine, entrypoint="service:app", **options)

    api = deploy(environment={"COLOUR": "blue"}, vanity="/mine/", max_processes=1)
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(api, method)("/", content="x", params={"a": "1"}).json()
        assert answer == {
            "method": method.upper(), "data": "x", "args": {"a": "1"}, "visits": 1,
            "mount": f"/content/{api.guid}", "colour": "blue",
        }
    assert api.head().status_code == 200
    assert "POST" in api.options().headers["Allow"]
    assert api.get(as_user=None).status_code == 401
    assert local_connect.request("GET", "/mine/", as_user="pavel").json()["mount"] == "/mine"
    last = api.requests[-1]
    assert (last.visitor, last.method, last.path, last.status) == ("pavel", "GET", "/mine/", 200)
    assert last.received["RStudio-Connect-Credentials"] == '{"user": "pavel", "groups": ["staff"]}'
    assert last.sent["Authorization"] == "Key (hidden)"
    assert "Authorization" in last.dropped and "RStudio-Connect-Credentials" in last.set
    posted = next(one for one in api.requests if one.method == "POST")
    assert posted.body == "x" and '"mount"' in posted.answer
    with local_connect.fault("status", content=api, status=503, share=1) as fault:
        assert api.get().status_code == 503
        assert (fault.count, api.requests[-1].faults) == (1, "status 503")
    assert api.get().status_code == 200
    with pytest.raises(LocalConnectError, match="needs seconds"):
        local_connect.fault("delay")
    local_connect.fault("kill", next=1)
    local_connect.reset_faults()
    assert api.get().status_code == 200
    assert api.call("GET", "")["max_processes"] == 1
    assert api.owner == "pavel"
    assert "started as service" in api.logs
    assert "Launching Python API" in api.build_log

    # the same call is the same content, as it is or updated; another call is other content
    def again():
        return deploy(environment={"COLOUR": "blue"}, vanity="/mine/", max_processes=1)

    assert again() is api
    assert len(api.call("GET", "/bundles")) == 1
    (mine / "service.py").write_text(APP.replace("started as", "started again as"))
    assert again() is api
    assert "started again as service" in api.logs
    assert len(api.call("GET", "/bundles")) == 2
    other = deploy()
    assert other.guid != api.guid
    assert other.get().json()["colour"] is None

    # a deployment that fails leaves what was there
    (mine / "service.py").write_text("raise SystemExit('broken on purpose')")
    with pytest.raises(DeployFailed, match="broken on purpose"):
        deploy()
    assert other.get().status_code == 200

def test_asgi(local_connect, tmp_path):
    (tmp_path / "app.py").write_text(
        "from fastapi import FastAPI, Request\\n"
        "app = FastAPI()\\n"
        "@app.get('/mount')\\n"
        "def mount(request: Request): return request.scope['root_path']\\n"
    )
    (tmp_path / "requirements.txt").write_text("fastapi>=0.115,<1\\n")
    api = local_connect.deploy(tmp_path, kind="fastapi")
    assert api.get("mount").json() == f"/content/{api.guid}"

def test_mistakes(local_connect, mine):
    api = local_connect.deploy(mine, entrypoint="service:app", access_type="all")
    with pytest.raises(LocalConnectError, match="'carol', only maria, pavel"):
        api.get(as_user="carol")
    with pytest.raises(LocalConnectError, match="There is no directory .*nowhere"):
        local_connect.deploy("nowhere")
    with pytest.raises(LocalConnectError, match="access_type is not one of"):
        local_connect.deploy(mine, access_type="everyone")
    everything = local_connect.request("GET", "/__api__/v1/content", as_user="maria").json()
    assert [item["name"] for item in everything].count(api.name) == 1
    assert f"{api.name}-2" not in [item["name"] for item in everything]

def test_that_fails(local_connect, mine):
    (mine / "requirements.txt").write_text("flask==0.0.0.1\\n")
    local_connect.deploy(mine)
"""

USERS = """
[[users]]
username = "maria"
user_role = "administrator"

[[users]]
username = "pavel"
user_role = "publisher"
groups = ["staff"]
"""

FOR_EVER = """
import time

def test_for_ever(local_connect):
    api = local_connect.deploy("my-api", access_type="all")
    print("READY", local_connect.directory, api.url, flush=True)
    time.sleep(3600)
"""


def lines_of_readme() -> str:
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"^    def test_.*?(?=\n\S)", readme, re.MULTILINE | re.DOTALL)
    assert found
    lines = [line.removeprefix("    ") for line in found[0].rstrip().splitlines()]
    assert len(lines) <= 10
    return "\n".join(lines) + "\n"


def test_readme_in_parallel_and_beside_asyncio(newcomer: Newcomer) -> None:
    newcomer.write("test_api.py", lines_of_readme())
    newcomer.write("test_asyncio.py", BESIDE_ASYNCIO)
    newcomer.write("pytest.ini", ASYNCIO)
    before = sorted(newcomer.api.iterdir())
    options = ("-v", "-n", "2", "--dist", "loadfile", "-W", "error", "-p", "no:cacheprovider")
    done = newcomer.run("pytest", *options, "-rP")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert re.search(r"gw\d has http://127.0.0.1:\d+", done.stdout)
    # neither a record nor a saved server is left
    assert sorted(newcomer.api.iterdir()) == before
    assert [path for path in newcomer.home.rglob("*") if path.is_file()] == []


def test_deployments_of_all_kinds(newcomer: Newcomer) -> None:
    newcomer.write("users.toml", USERS)
    newcomer.write("pytest.ini", "[pytest]\nlocal_connect_users = users.toml\n")
    newcomer.write("test_api.py", OF_ALL_KINDS)
    done = newcomer.run("pytest", "-W", "error", "-p", "no:asyncio")
    assert "1 failed, 4 passed" in done.stdout, done.stdout
    assert done.returncode == 1
    # the log of the build is what the failure shows, and nothing of the plugin's own code
    failure = done.stdout.partition("test_that_fails")[2]
    assert "flask==0.0.0.1" in failure
    assert "testing.py" not in failure


def test_users_that_cannot_be_read(newcomer: Newcomer) -> None:
    newcomer.write("users.toml", "users = 3\n")
    newcomer.write("test_api.py", "def test_api(local_connect):\n    pass\n")
    done = newcomer.run("pytest", "--local-connect-users", "users.toml")
    assert done.returncode == 1
    assert "users.toml, line 1: users are given as tables" in done.stdout
    assert "Traceback" not in done.stdout


def test_seed_that_cannot_be_read(newcomer: Newcomer) -> None:
    newcomer.write("seed.toml", "[nowhere]\n")
    newcomer.write("pytest.ini", "[pytest]\nlocal_connect_seed = .\n")
    newcomer.write("test_api.py", "def test_api(local_connect):\n    pass\n")
    done = newcomer.run("pytest")
    assert done.returncode == 1
    assert "seed.toml, [nowhere]: there is no directory" in done.stdout
    assert "Traceback" not in done.stdout


def test_killed(newcomer: Newcomer) -> None:
    """Nothing outlives a session that gets no chance to tidy up."""
    newcomer.write("test_api.py", FOR_EVER)
    with subprocess.Popen(
        [newcomer.bin / "pytest", "-s", "-q"],
        cwd=newcomer.directory,
        env=newcomer.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as session:
        assert session.stdout is not None
        ready = next(line for line in session.stdout if "READY" in line)
        _, directory, url = ready[ready.index("READY") :].split()
        assert httpx.get(f"{url}hello", trust_env=False).json() == {"hello": "stranger"}
        session.send_signal(signal.SIGKILL)
        session.wait()
    deadline = time.monotonic() + PATIENCE
    while processes_that_name(directory):
        assert time.monotonic() < deadline, processes_that_name(directory)
        time.sleep(0.05)
