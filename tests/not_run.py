"""What was not run on this machine, and what brings it: the last lines of a run.

With `--require-all` what is not run fails, unless it is allowed below.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Mapping

import pytest

#: reasons that a skip may have on a machine with everything, each with why that is so
ALLOWED: Mapping[str, str] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    if not reports:
        return
    terminalreporter.section("not run on this machine", sep="-")
    for line in summary(Counter(reason(report) for report in reports)):
        terminalreporter.write_line(line)


def summary(numbers: Counter[str]) -> Iterable[str]:
    """A line for each reason: how many tests, why, and what brings it."""
    for why, number in numbers.most_common():
        yield f"{number:5,} {'test: ' if number == 1 else 'tests:'} {why}"


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped."""
    # path, line and reason; a list where a worker of pytest-xdist sent it
    assert isinstance(report.longrepr, tuple | list)
    return str(report.longrepr[2]).removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return judged(report, required=item.config.getoption("require_all"))


def judged(report: pytest.TestReport, *, required: bool) -> pytest.TestReport:
    """The report, failed where all is required and it was skipped for what is not allowed."""
    if required and report.skipped and not hasattr(report, "wasxfail"):
        why = reason(report)
        if why not in ALLOWED:
            report.outcome = "failed"
            report.longrepr = f"--require-all: {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    config = session.config
    whole = not (config.option.file_or_dir or config.option.keyword or config.option.markexpr)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if config.getoption("require_all") and whole and isinstance(reporter, pytest.TerminalReporter):
        given = {reason(report) for report in reporter.stats.get("skipped", [])}
        for why in stale(ALLOWED, given):
            reporter.write_line(f"tests/not_run.py allows what nothing is skipped for: {why}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def stale(allowed: Iterable[str], given: Iterable[str]) -> list[str]:
    """What is allowed and did not occur."""
    return sorted(set(allowed) - set(given))
