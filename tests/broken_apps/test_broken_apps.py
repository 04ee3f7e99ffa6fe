"""The contract rejects every broken app, by the tests that are meant for it and by no others."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.catalogue import ROOT

HERE = Path(__file__).parent
EXAMPLES = tomllib.loads((ROOT / "gallery.toml").read_text("utf-8"))
FAULTS = tomllib.loads((HERE / "faults.toml").read_text("utf-8"))


@dataclass(frozen=True)
class Verdict:
    """What the contract says of one app: how many of its tests passed, and which did not."""

    passed: int
    rejected_by: set[str]


def verdicts(directory: Path) -> dict[str, Verdict]:
    """What the contract says of each app, from one run of it on all of them."""
    gallery = directory / "gallery.toml"
    for fault, about in FAULTS.items():
        assemble(directory / fault, fault, about["example"])
        with gallery.open("a", encoding="utf-8") as file:
            file.write(f"[{fault}]\n")
            for key, value in EXAMPLES[about["example"]].items():
                file.write(f"{key} = {json.dumps(value)}\n")
    report = directory / "report.xml"
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "--tb=line",
                "-p",
                "no:xdist",
                "-p",
                "no:lfplugin",
            ),
            *("--catalogue", gallery, "--target", "process", "--junitxml", report),
            *("-k", selection(), "tests/contract"),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return read(report)


def assemble(directory: Path, fault: str, example: str) -> None:
    """The example, as the module `sound`, and the app that breaks it."""
    ignored = shutil.ignore_patterns("__pycache__", "manifest.json")
    shutil.copytree(ROOT / example, directory, ignore=ignored)
    (directory / "app.py").rename(directory / "sound.py")
    shutil.copyfile(HERE / "apps" / f"{fault}.py", directory / "app.py")


def selection() -> str:
    """Every test that asks a running app, and only those that start one for an app meant for them.

    The former have the viewer's name in their ids. A start takes far longer than a question.
    """
    starts = (
        f"({fault} and {test})" for fault, about in FAULTS.items() for test in about["rejected_by"]
    )
    return " or ".join(["-alice", *starts])


def read(report: Path) -> dict[str, Verdict]:
    passed: dict[str, int] = defaultdict(int)
    rejected_by: dict[str, set[str]] = defaultdict(set)
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 (pytest's own)
        test, _, parameters = case.attrib["name"].partition("[")
        fault = next(fault for fault in FAULTS if fault in parameters.replace("]", "-").split("-"))
        if case.find("failure") is None and case.find("error") is None:
            passed[fault] += 1
        else:
            rejected_by[fault].add(test)
    return {fault: Verdict(passed[fault], rejected_by[fault]) for fault in FAULTS}


def test_every_app_has_a_fault() -> None:
    assert sorted(FAULTS) == sorted(file.stem for file in (HERE / "apps").glob("*.py"))


def test_rejected(tmp_path: Path) -> None:
    """All in one test, because one run of the contract is shared by all."""
    found = verdicts(tmp_path)
    wrongly = {
        fault: verdict.rejected_by
        for fault, verdict in found.items()
        if verdict.rejected_by != set(FAULTS[fault]["rejected_by"])
    }
    assert wrongly == {}
    # only what is broken is rejected
    assert min(verdict.passed for verdict in found.values()) > 10
