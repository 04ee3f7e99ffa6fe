"""Posit's own checks of an installation (VIP), for Connect, against a local-connect of their own.

    python -m scripts.vip

Fails where a check does not pass that vip.toml beside this does not name, and where one passes, or
is gone, that it does name. VIP is installed by uv in an environment of its own, as it pins much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from local_connect.testing import LocalConnect

LIST = Path(__file__).with_suffix(".toml")

#: as many users at a time as one person's clients, tests and pages may be
CONFIGURATION = """
[general]
deployment_name = "local-connect"

[connect]
url = "{url}"
version = "{version}"

[workbench]
enabled = false

[package_manager]
enabled = false

[runtimes]
python_versions = {pythons}

[performance]
load_user_counts = [10, 100]
"""


def main() -> None:  # pragma: no cover (make vip runs it)
    listed = tomllib.loads(LIST.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as name, LocalConnect(Path(name) / "data") as server:
        found = verify(server, Path(name), listed["release"])
    passed = sum(outcome == "passed" for outcome in found.values())
    print(f"\nVIP {listed['release']}: {passed} checks passed; not run, or not for local-connect:")
    for check, why in listed["not_run"].items():
        print(f"  {check}: {why}")
    if problems := list(compare(found, listed["not_run"])):
        sys.exit("\n".join(("", *problems)))


def verify(
    server: LocalConnect, directory: Path, release: str
) -> dict[str, str]:  # pragma: no cover (make vip runs it)
    """Run VIP as the server's administrator, in `directory`; the outcome of each of its checks."""

    def ask(path: str) -> Any:
        return server.request("GET", f"/__api__/{path}", as_user=server.administrator).json()

    configuration = directory / "vip.toml"
    configuration.write_text(
        CONFIGURATION.format(
            url=server.url,
            version=ask("server_settings")["version"],
            pythons=json.dumps(
                [
                    installation["version"]
                    for installation in ask("v1/server_settings/python")["installations"]
                ]
            ),
        ),
        "utf-8",
    )
    subprocess.run(
        [
            *(find_uv_bin(), "tool", "run", "--quiet", "--python", sys.executable),
            *("--from", f"posit-vip=={release}", "vip", "verify"),
            *("--config", str(configuration), "--no-interactive-auth", "--performance-tests"),
        ],
        cwd=directory,
        env={
            **os.environ,
            "VIP_CONNECT_API_KEY": server.users[server.administrator].api_key,
            # who is to be in the list of users; nothing signs in with the password
            "VIP_TEST_USERNAME": server.administrator,
            "VIP_TEST_PASSWORD": "none",
        },
        stdin=subprocess.DEVNULL,
        check=False,
    )
    report = directory / "report" / "results.json"
    if not report.exists():
        sys.exit("VIP has not come to its checks; what it printed says why.")
    return outcomes(json.loads(report.read_text("utf-8")))


def outcomes(report: Mapping[str, Any]) -> dict[str, str]:
    """Whether each check of a report `passed`, `failed` or was `skipped`, by its name in VIP."""
    return {
        result["nodeid"].rpartition("vip_tests/")[2]: result["outcome"]
        for result in report["results"]
    }


def compare(outcomes: Mapping[str, str], not_run: Mapping[str, str]) -> Iterator[str]:
    """What is wrong, a sentence each."""
    for check, outcome in outcomes.items():
        if outcome != "passed" and check not in not_run:
            yield f"{check} {outcome}, and {LIST.name} does not say why it may."
        if outcome == "passed" and check in not_run:
            yield f"{check} passed: it can go from {LIST.name}."
    for check in not_run:
        if check not in outcomes:
            yield f"{check} is not in VIP any more: it can go from {LIST.name}."


if __name__ == "__main__":
    main()
