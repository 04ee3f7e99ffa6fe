"""How far a run is, and about how long it takes yet: `--progress`, as `make test` asks for it.

One line in place on a terminal, and one every half minute elsewhere. What fails is named at once.
"""

import time

import pytest

#: seconds between two lines, on a terminal and elsewhere
EVERY = {True: 0.5, False: 30.0}

#: where pytest keeps how long each test took when it last ran
KEY = "gallery/durations"


class Progress:
    """What is known of the run, by the times that the tests took the last time."""

    def __init__(self, seconds_last_time: dict[str, float]) -> None:
        self.seconds_last_time = seconds_last_time
        self.seconds: dict[str, float] = {}
        self.tests: set[str] = set()
        self.done: set[str] = set()
        self.failed = 0

    def expected(self, tests: set[str]) -> float:
        """How long these take one after the other; new ones as long as the others on average."""
        known = [self.seconds_last_time[test] for test in tests if test in self.seconds_last_time]
        usual = sum(self.seconds_last_time.values()) / (len(self.seconds_last_time) or 1)
        return sum(known) + (len(tests) - len(known)) * (usual or 1)

    def line(self, elapsed: float) -> str:
        """Such as `41% of 6,418 tests, 1 failed, about 4 min left`."""
        work = self.expected(self.tests)
        part = self.expected(self.done) / work if work else 1.0
        failed = f", {self.failed} failed" if self.failed else ""
        # the very first tests say little
        left = f", about {duration(elapsed / part - elapsed)} left" if part > 0.01 else ""
        return f"{part:4.0%} of {len(self.tests):,} tests{failed}{left}"


def duration(seconds: float) -> str:
    """In minutes, or in tens of seconds where there are less than two."""
    return f"{seconds / 60:.0f} min" if seconds > 115 else f"{max(1, round(seconds / 10)) * 10} s"


class Plugin:
    """Counts the reports, and writes the line."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.progress = Progress(config.cache.get(KEY, {}))
        self.began = self.wrote = time.monotonic()

    @property
    def reporter(self) -> pytest.TerminalReporter:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        assert isinstance(reporter, pytest.TerminalReporter)
        return reporter

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.progress.tests.update(item.nodeid for item in session.items)
        self.began = self.wrote = time.monotonic()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.progress.tests.update(ids)
        self.began = self.wrote = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No letters: the line says how many passed and failed, the summary what was not run."""
        if hasattr(report, "wasxfail"):
            return None
        if report.passed and report.when != "call":
            return "", "", ""
        category = "error" if report.failed and report.when != "call" else report.outcome
        return category, "", category.upper()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = report.nodeid
        self.progress.seconds[test] = self.progress.seconds.get(test, 0) + report.duration
        if report.failed:
            self.progress.failed += 1
            self.clear()
            self.reporter.write_line(f"FAILED {test}", red=True)
        if report.when == "teardown":
            self.progress.done.add(test)
            now = time.monotonic()
            if now - self.wrote >= EVERY[bool(self.reporter.isatty)]:
                self.wrote = now
                self.write(self.progress.line(now - self.began))

    def write(self, line: str) -> None:
        if self.reporter.isatty:
            self.reporter.rewrite(line, erase=True)
            self.reporter.flush()
        else:
            self.reporter.write_line(line)

    def clear(self) -> None:
        if self.reporter.isatty:
            self.reporter.rewrite("", erase=True)
            self.reporter.write("\r")

    def pytest_sessionfinish(self) -> None:
        self.clear()
        known = self.progress.seconds_last_time | {
            test: round(seconds, 3) for test, seconds in self.progress.seconds.items()
        }
        self.config.cache.set(KEY, known)
