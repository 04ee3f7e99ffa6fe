"""What `make coverage` does not count has its reason, in pyproject.toml or at its line."""

import re
import tomllib
from fnmatch import fnmatch

import pytest

from tests.catalogue import ROOT

pytestmark = pytest.mark.quick

PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
REPORT = tomllib.loads(PROJECT)["tool"]["coverage"]["report"]
MODULES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8").splitlines()
    for name in ("local_connect", "scripts")
    for path in (ROOT / name).rglob("*.py")
}


def test_each_pattern_is_of_a_line_that_is_there() -> None:
    lines = [line for module in MODULES.values() for line in module]
    for pattern in REPORT["exclude_also"]:
        assert [line for line in lines if re.search(pattern, line)], pattern


def test_each_file_is_there() -> None:
    for pattern in REPORT["omit"]:
        assert [module for module in MODULES if fnmatch(f"/{module}", pattern)], pattern


@pytest.mark.parametrize("setting", ["exclude_also", "omit"])
def test_each_has_its_reason_above_it(setting: str) -> None:
    listed = PROJECT.partition(f"\n{setting} = [\n    # ")[2].partition("\n]")[0].splitlines()
    reasons, entries = ["    # " + listed[0], *listed[2::2]], listed[1::2]
    assert len(entries) == len(REPORT[setting])
    assert all(re.match("    # [a-zA-Z]", reason) for reason in reasons)


def test_each_line_says_why() -> None:
    for file, lines in MODULES.items():
        for number, line in enumerate(lines, 1):
            if "pragma:" in line:
                reason = re.search(r"  # pragma: no (cover|branch) \([a-z0-9].+\)$", line, re.I)
                assert reason, f"{file}:{number}"
