"""Commands of rsconnect besides those that deploy a directory or ask for content."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.catalogue import ROOT
from tests.deployed import Content, Person
from tests.rsconnect_cli import RSCONNECT, rsconnect

#: kinds of content that are no Python APIs, and what is for other servers
OF_OTHERS = {
    *("deploy bokeh", "deploy dash", "deploy gradio", "deploy html", "deploy nodejs"),
    *("deploy notebook", "deploy other-content", "deploy panel", "deploy quarto", "deploy shiny"),
    *("deploy streamlit", "deploy tensorflow", "deploy voila"),
    *("content migrate-to-connect-cloud", "version"),
}

#: rsconnect makes environments by the uv that it brings, if that is on the PATH
WITH_UV = {"PATH": f"{RSCONNECT.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def test_quickstart_and_deploy_pyproject(alice: Person, tmp_path: Path) -> None:
    made = alice.rsconnect("quickstart", "flask", "quick", environment=WITH_UV, directory=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "rsconnect deploy pyproject ." in made.stdout
    content = alice.deploy("pyproject", tmp_path / "quick", environment=WITH_UV)
    assert content.item["title"] == "quick"
    assert alice.server.get(content.path).status_code == 200


def test_content_venv(alice: Person, published: Content, tmp_path: Path) -> None:
    directory = tmp_path / "environment"
    options = ("--guid", published.guid)
    done = alice.rsconnect("content", "venv", *options, directory, environment=WITH_UV)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [RSCONNECT.with_name("uv"), "pip", "freeze", "--python", directory],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert listed.splitlines() == alice.server.get(f"{published.api}/lockfile").text.splitlines()


def test_deploy_flask_and_info(alice: Person, app: Path) -> None:
    content = alice.deploy("flask", "--entrypoint", "app:app", app)
    assert content.item["app_mode"] == "python-api"
    assert content.version == "one"
    shown = alice.rsconnect("info", app)
    assert f"App GUID:    {content.guid}" in shown.stdout


def test_no_environments_and_no_login(alice: Person) -> None:
    listed = alice.rsconnect("environment", "list")
    assert (listed.returncode, listed.stdout) == (0, "No environments found.\n")
    refused = alice.rsconnect("login", "--server", alice.server.url, "--use-device-code")
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1
    assert f"Server at {alice.server.url} does not support OAuth 2.1" in said
    assert "Traceback" not in said


def test_the_manual_has_every_command(tmp_path: Path) -> None:
    def commands(group: str) -> set[str]:
        shown = rsconnect(*group.split(), "--help", home=tmp_path).stdout
        listing = shown.partition("\nCommands:\n")[2]
        return {f"{group} {name}".strip() for name in re.findall(r"^  ([a-z-]+) ", listing, re.M)}

    groups = {"deploy", "content", "environment", "system"}
    with ThreadPoolExecutor(2) as pool:
        there = set[str]().union(*pool.map(commands, ["", *groups])) - OF_OTHERS - groups
    manual = (ROOT / "docs" / "connect-api.md").read_text("utf-8")
    section = manual.partition("## Which commands of rsconnect work")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+) \|.+\|$", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(.+?)`", row)} - groups == there
