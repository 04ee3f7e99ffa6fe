"""What a run of the tests says of itself: how far it is, what was not run, what is not allowed."""

import re
from collections import Counter
from typing import Literal

import pytest

from tests import not_run
from tests.progress import Progress, duration
from tests.project.conftest import Checkout

MISSING = "No browser. What brings it: make browser"


@pytest.mark.quick
def test_how_long_it_takes_yet_by_the_times_of_the_last_run() -> None:
    progress = Progress({"slow": 90.0, "quick": 10.0})
    progress.tests = {"slow", "quick"}
    assert progress.line(elapsed=1) == "  0% of 2 tests"
    progress.done = {"quick"}
    progress.failed = 1
    assert progress.line(elapsed=20) == " 10% of 2 tests, 1 failed, about 3 min left"
    # of a new one it is thought that it takes what the others do
    progress.tests.add("new")
    progress.done.add("slow")
    assert progress.line(elapsed=200) == " 67% of 3 tests, 1 failed, about 100 s left"


@pytest.mark.quick
def test_the_first_run_counts() -> None:
    progress = Progress({})
    progress.tests, progress.done = {"a", "b", "c", "d"}, {"a"}
    assert progress.line(elapsed=10) == " 25% of 4 tests, about 30 s left"


@pytest.mark.quick
def test_durations_are_round() -> None:
    assert [duration(seconds) for seconds in (0, 14, 115, 116, 600)] == [
        *("10 s", "10 s", "120 s", "2 min", "10 min"),
    ]


def report(
    outcome: Literal["passed", "skipped"], longrepr: tuple[str, int, str] | None = None
) -> pytest.TestReport:
    return pytest.TestReport("test_it", ("", 0, ""), {}, outcome, longrepr, "call")


@pytest.mark.quick
def test_what_was_not_run_is_counted_by_reason() -> None:
    skipped = report("skipped", ("test_it.py", 1, f"Skipped: {MISSING}"))
    reasons = Counter([not_run.reason(skipped)] * 12 + ["Another"])
    assert list(not_run.summary(reasons)) == [f"   12 tests: {MISSING}", "    1 test:  Another"]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("required", "allowed", "outcome"),
    [(True, {}, "failed"), (True, {MISSING: "why"}, "skipped"), (False, {}, "skipped")],
)
def test_a_skip_fails_where_all_is_required_unless_it_is_allowed(
    required: bool, allowed: dict[str, str], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(not_run, "ALLOWED", allowed)
    skipped = report("skipped", ("test_it.py", 1, f"Skipped: {MISSING}"))
    assert not_run.judged(skipped, required=required).outcome == outcome
    if outcome == "failed":
        assert skipped.longrepr == f"--require-all: {MISSING}"
    assert not_run.judged(report("passed"), required=required).outcome == "passed"


@pytest.mark.quick
def test_what_is_allowed_and_does_not_occur_is_stale() -> None:
    assert not_run.stale({MISSING: "why", "Another": "why"}, [MISSING]) == ["Another"]


def test_a_machine_without_anything_says_what_it_did_not_run(checkout: Checkout) -> None:
    pictures = "tests/project/test_pictures.py"
    pytest_ = checkout.directory / ".venv" / "bin" / "pytest"
    options = ("-q", "-p", "no:cacheprovider")
    done = checkout.run(str(pytest_), *options, pictures, PATH="")
    assert done.returncode == 0, done.stdout
    (number, why) = re.findall(r"^ +(\d+) tests?: +(fontconfig.*)$", done.stdout, re.MULTILINE)[0]
    assert number == "1"
    assert why == "fontconfig is not installed. What brings it: install fontconfig"

    done = checkout.run(str(pytest_), *options, "--require-all", pictures, PATH="")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--require-all: " in done.stdout
    assert "Neither Chromium nor Chrome is installed. What brings it: " in done.stdout
