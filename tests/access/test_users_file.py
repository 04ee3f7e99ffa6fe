"""`--users FILE` of a server: whom it starts with, and what stays when the file changes.

The rules of the file itself are in `test_users_rules.py`.
"""

from pathlib import Path

from tests.access.conftest import ECHO, create, deploy, refusal, write_users
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


def test_a_server_does_not_start_with_a_file_that_is_wrong(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.toml", ROOT + 'role = "viewer"\n')
    done = run(tmp_path / "data", "--users", str(users))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{users}, line 4: a user has no role" in line
    assert done.stdout == ""
    # it was not the data that it began with
    assert not (tmp_path / "data").exists()


def test_a_user_who_is_dropped(tmp_path: Path) -> None:
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
