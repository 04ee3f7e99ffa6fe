"""How what VIP reports is held against the list of what it does not run here."""

import tomllib

import pytest

from scripts import vip

pytestmark = pytest.mark.quick


def test_checks_by_the_names_that_they_have_in_vip() -> None:
    report = {
        "results": [
            {"nodeid": "/x/vip_tests/connect/test_a.py::test_b[C]", "outcome": "passed"},
            {"nodeid": "connect/test_a.py::test_d", "outcome": "skipped"},
        ]
    }
    assert vip.outcomes(report) == {
        "connect/test_a.py::test_b[C]": "passed",
        "connect/test_a.py::test_d": "skipped",
    }


@pytest.mark.parametrize(
    ("outcome", "listed", "says"),
    [
        ("passed", {}, ""),
        ("failed", {"check": "no R"}, ""),
        ("skipped", {"check": "no R"}, ""),
        ("failed", {}, "check failed, and vip.toml does not say why it may."),
        ("skipped", {}, "check skipped, and vip.toml does not say why it may."),
        ("passed", {"check": "no R"}, "check passed: it can go from vip.toml."),
        (None, {"check": "no R"}, "check is not in VIP any more: it can go from vip.toml."),
    ],
)
def test_the_list_is_held_to(outcome: str | None, listed: dict[str, str], says: str) -> None:
    outcomes = {"other": "passed"} | ({"check": outcome} if outcome else {})
    assert list(vip.compare(outcomes, listed)) == ([says] if says else [])


def test_the_list_gives_reasons() -> None:
    listed = tomllib.loads(vip.LIST.read_text("utf-8"))
    assert listed["release"]
    assert all(why.strip() for why in listed["not_run"].values())
