"""A skip must not outlive its reason: each is decided anew, from what is there, in every run."""

import ast

from tests.catalogue import ROOT

#: where a test may be skipped: no browser on the machine, content that is not open to everyone
DECIDED_IN_EACH_RUN = {"tests/conftest.py", "tests/targets/connect.py"}

SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def test_no_skip_is_written_down() -> None:
    found = {
        str(path.relative_to(ROOT)): node.attr
        for path in ROOT.glob("tests/**/*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in SKIPS
    }
    assert found == dict.fromkeys(DECIDED_IN_EACH_RUN, "skip")
