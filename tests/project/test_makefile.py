"""The Makefile's targets, typed as a newcomer would."""

import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from local_connect.client.rsconnect import plain
from scripts.services import load, missing
from tests.beside import Services
from tests.catalogue import EXAMPLES, Example
from tests.deployed import Content
from tests.project.conftest import Checkout
from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect
from tests.terminals import on_a_terminal

DIRECTORIES = [example.directory for example in EXAMPLES]
PATIENCE = 120


def names(server: LocalConnect, owner: str) -> list[str]:
    """The content on the server that belongs to `owner`."""
    found: list[dict[str, Any]] = server.get(
        "/__api__/v1/content",
        user="admin",
        params={"owner_guid": server.users[owner].guid},
    ).json()
    return sorted(item["name"] for item in found)


def deployed(server: LocalConnect, owner: str, name: str) -> Content:
    """The content of that name that belongs to `owner`."""
    found = server.get(
        "/__api__/v1/content",
        user="admin",
        params={"owner_guid": server.users[owner].guid, "name": name},
    ).json()
    return Content(server, found[0]["guid"])


def save(checkout: Checkout, server: LocalConnect, user: str, name: str) -> None:
    done = rsconnect(
        *("add", "--name", name, "--server", server.url),
        *("--api-key", server.users[user].api_key),
        home=checkout.home,
    )
    assert done.returncode == 0, done.stderr


def test_make_lists_the_targets(checkout: Checkout) -> None:
    done = checkout.run("make")
    assert done.returncode == 0
    for target in ("gallery", "test", "deploy", "verify", "sync", "lint", "clean"):
        assert f"make {target} " in done.stdout
    for directory in DIRECTORIES:
        assert directory in done.stdout


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"CONNECT_SERVER": "http://127.0.0.1:1"},
        {"CONNECT_API_KEY": "key"},
    ],
    ids=["nothing", "server", "key"],
)
def test_deploy_says_what_it_needs(checkout: Checkout, environment: dict[str, str]) -> None:
    done = checkout.run("make", "deploy", **environment)
    assert done.returncode != 0
    assert "SERVER=<name that rsconnect add saved>" in done.stdout
    assert "CONNECT_SERVER and CONNECT_API_KEY" in done.stdout
    assert "Traceback" not in done.stdout


def test_deploy_by_environment_and_again_from_elsewhere(
    checkout: Checkout, server: LocalConnect
) -> None:
    where = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.users["alice"].api_key}
    some = sorted([DIRECTORIES[0], "flask-celery-example"])
    checkout.keep(*some)
    done = checkout.run("make", "-j4", "deploy", **where)
    assert done.returncode == 0, done.stdout
    assert names(server, "alice") == some
    assert "flask-celery-example | REDIS_URL is not set, so it is deployed without valkey" in (
        done.stdout
    )

    # a fresh checkout has no record of what was deployed before
    for directory in some:
        shutil.rmtree(checkout.directory / directory / "rsconnect-python")
    done = checkout.run("make", f"deploy-{DIRECTORIES[0]}", **where)
    assert done.returncode == 0, done.stdout
    assert names(server, "alice") == some

    done = checkout.run("make", f"deploy-{DIRECTORIES[0]}", "NEW=1", **where)
    assert done.returncode == 0, done.stdout
    assert names(server, "alice") == sorted([*some, f"{DIRECTORIES[0]}1"])


def test_deploy_to_a_saved_server_whatever_the_environment_says(
    checkout: Checkout, server: LocalConnect
) -> None:
    save(checkout, server, "admin", "here")
    done = checkout.run(
        *("make", f"deploy-{DIRECTORIES[-1]}", "SERVER=here"),
        CONNECT_SERVER="http://127.0.0.1:1",
        CONNECT_API_KEY="of someone else",
    )
    assert done.returncode == 0, done.stdout
    assert DIRECTORIES[-1] in names(server, "admin")


def test_deploy_to_a_server_that_is_not_saved(checkout: Checkout) -> None:
    done = checkout.run("make", "deploy", "SERVER=nowhere")
    assert done.returncode != 0
    assert "No server is saved as nowhere. `rsconnect list` shows" in done.stdout
    assert "Traceback" not in done.stdout


