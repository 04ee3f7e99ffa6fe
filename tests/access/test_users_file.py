"""`--users FILE`: who there is, and what is said of a file that is wrong."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from local_connect.cli import main
from tests.access.conftest import ECHO, create, deploy, refusal, write_users
from tests.access.people import USERS
from tests.servers import LocalConnect, run, running_server

ROOT = '[[users]]\nusername = "root"\nuser_role = "administrator"\n'


def test_it_replaces_the_default_three(server: LocalConnect) -> None:
    assert set(server.users) == {
        *("admin", "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "Zoë <李>")
    }
    zoe = server.users["Zoë <李>"]
    assert zoe.user_role == "publisher"
    assert {"Редакция", '&c. "quoted"', "هيئة"} < set(zoe.groups)
    alice = server.get("/__api__/v1/user").json()
    assert (alice["first_name"], alice["last_name"]) == ("Alice", "Liddell")
    assert alice["email"] == "alice@example.com"
    # each is printed with their key
    for user in server.users.values():
        (line,) = (line for line in server.output.splitlines() if user.api_key in line)
        assert user.username in line
        assert user.user_role in line


def test_one_user_is_enough(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.toml", ROOT)
    with running_server(tmp_path / "data", "--users", str(users)) as server:
        assert set(server.users) == {"root"}


def test_all_ways_to_write_it(tmp_path: Path) -> None:
    users = write_users(
        tmp_path / "users.toml",
        "users = [\n"
        "  {username = 'root', user_role = 'administrator'},\n"
        "  {username = 'eve', user_role = 'viewer', groups = ['a', 'b', 'a'], email = ''},\n"
        "]\r\n",
    )
    with running_server(tmp_path / "data", "--users", str(users)) as server:
        assert set(server.users) == {"root", "eve"}
        assert server.users["eve"].groups == ["a", "b"]


MISTAKES = {
    "syntax": (ROOT + "[[users]]\nusername = eve\n", 5, "Invalid value"),
    "a string without an end": (ROOT + '[[users]]\nusername = "eve\n', 5, ""),
    "a list without an end": (ROOT + 'groups = ["staff"\n\n', 6, "the end"),
    "a key twice": (ROOT + 'username = "toor"\n', 4, ""),
    "a setting of the file": ('\nname = "users"\n' + ROOT, 2, "no setting name"),
    "a table": (ROOT + "\n[groups]\n", 5, "no setting groups"),
    "a table in place of a list": ('# me\n[users]\nusername = "root"\n', 2, "[[users]]"),
    "a list of something else": ('users = ["root"]\n', 1, "[[users]]"),
    "a key that there is not": (ROOT + 'role = "viewer"\n', 4, "no role"),
    "a quoted key that there is not": (ROOT + '"pass word" = "x"\n', 4, "no pass word"),
    "no username": (ROOT + '\n[[users]]\nuser_role = "viewer"\n', 5, "no username"),
    "no role": (ROOT + '\n\n[[users]]\nusername = "eve"\n', 6, "no user_role"),
    "an unknown role": (
        ROOT + '[[users]]\nusername = "eve"\nuser_role = "boss"\n',
        6,
        "'boss', not one of viewer, publisher, administrator",
    ),
    "a role that is no text": (
        ROOT + '[[users]]\nusername = "eve"\nuser_role = ["viewer"]\n',
        6,
        "user_role is not text",
    ),
    "a name twice": (
        ROOT + '[[users]]\nusername = "eve"\nuser_role = "viewer"\n\n'
        '[[users]]\nuser_role = "viewer"\nusername = "eve"\n',
        10,
        "eve is here twice",
    ),
    "an empty name": ('[[users]]\nusername = ""\nuser_role = "viewer"\n', 2, "empty"),
    "a name on two lines": (
        '[[users]]\nusername = "a\\nb"\nuser_role = "viewer"\n',
        2,
        "not text on one line",
    ),
    "a name that is no text": ("[[users]]\nusername = 7\n" + 'user_role = "viewer"\n', 2, "text"),
    "groups as text": (ROOT + 'groups = "staff"\n', 4, 'such as ["staff"]'),
    "a group that is a number": (ROOT + 'email = "x"\ngroups = ["staff", 7]\n', 5, "groups"),
    "an empty group": (ROOT + 'groups = [""]\n', 4, "groups"),
    "groups as a table": (ROOT + "[users.groups]\nstaff = true\n", 4, "groups"),
    "an e-mail address that is no text": (ROOT + "email = 1979-05-27\n", 4, "email"),
    "credentials that are no table": (
        ROOT + 'credentials = "x"\n',
        4,
        "such as [users.credentials]",
    ),
    "a credential that is no text": (
        ROOT + "[users.credentials]\nWarehouse = 7\n",
        5,
        "Warehouse is neither a token on one line nor a table of accessKeyId, secretAccessKey",
    ),
    "a part of AWS's that there is not": (
        ROOT + '[users.credentials."Our buckets"]\naccessKeyId = "x"\nregion = "y"\n',
        4,
        "Our buckets is neither",
    ),
    "nothing": ("", 1, "[[users]]"),
    "a comment alone": ("# nobody\n", 1, "[[users]]"),
    "no administrator": (
        '[[users]]\nusername = "eve"\nuser_role = "publisher"\n',
        1,
        'user_role = "administrator"',
    ),
    # what other programs take for the end of a line is none in TOML
    "after a line separator": (ROOT + '# \u2028 \x85\nrole = "viewer"\n', 5, "no role"),
    "in a file with CRLF": (
        ROOT.replace("\n", "\r\n") + 'role = "viewer"\r\n',
        4,
        "no role",
    ),
    "of the second": (
        ROOT + '[[ "users" ]]\nusername = "eve"\nuser_role = "viewer"\nrole = "x"\n',
        7,
        "no role",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    text, line, fault = MISTAKES[name]
    users = tmp_path / "users.toml"
    users.write_bytes(text.encode())
    # the command within this process: one of its own for each would show nothing more
    done = CliRunner().invoke(main, ["--data", str(tmp_path / "data"), "--users", str(users)])
    assert done.exit_code == 1
    (said,) = done.stderr.splitlines()
    assert re.findall(r"line (\d+)", said) == [str(line)]
    assert fault in said


def test_inline_tables_have_no_line_that_could_be_wrong(tmp_path: Path) -> None:
    users = write_users(
        tmp_path / "users.toml",
        "users = [\n"
        '  {username = "root", user_role = "administrator"},\n'
        '  {username = "eve", user_role = "boss"},\n'
        "]\n",
    )
    said = refused(tmp_path, users)
    assert "'boss'" in said
    assert "user 2" in said
    assert "line " not in said


def test_not_utf_8(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_bytes(ROOT.encode() + '# José\nfirst_name = "José"\n'.encode("latin-1"))
    said = refused(tmp_path, users)
    assert "line 4" in said
    assert "not UTF-8" in said


def test_no_such_file(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path, tmp_path / "users.toml")


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "users.toml").mkdir()
    done = run(tmp_path / "data", "--users", str(tmp_path / "users.toml"))
    assert done.returncode != 0
    assert "directory" in done.stderr
    assert str(tmp_path / "users.toml") in done.stderr
    assert "Traceback" not in done.stderr


def refused(tmp_path: Path, users: Path) -> str:
    """The one line that a server says which does not start with this file."""
    done = run(tmp_path / "data", "--users", str(users))
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert str(users) in line
    assert done.stdout == ""
    # it was not the data that it began with
    assert not (tmp_path / "data").exists()
    return line


def test_a_user_who_is_dropped_and_comes_back(tmp_path: Path) -> None:
    data, users = tmp_path / "data", tmp_path / "users.toml"
    everyone = ROOT + (
        '[[users]]\nusername = "alice"\nuser_role = "publisher"\ngroups = ["staff"]\n'
        '[[users]]\nusername = "bob"\nuser_role = "viewer"\ngroups = ["staff"]\n'
    )
    write_users(users, everyone)
    with running_server(data, "--users", str(users)) as server:
        alice, bob, root = (server.users[name] for name in ("alice", "bob", "root"))
        content = create(server, access_type="logged_in")
        deploy(content, ECHO)

    write_users(users, everyone.replace('"alice"', '"alina"'))
    with running_server(data, "--users", str(users)) as server:
        assert set(server.users) == {"root", "alina", "bob"}
        # the others keep their keys and GUIDs
        assert (server.users["bob"], server.users["root"]) == (bob, root)
        gone = {"Authorization": f"Key {alice.api_key}"}
        for path in ("/__api__/v1/user", content.path, f"{content.api}/bundles"):
            refusal(server.get(path, user=None, headers=gone), 401)
        # what she owns stays, is open to others, and says who she was
        answer = server.get(content.path, user="bob")
        assert answer.json()["version"] == "one"
        item = server.get(content.api, user="root").json()
        assert item["owner_guid"] == alice.guid
        owner = server.get(f"/__api__/v1/users/{alice.guid}", user="root").json()
        assert (owner["username"], owner["locked"]) == ("alice", True)
        # the key of a process that acts as her is refused too
        key = answer.json()["variables"]["CONNECT_API_KEY"]
        job = {"Authorization": f"Key {key}"}
        refusal(server.get("/__api__/v1/user", user=None, headers=job), 401)

    write_users(users, everyone.replace('"publisher"\ngroups = ["staff"]', '"viewer"'))
    with running_server(data, "--users", str(users)) as server:
        back = server.users["alice"]
        assert (back.guid, back.api_key) == (alice.guid, alice.api_key)
        assert (back.user_role, back.groups) == ("viewer", [])
        assert server.users["bob"].groups == ["staff"]


def test_keys_are_the_same_after_a_restart_and_differ_between_servers(
    tmp_path: Path, server: LocalConnect
) -> None:
    users = write_users(tmp_path / "users.toml", USERS)
    with running_server(tmp_path / "data", "--users", str(users)) as first:
        before = first.users
    with running_server(tmp_path / "data", "--users", str(users)) as again:
        assert again.users == before
    keys = [user.api_key for user in (*before.values(), *server.users.values())]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 32 for key in keys)


def test_the_default_three_give_way_and_come_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        before = server.users
    users = write_users(tmp_path / "users.toml", ROOT)
    with running_server(data, "--users", str(users)) as server:
        assert set(server.users) == {"root"}
    with running_server(data) as server:
        assert server.users == before
