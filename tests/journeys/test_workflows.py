"""The workflows, of this repository and the one that is written down for others, step by step."""

import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.release import Unfit, notes
from tests.catalogue import ROOT
from tests.newcomers import Newcomer
from tests.project.conftest import Checkout
from tests.publishing import create
from tests.servers import running_server

OURS = ROOT / ".github" / "workflows" / "ci.yml"
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
THEIRS = ROOT / "docs" / "github-actions.md"

#: the only code of others that a workflow runs
ACTIONS = {"actions/checkout", "actions/setup-python"}

TEST = """\
def test_hello(local_connect):
    assert local_connect.deploy("my-api").get("hello").json() == {"hello": "alice"}
"""

Json = dict[Any, Any]

VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def ours() -> Json:
    return parsed(OURS.read_text("utf-8"))


def theirs() -> Json:
    (block,) = re.findall(r"(?:^    .*\n|^\n(?=    ))+", THEIRS.read_text("utf-8"), re.MULTILINE)
    return parsed(textwrap.dedent(block))


def parsed(text: str) -> Json:
    workflow: Json = yaml.safe_load(text)
    return workflow


def steps(job: Json) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(
    ("workflow", "version"),
    [(ours(), r"[0-9a-f]{40}"), (theirs(), r"v\d+")],
    ids=["ours", "theirs"],
)
def test_what_a_workflow_may(workflow: Json, version: str) -> None:
    # YAML 1.1 reads the key "on" as true
    assert set(workflow) == {"name", True, "permissions", "jobs"}
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"push", "pull_request"}
    for job in workflow["jobs"].values():
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert {action.partition("@")[0] for action in used} == ACTIONS
        assert all(re.search(rf"@{version}$", action) for action in used)
        for step in job["steps"]:
            assert len(set(step) & {"uses", "run"}) == 1


@pytest.mark.quick
def test_only_the_job_that_publishes_may_and_it_runs_nothing_of_ours() -> None:
    release = parsed(RELEASE.read_text("utf-8"))
    assert release["permissions"] == {}
    assert release[True] == {"push": {"tags": ["v*"]}}
    permissions = {name: job["permissions"] for name, job in release["jobs"].items()}
    assert permissions == {
        "build": {"contents": "read"},
        "publish": {"id-token": "write"},
        "announce": {"contents": "write"},
    }
    assert release["jobs"]["publish"]["needs"] == "build"
    assert steps(release["jobs"]["publish"]) == []
    for job in release["jobs"].values():
        assert all(
            re.search(r"@[0-9a-f]{40}$", step["uses"]) for step in job["steps"] if "uses" in step
        )


@pytest.mark.quick
def test_a_release_has_the_version_and_the_notes_of_its_tag() -> None:
    text = "# Changelog\n\n## Unreleased\n\n- Next.\n\n## 1.2.0 (2026-12-01)\n\n- New.\n\n## 1.1.0"
    assert notes("v1.2.0", "1.2.0", text) == "- New.\n"
    for tag, version, says in (
        ("v1.3.0", "1.2.0", "the tag is v1.2.0, not 'v1.3.0'"),
        ("v1.1.0", "1.1.0", "nothing below a heading such as '## 1.1.0 ("),
        ("v1.3.0", "1.3.0", "nothing below a heading such as '## 1.3.0 ("),
    ):
        with pytest.raises(Unfit, match=re.escape(says)):
            notes(tag, version, text)


@pytest.mark.quick
def test_what_is_to_be_released_next_is_described() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert changelog.startswith("# Changelog\n\n## Unreleased\n")
    assert notes(f"v{VERSION}", VERSION, changelog)


def test_our_workflow_runs_what_ci_runs_before_a_merge(tmp_path: Path) -> None:
    directory = tmp_path / "checkout"
    directory.mkdir()
    checkout = Checkout(directory)
    made = [step for job in ours()["jobs"].values() for step in steps(job)]
    # what the runner lacks; the gate installs it by itself
    made = [step for step in made if not step.startswith("sudo ")]
    gate = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    commands = [line for line in gate if line.startswith(("make ", ".ci/"))]
    assert made[: len(commands)] == commands
    # what is tested there besides, in place of the checkout
    assert [step.split()[1] for step in made[len(commands) :]] == ["test-wheel", "test-lowest"]
    for step in made:
        if step.startswith("make test "):
            # what it requires of its machine, this one may lack
            required = step.replace(" --require-all", "")
            assert required != step
            narrow = required.replace('"-q', '"-q -k links tests/project/test_docs.py', 1)
            done = checkout.run("sh", "-c", narrow)
            assert done.returncode == 0, done.stdout
            assert "1 passed" in done.stdout
        else:
            done = checkout.run("sh", "-c", f"{step} --dry-run")
            assert done.returncode == 0, done.stdout


def test_theirs_step_by_step(newcomer: Newcomer) -> None:
    """All but the installation, which the newcomer has behind them."""
    jobs = theirs()["jobs"]
    newcomer.write("test_api.py", TEST)
    install, *rest = steps(jobs["test"])
    assert install == "pip install './gallery[pytest]'"
    for step in rest:
        done = newcomer.run("sh", "-c", step)
        assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout

    install, deploy = steps(jobs["deploy"])
    assert install == "pip install rsconnect-python"
    with running_server(newcomer.directory.with_name("connect")) as server:
        content = create(server)
        values = {
            "vars.CONNECT_SERVER": server.url,
            "secrets.CONNECT_API_KEY": server.users["alice"].api_key,
            "vars.CONTENT_GUID": content.guid,
        }
        exports = "".join(f"export {key}={value}; " for key, value in jobs["deploy"]["env"].items())
        filled = re.sub(r"\$\{\{ (\S+) \}\}", lambda match: values[match[1]], exports + deploy)
        done = newcomer.run("sh", "-c", filled)
        assert done.returncode == 0, done.stdout
        assert [bundle["active"] for bundle in content.bundles] == [True]
        assert len(server.get("/__api__/v1/content", user="admin").json()) == 1
