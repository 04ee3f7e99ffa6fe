"""Each skip is decided in every run by what the machine has, so that none outlives its reason."""

import ast

from tests.catalogue import ROOT

#: where tests may be skipped, and what they look for in each run
DECIDED_IN_EACH_RUN = {
    "tests/examples/cassandra/test_cluster.py": "loopback addresses of their own",
    "tests/examples/celery/test_machines.py": "networks of their own",
    "tests/examples/react/test_pooler.py": "PgBouncer on the machine",
    "tests/examples/react/conftest.py": "Node.js on the machine",
    "tests/content/test_mounts.py": "whether a Python is too new for releases of 2023",
    "tests/conftest.py": "a browser on the machine, and the services of the examples",
    "tests/project/test_commands.py": "curl on the machine",
    "tests/project/test_pictures.py": "fontconfig on the machine",
    "tests/targets/connect.py": "content that is open to everyone",
}

SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def test_every_skip_is_decided_in_each_run() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.glob("tests/**/*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in SKIPS
    }
    assert found == set(DECIDED_IN_EACH_RUN), "say above what the new one looks for, if anything"
