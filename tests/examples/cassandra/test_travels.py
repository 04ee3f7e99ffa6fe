"""The tests that travel with the example, run as its README says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples.cassandra.conftest import EXAMPLE
from tests.targets.environments import environment


def test_what_travels_with_the_example_passes(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """In an environment with no more than its requirements and pytest, and without a Cassandra."""
    copy = shutil.copytree(
        EXAMPLE.path, tmp_path / EXAMPLE.directory, ignore=shutil.ignore_patterns("__pycache__")
    )
    requirements = tmp_path / "requirements.txt"
    wanted = (EXAMPLE.path / "requirements.txt").read_text("utf-8")
    requirements.write_text(f"{wanted}pytest\n", "utf-8")
    cache = Path(pytestconfig.cache.mkdir("environments"))
    python = environment(requirements, cache)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "CASSANDRA_", "ASTRA_"))
    }
    done = subprocess.run(
        [python.with_name("pytest"), "-q"],
        cwd=copy,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "failed" not in done.stdout
