"""The manifests, by which Connect publishes each example from git.

That each of them deploys, the contract shows: it is by its manifest that a local Connect of the
tests has an example.
"""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.catalogue import EXAMPLES, ROOT, Example
from tests.project.conftest import Checkout, copy_of_checkout
from tests.repositories import commit, git, new_repository
from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect


def tracked(example: Example) -> set[str]:
    """What git has of the example, less hidden files, which are of no use to a server."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=example.path,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.splitlines() if not name.startswith(".")}


def test_manifests_are_those_that_rsconnect_writes_anywhere(checkout: Checkout) -> None:
    for example in EXAMPLES:
        directory = checkout.directory / example.directory
        (directory / "manifest.json").write_text("{}", "utf-8")
        (directory / ".env").write_text("SECRET=1", "utf-8")
        (directory / "__pycache__").mkdir()
    done = checkout.run("make", "manifests", LC_ALL="C")
    assert done.returncode == 0, done.stdout
    for example in EXAMPLES:
        manifest = Path(example.directory, "manifest.json")
        assert (checkout.directory / manifest).read_bytes() == (ROOT / manifest).read_bytes(), (
            f"{manifest} is not up to date: make manifests"
        )


def test_a_manifest_lists_what_git_does(example: Example) -> None:
    manifest = json.loads((example.path / "manifest.json").read_text("utf-8"))
    assert set(manifest["files"]) == tracked(example) - {"manifest.json"}
    for name, about in manifest["files"].items():
        content = (example.path / name).read_bytes()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == about["checksum"], name
    assert manifest["metadata"] == {"appmode": "python-api", "entrypoint": example.entrypoint}
    assert manifest["environment"] == {"python": {"requires": ">=3.11"}}


def test_make_manifests_wants_to_know_the_python(checkout: Checkout) -> None:
    project = checkout.directory / EXAMPLES[0].directory / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace("requires-python", "#"), "utf-8")
    done = checkout.run("make", "manifests")
    assert done.returncode != 0
    assert f"{EXAMPLES[0].directory}/pyproject.toml must say which Python it needs" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that holds what this one does, at the branch `main`."""
    directory = new_repository(tmp_path_factory.mktemp("git") / "gallery")
    copy_of_checkout(directory)
    commit(directory, {})
    return directory


def test_publish_from_git(
    server: LocalConnect, example: Example, repository: Path, tmp_path: Path
) -> None:
    done = rsconnect(
        *("deploy", "git", "--quiet", "--repository", f"file://{repository}"),
        *("--subdirectory", example.directory),
        home=tmp_path / "home",
        environment={
            "CONNECT_SERVER": server.url,
            "CONNECT_API_KEY": server.users["admin"].api_key,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    path = done.stdout.strip().removeprefix(server.url)
    answer = server.get(path + example.paths[0], user="admin")
    # what stands on a service is live without it, and says that it is away
    assert answer.status_code == 200 or (example.services and answer.status_code == 503)
    bundles = server.get(f"/__api__/v1{path}bundles", user="admin").json()
    assert bundles[0]["metadata"]["source_commit"] == git(repository, "rev-parse", "main")