def test_one_failing_deployment_does_not_stop_the_others(
    checkout: Checkout, server: LocalConnect
) -> None:
    broken, *others = DIRECTORIES[:3]
    checkout.keep(broken, *others)
    (checkout.directory / broken / "app.py").write_text("raise SystemExit('broken on purpose')\n")
    save(checkout, server, "admin", "here")
    done = checkout.run("make", "-j4", "deploy", "SERVER=here")
    assert done.returncode != 0
    assert f"{broken} | NOT DEPLOYED" in done.stdout
    assert "broken on purpose" in done.stdout
    # of the others a line for each step, and nothing of what rsconnect says of a manifest
    assert "Creating lockfile" not in "".join(
        line for line in done.stdout.splitlines() if not line.startswith(broken)
    )
    assert "manifest.json" not in done.stdout
    assert set(others) <= set(names(server, "admin"))
    for other in others:
        assert f"{other} | NOT DEPLOYED" not in done.stdout
        assert f"{other} | live, " in done.stdout

    done = checkout.run("make", "verify", "SERVER=here", f"ARGS=-k {broken}")
    assert done.returncode != 0
    assert f"{broken} is not deployed at {server.url}: make deploy-{broken}" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.services("valkey")
def test_a_deployment_inside_local_connect_is_verified(
    checkout: Checkout, services: Services
) -> None:
    """An example of each kind, which keeps the contract there."""
    kinds = [
        next(example for example in EXAMPLES if example.spec),
        next(example for example in EXAMPLES if example.hello),
        next(example for example in EXAMPLES if example.integrations),
        next(example for example in EXAMPLES if "valkey" in example.services),
    ]
    checkout.keep(*(example.directory for example in kinds))
    done = checkout.run(
        *(".venv/bin/local-connect", "--port", "0", "--"),
        *("bash", "-c", "make -j4 deploy && make verify"),
        # which is what the greetings stand on that are not in a file
        **services.variables("valkey"),
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed, \d+ skipped", done.stdout, re.MULTILINE)


def test_verify_as_the_owner_of_the_key_and_as_nobody(
    checkout: Checkout, server: LocalConnect
) -> None:
    """It looks at what is there, and sees what is wrong with it."""
    save(checkout, server, "alice", "here")
    example = next(example for example in EXAMPLES if example.hello)
    only = ("SERVER=here", f"ARGS=-k {example.directory}")
    assert checkout.run("make", f"deploy-{example.directory}", "SERVER=here").returncode == 0
    content = deployed(server, "alice", example.directory)
    server.request("PATCH", content.api, json={"access_type": "all"}).raise_for_status()
    before = (content.item, content.bundles, names(server, "alice"))
    done = checkout.run("make", "verify", *only)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed, \d+ deselected", done.stdout, re.MULTILINE), done.stdout
    assert (content.item, content.bundles, names(server, "alice")) == before

    app = checkout.directory / example.directory / "app.py"
    app.write_text(app.read_text("utf-8").replace("So nice to see you", "Go away"), "utf-8")
    assert checkout.run("make", f"deploy-{example.directory}", "SERVER=here").returncode == 0
    done = checkout.run("make", "verify", *only)
    assert done.returncode != 0
    assert "test_the_viewer_is_named" in done.stdout
    assert "Go away, alice" in done.stdout


def test_sync_writes_the_copies_and_the_table(checkout: Checkout) -> None:
    before = (checkout.directory / "README.md").read_text("utf-8")
    copy = checkout.directory / DIRECTORIES[0] / "greetings.json"
    source = copy.read_bytes()
    copy.write_text("{}", "utf-8")
    (checkout.directory / "README.md").write_text(
        before.replace(DIRECTORIES[0] + "/)", "nothing/)"), "utf-8"
    )
    done = checkout.run("make", "sync")
    assert done.returncode == 0, done.stdout
    assert copy.read_bytes() == source
    assert (checkout.directory / "README.md").read_text("utf-8") == before


def test_release_notes_of_a_tag(checkout: Checkout) -> None:
    (checkout.directory / ".cache").unlink(missing_ok=True)
    project = tomllib.loads((checkout.directory / "pyproject.toml").read_text("utf-8"))["project"]
    done = checkout.run("make", "release-notes", f"TAG=v{project['version']}")
    assert done.returncode == 0, done.stdout
    notes = (checkout.directory / ".cache" / "release-notes.md").read_text("utf-8")
    assert notes == done.stdout
    assert notes in (checkout.directory / "CHANGELOG.md").read_text("utf-8")

    done = checkout.run("make", "release-notes", "TAG=v0")
    assert done.returncode != 0
    assert f"release: pyproject.toml has version {project['version']}, so the tag is" in done.stdout
    assert "Traceback" not in done.stdout


def test_run_one_example(checkout: Checkout) -> None:
    process = subprocess.Popen(
        ["make", f"run-{DIRECTORIES[0]}", "ARGS=--port 0"],
        cwd=checkout.directory,
        env=checkout.environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if match := re.search(r"Running on (http://\S+)", line):
                break
        assert match
        answer = httpx.get(f"{match[1]}/{EXAMPLES[0].list}", trust_env=False)
        assert answer.json()[0]["lang"] == "ar"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)
        process.stdout.close()


def test_gallery_until_ctrl_c(checkout: Checkout, services: Services) -> None:
    """On a terminal, as it is meant; then some of it again, which updates the same content.

    A service that is heavy is not started for it, as it takes one that the environment names.
    """
    heavy = {name for example in EXAMPLES for name in example.services if is_heavy(name)}
    variables = services.variables(*(name for name in heavy if missing(name) is None))
    paths = gallery(checkout, variables, EXAMPLES)
    again = [EXAMPLES[0], next(example for example in EXAMPLES if "valkey" in example.services)]
    checkout.keep(*(example.directory for example in again))
    assert set(gallery(checkout, variables, again)) < set(paths)


def is_heavy(service: str) -> bool:
    return getattr(load(service), "HEAVY", False)


def test_gallery_without_what_an_example_stands_on(checkout: Checkout) -> None:
    """It says in one line what to do, and shows the others."""
    left_out = next(example for example in EXAMPLES if "cassandra" in example.services)
    (checkout.directory / ".cache").unlink(missing_ok=True)
    checkout.keep(DIRECTORIES[0], left_out.directory)
    with subprocess.Popen(
        ["make", "gallery", "PORT=0"],
        cwd=checkout.directory,
        env=checkout.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C ends it." in line:
                os.killpg(process.pid, signal.SIGINT)
    (why,) = [line for line in lines if line.startswith(f"{left_out.directory} | ")]
    assert re.search(r"LEFT OUT: Cassandra .*(make cassandra|openjdk-17)", why)
    assert EXAMPLES[0].title in "".join(lines)
    assert left_out.title not in "".join(lines)


def gallery(
    checkout: Checkout, variables: Mapping[str, str], examples: Sequence[Example]
) -> list[str]:
    """Run `make gallery`, visit each address that it prints, and Ctrl-C; their paths."""
    with on_a_terminal(
        *("make", "gallery", "PORT=0"),
        directory=checkout.directory,
        environment={**checkout.environment, **variables},
    ) as terminal:
        terminal.read(until="Ctrl-C ends it.")
        found = re.findall(
            r"^  (?:page|console|list|hello) +(http\S+)", terminal.text, re.MULTILINE
        )
        answers = [httpx.get(url, trust_env=False) for url in found]
        closed = [answer for answer in answers if answer.status_code != 200]
        # what acts for its visitors is not for those who are not signed in
        assert [answer.status_code for answer in closed] == [
            401 for example in examples if example.integrations
        ], terminal.text
        key = re.findall(r"Authorization: (Key \S+)'", terminal.text)[0]
        for answer in closed:
            me = httpx.get(f"{answer.url}me", headers={"Authorization": key}, trust_env=False)
            assert me.json()["username"] == "admin", me.text
        for example in examples:
            if any(map(missing, example.services)):
                assert f"{example.directory} | LEFT OUT: " in terminal.text
                continue
            assert example.title in terminal.text
            # none of what was said of it
            assert f"{example.directory} | " not in terminal.text
            assert re.search(rf"{example.directory} +live, ", plain(terminal.text))
        if not missing("valkey"):
            refresh(terminal.text)
        terminal.interrupt()
        terminal.read()
    assert "Traceback" not in terminal.text
    assert "Error" not in terminal.text.split("Ctrl-C ends it.")[1]
    assert terminal.status is not None
    # or by the signal
    assert terminal.status <= 0
    return [answer.request.url.path for answer in answers]


def refresh(printed: str) -> None:
    """Ask for fresh greetings, by the key that is printed; the worker beside does what it is to."""
    (console,) = re.findall(r"\(flask-celery-example\)\s+console +(\S+)", printed)
    key = re.findall(r"Authorization: (Key \S+)'", printed)[0]
    with httpx.Client(base_url=console, headers={"Authorization": key}, trust_env=False) as client:
        asked = client.post("refresh")
        assert asked.status_code == 202, asked.text
        deadline = time.monotonic() + PATIENCE
        while client.get(asked.headers["Location"]).json()["state"] != "done":
            assert time.monotonic() < deadline
            time.sleep(0.1)
