"""Lines that `make coverage` does not count are listed in pyproject.toml, each with its reason."""

import re
import tomllib

import pytest

from tests.catalogue import ROOT

pytestmark = pytest.mark.quick

PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
COVERAGE = tomllib.loads(PROJECT)["tool"]["coverage"]
PATTERNS = COVERAGE["report"]["exclude_also"]


def test_each_pattern_is_of_a_line_that_is_there() -> None:
    paths = (path for name in ("local_connect", "scripts") for path in (ROOT / name).rglob("*.py"))
    lines = [line for path in paths for line in path.read_text("utf-8").splitlines()]
    for pattern in PATTERNS:
        assert [line for line in lines if re.search(pattern, line)], pattern


def test_each_pattern_has_its_reason_above_it() -> None:
    listed = PROJECT.partition("exclude_also = [\n")[2].partition("\n]")[0].splitlines()
    reasons, patterns = listed[::2], listed[1::2]
    assert len(patterns) == len(PATTERNS)
    assert all(reason.startswith("    # ") for reason in reasons)
