"""The users file, and the records of users that a server keeps by it: the rules, in memory."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from local_connect.access import users_file
from local_connect.access.accounts import Accounts
from local_connect.access.addresses import Addresses
from local_connect.access.identity import DEFAULT_IDENTITIES, Credential, Identities, Identity
from local_connect.errors import LocalConnectError, Unauthenticated
from local_connect.records.store import Store, User

pytestmark = pytest.mark.quick

ROOT = '[[users]]\nusername = "root"\nuser_role = "administrator"\n'

Read = Callable[[str], tuple[Identity, ...]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a users file with this text."""

    def read(text: str) -> tuple[Identity, ...]:
        path = tmp_path / "users.toml"
        path.write_bytes(text.encode())
        return users_file.read(path)

    return read


def test_one_user_is_enough(read: Read) -> None:
    assert read(ROOT) == (Identity("root", "administrator"),)


def test_all_fields(read: Read) -> None:
    (root,) = read(
        ROOT + 'groups = ["a", "b", "a"]\nemail = ""\nfirst_name = "Zoë"\nlast_name = "<李>"\n'
    )
    assert root == Identity(
        "root", "administrator", ("a", "b"), email="", first_name="Zoë", last_name="<李>"
    )


def test_users_as_inline_tables(read: Read) -> None:
    users = (
        "users = [\n"
        "  {username = 'root', user_role = 'administrator'},\n"
        "  {username = 'eve', user_role = 'viewer', groups = ['a']},\n"
        "]\r\n"
    )
    assert read(users) == (
        Identity("root", "administrator"),
        Identity("eve", "viewer", groups=("a",)),
    )
    # they have no line of their own that could be named
    with pytest.raises(LocalConnectError, match="user 2: user_role is 'boss'") as refusal:
        read(users.replace("viewer", "boss"))
    assert "line " not in str(refusal.value)


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
def test_a_mistake_is_named_with_its_line(read: Read, name: str) -> None:
    text, line, fault = MISTAKES[name]
    with pytest.raises(LocalConnectError) as refusal:
        read(text)
    said = str(refusal.value)
    assert "users.toml" in said
    assert "\n" not in said
    assert re.findall(r"line (\d+)", said) == [str(line)]
    assert fault in said


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_bytes(ROOT.encode() + '# José\nfirst_name = "José"\n'.encode("latin-1"))
    with pytest.raises(LocalConnectError, match="line 4: this is not UTF-8"):
        users_file.read(users)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LocalConnectError, match=r"users\.toml cannot be read: No such file"):
        users_file.read(tmp_path / "users.toml")
    with pytest.raises(LocalConnectError, match="cannot be read: Is a directory"):
        users_file.read(tmp_path)


@pytest.fixture
def identities(store: Store) -> Identities:
    return Identities(store, Addresses("localhost", None), owner_of_job_key=lambda _: None)


ALICE = Identity("alice", "publisher", ("staff",), email="alice@example.com")
BOB = Identity("bob", "viewer", ("staff",))
ADMIN = Identity("root", "administrator")


def seeded(identities: Identities, *users: Identity) -> dict[str, User]:
    """Every user, by name, once the server has started with these."""
    identities.seed(users)
    return {user.username: user for user in identities.everyone()}


def who(identities: Identities, key: str) -> str | None:
    """Whose request it is that has this key."""
    user = identities.from_key({"Authorization": f"Key {key}"})
    return user.username if user else None


def groups_of(user: User) -> list[str]:
    return [group.name for group in user.groups]


def test_each_user_has_a_key_of_their_own(identities: Identities) -> None:
    users = seeded(identities, *DEFAULT_IDENTITIES)
    assert set(users) == {"admin", "alice", "bob"}
    keys = {user.api_key for user in users.values()}
    assert len(keys) == 3
    assert all(len(key) == 32 for key in keys)
    assert {name: who(identities, user.api_key) for name, user in users.items()} == {
        name: name for name in users
    }


def test_a_known_user_keeps_their_guid_and_key_and_takes_up_what_has_changed(
    identities: Identities,
) -> None:
    before = seeded(identities, ADMIN, ALICE, BOB)
    after = seeded(
        identities, ADMIN, Identity("alice", "viewer", ("a", "b"), first_name="Alice"), BOB
    )
    for name, user in after.items():
        assert (user.guid, user.api_key) == (before[name].guid, before[name].api_key)
    alice = after["alice"]
    assert (alice.user_role, alice.email, alice.first_name) == ("viewer", "", "Alice")
    assert groups_of(alice) == ["a", "b"]
    assert groups_of(after["bob"]) == ["staff"]


def test_credentials_are_kept_out_of_what_is_shown(identities: Identities) -> None:
    hers: dict[str, Credential] = {"Cloud": "a token", "AWS": {"secretAccessKey": "a word"}}
    users = seeded(identities, ADMIN, Identity("alice", "publisher", credentials=hers))
    assert {users["alice"].api_key, "a token", "a word"} <= set(identities.secrets())


def test_a_user_who_is_dropped_is_locked_until_they_are_back(identities: Identities) -> None:
    before = seeded(identities, ADMIN, ALICE)["alice"]
    dropped = seeded(identities, ADMIN)["alice"]
    assert dropped.locked
    assert dropped.guid == before.guid
    assert "alice" not in [user.username for user in identities.all()]
    with pytest.raises(Unauthenticated):
        who(identities, before.api_key)
    back = seeded(identities, ADMIN, ALICE)["alice"]
    assert not back.locked
    assert (back.guid, who(identities, before.api_key)) == (before.guid, "alice")


def test_a_key_of_a_process_is_its_owners_while_they_are_not_locked(store: Store) -> None:
    jobs: dict[str, str] = {}
    identities = Identities(store, Addresses("localhost", None), owner_of_job_key=jobs.get)
    jobs["job"] = seeded(identities, ADMIN, ALICE)["alice"].guid
    assert who(identities, "job") == "alice"
    seeded(identities, ADMIN)
    with pytest.raises(Unauthenticated):
        who(identities, "job")


def test_what_an_administrator_changed_holds_against_the_file(
    store: Store, identities: Identities
) -> None:
    users = seeded(identities, ADMIN, ALICE, BOB)
    accounts = Accounts(store, identities)
    root = users["root"]
    accounts.lock(root, users["bob"].guid, True)
    accounts.update_user(root, users["alice"].guid, {"user_role": "viewer"})
    made = accounts.create_user(root, {"username": "eve"})
    after = seeded(identities, ADMIN, ALICE, BOB)
    assert after["bob"].locked
    assert after["alice"].user_role == "viewer"
    # and a user whom no file ever named is not dropped
    assert not after["eve"].locked
    assert after["eve"].guid == made.guid
