"""What the command line refuses before anything starts."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from local_connect.cli import _is_loopback, main
from local_connect.records.store import Store, User

pytestmark = pytest.mark.quick

USERS = """
[[users]]
username = "root"
user_role = "administrator"
"""


def refused(*arguments: str | Path) -> str:
    """What it says where it ends at once, and not well."""
    result: Result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (1, 2), result.output
    return result.output


def test_an_export_that_cannot_be_says_why(tmp_path: Path) -> None:
    data, full = tmp_path / "data", tmp_path / "full"
    for directory in (data, full):
        directory.mkdir()
    (full / "mine.txt").touch()
    assert "There is no data in" in refused("--data", data, "export", tmp_path / "new")
    (data / "local-connect.db").touch()
    assert "has something in it already" in refused("--data", data, "export", full)
    assert "is of another local-connect" in refused("--data", data, "export", tmp_path / "new")
    assert "local-connect export DIR" in refused("--data", data, "export")


def test_an_export_says_what_it_leaves_out(store: Store, tmp_path: Path) -> None:
    with store.session() as session:
        session.add(User(username="eve", user_role="publisher", locked=True))
    arguments = ["--data", str(store.data), "export", str(tmp_path / "seed")]
    result: Result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "Left out: the user eve, who is locked." in result.output
    # there are none
    assert "the values of environment variables" not in result.output


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        *(("localhost", True), ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True)),
        *(("192.0.2.1", False), ("::", False), ("my-machine", False)),
    ],
)
def test_who_can_reach_it_is_told_by_the_host(host: str, is_loopback: bool) -> None:
    assert _is_loopback(host) is is_loopback


def test_two_users_files_are_refused_with_both_names(tmp_path: Path) -> None:
    seed, other = tmp_path / "seed", tmp_path / "people.toml"
    seed.mkdir()
    for file in (seed / "users.toml", other):
        file.write_text(USERS, "utf-8")
    said = refused("--data", tmp_path / "data", "--seed", seed, "--users", other)
    assert str(seed / "users.toml") in said
    assert str(other) in said
    assert not (tmp_path / "data").exists()


def test_a_seed_that_is_wrong_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "seed.toml").write_text("[nowhere]", "utf-8")
    said = refused("--data", tmp_path / "data", "--seed", tmp_path)
    assert "[nowhere]: there is no directory" in said
    assert not (tmp_path / "data").exists()
