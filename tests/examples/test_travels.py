"""The tests that travel with an example pass in a copy of its directory, as its README says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.catalogue import EXAMPLES, Example
from tests.targets.environments import environment

WITH_TESTS = [example for example in EXAMPLES if (example.path / "test_app.py").exists()]

#: what would reach a service that somebody uses, or pytest's own run here
NOT_INHERITED = ("PYTEST_", "CASSANDRA_", "ASTRA_", "REDIS_", "DATABASE_", "FLASK_", "GREETINGS_")


@pytest.mark.parametrize("one", WITH_TESTS, ids=lambda example: example.directory)
def test_the_tests_that_travel_with_an_example(
    one: Example, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """In an environment with no more than the README installs, and with no service at all."""
    copy = shutil.copytree(
        one.path,
        tmp_path / one.directory,
        ignore=shutil.ignore_patterns("__pycache__", "node_modules", "rsconnect-python"),
    )
    readme = (copy / "README.md").read_text("utf-8")
    (more,) = re.findall(
        r"^    \.venv/bin/pip install (pytest.*)\n    \.venv/bin/pytest$", readme, re.M
    )
    requirements = tmp_path / "requirements.txt"
    wanted = (copy / "requirements.txt").read_text("utf-8")
    requirements.write_text("\n".join([wanted, *more.split()]) + "\n", "utf-8")
    python = environment(requirements, Path(pytestconfig.cache.mkdir("environments")))

    done = subprocess.run(
        [python.with_name("pytest"), "-q", "-p", "no:cacheprovider"],
        cwd=copy,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.MULTILINE), done.stdout
