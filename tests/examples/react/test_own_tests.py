"""The tests that the example brings along, on PostgreSQL, too."""

from pathlib import Path

import pytest

from tests.beside import Services
from tests.examples.react.conftest import Database


@pytest.mark.services("postgres")
def test_they_pass(services: Services, python: Path) -> None:
    database = Database(services.variables("postgres")["DATABASE_URL"], python)
    done = database.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py")
    assert done.returncode == 0, done.stdout
