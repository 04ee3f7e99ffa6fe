"""Users and groups made, changed, locked and filled through the API, by the posit-sdk."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from posit.connect import Client  # type: ignore[import-untyped]

from tests.access.conftest import create, refusal, write_users
from tests.access.test_sdk import refused
from tests.deployed import Content
from tests.servers import LocalConnect, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalConnect]:
    """One whose users these tests change."""
    with running_server(tmp_path_factory.mktemp("accounts") / "data") as server:
        yield server


@pytest.fixture
def admin(server: LocalConnect) -> Any:
    return Client(server.url, server.users["admin"].api_key)


def new_name() -> str:
    return f"new-{uuid.uuid4().hex[:12]}"


def key_of(server: LocalConnect, username: str) -> str:
    users = server.get("/__local__/users", user="admin").json()
    (key,) = [user["api_key"] for user in users if user["username"] == username]
    return str(key)


def test_users_are_made_changed_and_locked(server: LocalConnect, admin: Any) -> None:
    name = new_name()
    user = admin.users.create(username=name, email="new@example.com", password="s3cur3p@ssword")
    assert (user["user_role"], user["locked"], user["email"]) == (
        *("viewer", False, "new@example.com"),
    )
    assert admin.users.find(prefix=name) == [user]
    assert admin.users.get(user["guid"]) == user
    own = Client(server.url, key_of(server, name))
    assert own.me["username"] == name

    # whom it concerns may change their name, but not their role
    own.me.update(first_name="New")
    with refused(403):
        own.me.update(user_role="publisher")
    user.update(user_role="publisher", last_name="Comer")
    assert (own.me["first_name"], own.me["last_name"], own.me["user_role"]) == (
        *("New", "Comer", "publisher"),
    )
    item = own.content.create(name=new_name())

    # whoever is locked is out, and what they own stays
    user.lock()
    assert [one["guid"] for one in admin.users.find(account_status="locked")] == [user["guid"]]
    with refused(401):
        _ = own.me
    assert item["guid"] in {one["guid"] for one in admin.content.find()}
    user.unlock()
    assert admin.users.find(account_status="locked") == []
    assert own.me["guid"] == user["guid"]
    own.me.lock(force=True)
    with refused(401):
        _ = own.me
    # nor is anything given to them
    with refused(400):
        admin.content.create(name=new_name()).update(owner_guid=user["guid"])

    with refused(409):
        admin.users.create(username=name)
    for wrong in (
        *({}, {"username": ""}, {"username": "x", "user_role": "king"}, {"colour": "red"}),
        *({"username": "two\nlines"}, {"username": "x" * 256}, {"username": "x", "email": 7}),
    ):
        with refused(400):
            admin.users.create(**wrong)
    # somebody has to be there to let others in
    with refused(409):
        admin.me.lock(force=True)
    with refused(409):
        admin.me.update(user_role="viewer")
    with refused(400):
        admin.get("v1/users/remote")


def test_groups_are_made_and_filled(server: LocalConnect, admin: Any) -> None:
    alice = Client(server.url, server.users["alice"].api_key)
    group = alice.groups.create(name=new_name())
    assert group["owner_guid"] == alice.me["guid"]
    assert admin.groups.get(group["guid"]) == group
    bob = admin.users.find_one(prefix="bob")
    content = create(server)
    alice.content.get(content.guid).permissions.create(group, role="viewer")
    see = f"/__api__/v1/content/{content.guid}"
    assert server.get(see, user="bob").status_code == 404

    group.members.add(bob)
    assert [member["guid"] for member in group.members.find()] == [bob["guid"]]
    assert [one["guid"] for one in bob.groups.find()] == [group["guid"]]
    assert server.get(see, user="bob").status_code == 200
    with refused(409):
        group.members.add(bob)
    group.members.delete(bob)
    assert server.get(see, user="bob").status_code == 404
    with refused(404):
        group.members.delete(bob)
    group.members.add(user_guid=bob["guid"])
    # whoever is in one may leave it
    path = f"/__api__/v1/groups/{group['guid']}"
    leave = f"{path}/members/{bob['guid']}"
    assert server.request("DELETE", leave, user="bob").status_code == 204

    name = new_name()
    renamed = server.request("PATCH", path, json={"name": name}).json()
    assert (renamed["guid"], renamed["name"]) == (group["guid"], name)
    refusal(server.request("PATCH", path, json={"name": "staff"}), 409)
    refusal(server.request("PATCH", path, json={"colour": "red"}), 400)
    group.members.add(bob)
    group.delete()
    assert server.get(see, user="bob").status_code == 404
    assert Content(server, content.guid).item["guid"]
    assert server.get(f"{see}/permissions").json() == []
    with refused(404):
        admin.groups.get(group["guid"])


def test_a_group_is_given_to_another(server: LocalConnect, admin: Any) -> None:
    alice = Client(server.url, server.users["alice"].api_key)
    group = alice.groups.create(name=new_name())
    path = f"/__api__/v1/groups/{group['guid']}"
    given = server.request("PATCH", path, json={"owner_guid": admin.me["guid"]})
    assert given.json() == {**group, "owner_guid": admin.me["guid"]}
    # it is alice's no more
    refusal(server.request("PATCH", path, json={"name": new_name()}), 403)
    nobody = {"owner_guid": str(uuid.uuid4())}
    refusal(server.request("PATCH", path, user="admin", json=nobody), 404)
    assert admin.groups.get(group["guid"]) == given.json()


#: who may do what: administrators, alice (who owns the group), another publisher, a viewer
WHO_MAY = {
    ("POST", "users"): {"admin"},
    ("PUT", "users/{bob}"): {"admin", "bob"},
    ("POST", "users/{bob}/lock"): {"admin"},
    ("POST", "groups"): {"admin", "alice", "erin"},
    ("PATCH", "groups/{group}"): {"admin", "alice"},
    ("POST", "groups/{group}/members"): {"admin", "alice"},
    ("DELETE", "groups/{group}/members/{erin}"): {"admin", "alice", "erin"},
    ("DELETE", "groups/{group}"): {"admin", "alice"},
}


@pytest.mark.parametrize(("method", "path"), WHO_MAY)
def test_who_may_do_what(server: LocalConnect, admin: Any, method: str, path: str) -> None:
    erin = admin.users.find_one(prefix="erin") or admin.users.create(
        username="erin", user_role="publisher"
    )
    keys = {name: key_of(server, name) for name in ("admin", "alice", "erin", "bob")}
    bob = admin.users.find_one(prefix="bob")
    alice = Client(server.url, keys["alice"])
    for name, key in keys.items():
        group = alice.groups.create(name=new_name())
        if method == "DELETE":
            group.members.add(erin)
        address = path.format(group=group["guid"], bob=bob["guid"], erin=erin["guid"])
        body: dict[str, Any] = {}
        if path.endswith("/members"):
            body = {"user_guid": erin["guid"]}
        elif path.endswith("/lock"):
            body = {"locked": False}
        elif method == "POST":
            body = {"username" if path == "users" else "name": new_name()}
        answer = server.request(
            *(method, f"/__api__/v1/{address}"),
            user=None,
            headers={"Authorization": f"Key {key}"},
            json=body,
        )
        assert (
            answer.status_code == 403 if name not in WHO_MAY[method, path] else answer.is_success
        ), (
            name,
            answer.text,
        )


def test_changes_survive_a_restart_beside_a_users_file(tmp_path: Path) -> None:
    file = write_users(tmp_path / "users.toml")
    data = tmp_path / "data"
    with running_server(data, "--users", str(file)) as server:
        admin = Client(server.url, server.users["admin"].api_key)
        made = admin.users.create(username="newcomer", user_role="publisher")
        group = admin.groups.create(name="newcomers")
        group.members.add(made)
        bob, carol = (admin.users.find_one(prefix=name) for name in ("bob", "carol"))
        bob.lock()
        group.members.add(carol)
        admin.groups.find_one(prefix="readers").delete()
        server.stop()
    # the file still says what it said, and something of those whom nobody has changed
    file.write_text(
        file.read_text("utf-8").replace(
            'username = "frank"', 'username = "frank"\nemail = "f@x.y"'
        ),
        encoding="utf-8",
    )
    with running_server(data, "--users", str(file)) as server:
        admin = Client(server.url, server.users["admin"].api_key)
        assert admin.users.get(made["guid"])["user_role"] == "publisher"
        members = admin.groups.find_one(prefix="newcomers").members.find()
        assert {member["username"] for member in members} == {"newcomer", "carol"}
        assert [user["username"] for user in admin.users.find(account_status="locked")] == ["bob"]
        dave = admin.users.find_one(prefix="dave")
        assert dave.groups.find() == []
        assert admin.users.find_one(prefix="frank")["email"] == "f@x.y"
