"""The tests that travel with an example pass in an example made from it, as its README says."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.catalogue import EXAMPLES, Example
from tests.project.conftest import Checkout
from tests.targets.environments import environment

#: what would reach a service that somebody uses, or pytest's own run here
NOT_INHERITED = ("PYTEST_", "CASSANDRA_", "ASTRA_", "REDIS_", "DATABASE_", "FLASK_", "GREETINGS_")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("gallery") / "checkout")


@pytest.mark.parametrize("one", EXAMPLES, ids=lambda example: example.directory)
def test_the_tests_that_travel_with_an_example(
    one: Example, gallery: Checkout, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """In an environment with no more than the README installs, and with no service at all."""
    name = f"another-{one.directory}"
    made = gallery.run("make", "new", f"NAME={name}", f"FROM={one.directory}")
    assert made.returncode == 0, made.stdout
    directory = gallery.directory / name
    for file, number, line in re.findall(r"^  (\S+):(\d+)  (.+)$", made.stdout, re.MULTILINE):
        text = (gallery.directory / file).read_text("utf-8")
        assert text.splitlines()[int(number) - 1] == line
    said = re.findall(r"^  (\S+):", made.stdout, re.MULTILINE)
    assert [Path(file).name for file in (said[0], said[1], said[3])] == [
        "gallery.toml",
        "README.md",
        "test_app.py",
    ]
    style = gallery.run(".venv/bin/ruff", "check", "--no-cache", name)
    assert style.returncode == 0, style.stdout

    (more,) = re.findall(
        r"^    \.venv/bin/pip install (pytest.*)\n    \.venv/bin/pytest$",
        (directory / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    requirements = tmp_path / "requirements.txt"
    wanted = (directory / "requirements.txt").read_text("utf-8")
    requirements.write_text("\n".join([wanted, *more.split()]) + "\n", "utf-8")
    python = environment(requirements, Path(pytestconfig.cache.mkdir("environments")))

    done = subprocess.run(
        [python.with_name("pytest"), "-q", "-p", "no:cacheprovider"],
        cwd=directory,
        env={
            name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.MULTILINE), done.stdout
