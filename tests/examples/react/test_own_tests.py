"""The tests that the example brings along, on both databases."""

from tests.examples.react.conftest import Database


def test_they_pass(empty_database: Database) -> None:
    done = empty_database.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py")
    assert done.returncode == 0, done.stdout
