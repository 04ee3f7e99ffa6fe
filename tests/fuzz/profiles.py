"""Hypothesis's profiles of the fuzz tests, and the line that says how many inputs were judged.

Every test has a number of its own, for the profile `full`: new inputs each time, 10,000 in all.
The profile `default`, for `make test`, makes a twentieth of them, the same inputs each time, so
that a change is not refused for what another brought. `long` makes ten times as many.
`make fuzz` asks for `full`, `make fuzz FUZZ_PROFILE=long` for more.
"""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

#: by test; counted where an input has been judged
JUDGED: Counter[str] = Counter()

_EXAMPLES = 100

settings.register_profile(
    "full",
    max_examples=_EXAMPLES,
    # a server on a busy machine may take its time
    deadline=None,
    # new inputs each time, also where CI is set
    derandomize=False,
    print_blob=True,
    # bundles are big, and building one may take longer than judging one number would
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
)
settings.register_profile(
    "default",
    settings.get_profile("full"),
    max_examples=_EXAMPLES // 20,
    derandomize=True,
    database=None,
)
settings.register_profile("long", settings.get_profile("full"), max_examples=10 * _EXAMPLES)
if settings.get_current_profile_name() in ("default", "ci"):
    # nobody has asked for another
    settings.load_profile(os.environ.get("FUZZ_PROFILE", "default"))


def max_examples(number: int) -> settings:
    """Settings of a test with so many inputs in `full`, and in other profiles in proportion."""
    profile = settings.get_profile(settings.get_current_profile_name())
    return settings(profile, max_examples=number * profile.max_examples // _EXAMPLES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many inputs were judged in all."""
    judged = {
        report.nodeid: number
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, number in report.user_properties
        if name == "inputs" and isinstance(number, int)
    }
    if judged:
        terminalreporter.write_sep("-", "fuzz")
        for test, number in judged.items():
            terminalreporter.write_line(f"{number:7,} inputs  {test}")
        terminalreporter.write_line(f"{sum(judged.values()):7,} inputs in all")
