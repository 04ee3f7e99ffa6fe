"""`local-connect report`: what it tells of a fault, and what it never does."""

from importlib import metadata
from pathlib import Path

import pytest

from local_connect.config import Settings
from local_connect.records.store import Bundle, Content, Store, User
from local_connect.report import PACKAGES, report, without_secrets
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect, run

#: of the forms that a server makes
KEY, TOKEN = "0123456789abcdef" * 2, "Ab1-" * 10 + "_Zz"

#: prints what it should not, and does not start
LEAKS = """
import os, pathlib
print("warehouse:", os.environ["WAREHOUSE"], "as", os.environ["CONNECT_API_KEY"])
print("postgresql://me:hunter2@db.example.com/things for jose@example.com")
print("home is", pathlib.Path.home(), "and COLOUR is", os.environ["COLOUR"])
raise RuntimeError("no table")
"""

USERS = """
[[users]]
username = "maria"
user_role = "administrator"
[users.credentials]
Warehouse = "of-the-users-file"
Buckets = {accessKeyId = "AKIA-of-the-users-file", secretAccessKey = "secret-of-the-users-file"}
"""


def test_it_tells_what_failed_and_no_secret(server: LocalConnect, tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    users.write_text(USERS, "utf-8")
    content = create(server)
    variables = [
        {"name": "WAREHOUSE", "value": "hunter3-and-of-the-users-file"},
        {"name": "COLOUR", "value": "red"},
    ]
    server.request("PATCH", f"{content.api}/environment", json=variables).raise_for_status()
    deploy(content, upload(content, archive_of({"app.py": LEAKS.encode()})))

    done = run(server.data, "--users", str(users), "report")
    assert done.returncode == 0, done.stderr
    assert "Look through it before you send it" in done.stderr
    said = done.stdout
    for told in (
        "local-connect 0.",
        "rsconnect-python 1.",
        "port = 0",
        f"Content {content.item['name']} (python-api, acl)",
        "variables: COLOUR, WAREHOUSE",
        "Last deploy, of bundle ",
        "RuntimeError: no table",
        "warehouse: <value of WAREHOUSE> as <key>",
        "postgresql://<secret>@db.example.com/things for <e-mail>",
        "COLOUR is red",
    ):
        assert told in said
    kept = [user.api_key for user in server.users.values()]
    for secret in (*kept, "hunter", "of-the-users-file", "jose", str(Path.home())):
        assert secret not in said


def test_without_data_it_says_where_to_look(tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", "report")
    assert done.returncode == 0, done.stderr
    assert f"There is no data in {tmp_path}/nothing: local-connect --data DIR report" in done.stdout
    assert not (tmp_path / "nothing").exists()

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "local-connect.db").write_text("no database")
    done = run(tmp_path / "broken", "report")
    assert done.returncode == 0, done.stderr
    assert "The database cannot be read: file is not a database." in done.stdout


@pytest.mark.quick
@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Key abc", "Authorization: Key <secret>"),
        ("Authorization: abc", "Authorization: <secret>"),
        ("https://me:secret@example.com/", "https://<secret>@example.com/"),
        ("PASSWORD=abc done", "PASSWORD=<secret> done"),
        ("{'api_key': 'abc'}", "{'api_key': <secret>"),
        ("DB_TOKEN: abc", "DB_TOKEN: <secret>"),
        (f"as {KEY}, by {TOKEN}", "as <key>, by <key>"),
        ("ask jose@example.com", "ask <e-mail>"),
        ("a@b.c+jose@example.com,me+you@example.com", "<e-mail>,<e-mail>"),
        (f"{Path.home()}/app.py and {Path.home()}", "~/app.py and ~"),
        ("part and whole part", "<a> and <b>"),
        ("a keyboard, the tokens of it", "a keyboard, the tokens of it"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, left: str) -> None:
    assert without_secrets(text, {"part": "a", "whole part": "b"}) == left


@pytest.mark.quick
@pytest.mark.parametrize("word", ["x", "x.", "token", "x+", "a@"])
def test_a_word_of_megabytes_is_looked_through(word: str) -> None:
    """In moments; it would be hours where each of its letters were looked from to its end."""
    text = word * (1_000_000 // len(word))
    assert without_secrets(f"{text} jose@example.com", {}) == f"{text} <e-mail>"


@pytest.mark.quick
def test_no_credential_of_a_seed_is_told(tmp_path: Path) -> None:
    seed = tmp_path / "of-the-users-file"
    seed.mkdir()
    (seed / "users.toml").write_text(USERS, "utf-8")
    said = report(Settings(data=tmp_path / "data", seed=seed))
    assert "seed = " in said
    assert "of-the-users-file" not in said


@pytest.mark.quick
@pytest.mark.parametrize(
    "text",
    [None, "users = [", "[[users]]\ncredentials = {Warehouse = 7}"],
    ids=["missing", "not TOML", "no credential"],
)
def test_a_users_file_that_cannot_be_understood_is_no_bar(tmp_path: Path, text: str | None) -> None:
    users = tmp_path / "users.toml"
    if text is not None:
        users.write_text(text, "utf-8")
    said = report(Settings(data=tmp_path / "data", users=users))
    assert f"users = {users}" in said


def add(store: Store, content: Content) -> None:
    """Let content that is alice's be in the store."""
    alice = User(username="alice", user_role="publisher", guid=content.owner_guid)
    with store.session() as session:
        session.add(alice)
        session.flush()
        session.add(content)


@pytest.mark.quick
def test_content_without_a_bundle_is_told_with_its_own_settings(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    add(store, Content(name="empty", owner_guid="a", max_processes=2, read_timeout=30))
    store.close()
    said = report(Settings(data=tmp_path / "data"))
    told = "Content empty (unknown, acl)\n  max_processes = 2, read_timeout = 30\n  no bundle\n"
    assert said.endswith(told)


@pytest.mark.quick
def test_a_bundle_that_was_never_deployed_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    content = Content(name="fresh", owner_guid="a")
    add(store, content)
    bundle = Bundle(
        content_guid=content.guid,
        created_by="a",
        size=9,
        archive_md5="",
        archive_sha1="",
        manifest={},
    )
    with store.session() as session:
        session.add(bundle)
    store.close()
    said = report(Settings(data=tmp_path / "data"))
    told = "newest bundle 1 (not live: none is): 9 bytes, entry point None, 0 files"
    assert told in said.splitlines()[-1]


@pytest.mark.quick
def test_a_package_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == PACKAGES[0]:
            raise metadata.PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr("local_connect.report.version", version)
    said = report(Settings(data=tmp_path / "data"))
    assert f"{PACKAGES[0]} is not installed, {PACKAGES[1]} 1.0, " in said
