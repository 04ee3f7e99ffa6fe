"""`local-connect export DIR`: what is on record, written as a seed.

It reads the data directory and changes nothing there, so a server may go on using it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from local_connect.client.seed import FIELDS, INTEGRATIONS_FILE, SEED_FILE, USERS_FILE
from local_connect.config import Limits
from local_connect.errors import ApiError, LocalConnectError
from local_connect.records import migrations
from local_connect.records.reading import opened
from local_connect.runtime.bundles import unpack

_USERS_HEAD = """\
# The identities, for local-connect --seed. Keys and credentials are not exported: keys are made
# at a server's first start, and credentials go below a user, as [users.credentials].

"""

_INTEGRATIONS_HEAD = """\
# The OAuth integrations. Who may use one is not exported: all may.

"""

_SEED_HEAD = """\
# The content, for local-connect --seed.

"""

_VARIABLES = """\
# The values of environment variables are not exported, as they may be secrets: each is "" here,
# to be filled in.

"""

#: the groups that a users file can have
_WITH_MEMBERS = (
    "SELECT group_guid FROM memberships JOIN users ON users.guid = user_guid WHERE NOT users.locked"
)


@dataclass
class Exported:
    """What an export has written, and a sentence for each thing that it has left out."""

    users: int = 0
    content: int = 0
    #: whether there are variables, whose values are not in it
    variables: bool = False
    left_out: list[str] = field(default_factory=list)


def export(data: Path, directory: Path) -> Exported:
    """Write the seed of what is in a data directory to a directory, which is new or empty.

    Raises `LocalConnectError` where there is nothing to be read, or the directory has something.
    """
    database = data / "local-connect.db"
    if not database.is_file():
        raise LocalConnectError(
            f"There is no data in {data}: local-connect --data DIR export says where it is."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise LocalConnectError(
                f"{directory} has something in it already. Name a directory that is new or empty."
            )
        with opened(database) as connection:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if schema != migrations.LATEST:
                raise LocalConnectError(
                    f"{database} is of another local-connect (schema {schema}, this one writes "
                    f"{migrations.LATEST}). Start a server on it first, which brings it forward."
                )
            return _Export(connection, data, directory).write()
    except sqlite3.Error as error:
        raise LocalConnectError(f"The database {database} cannot be read: {error}.") from error
    except OSError as error:
        raise LocalConnectError(
            f"The seed cannot be written: {error.filename}: {error.strerror}."
        ) from error


class _Export:
    def __init__(self, connection: sqlite3.Connection, data: Path, directory: Path) -> None:
        self._connection = connection
        self._data = data
        self._directory = directory
        self._exported = Exported()

    def write(self) -> Exported:
        users = list(self._users())
        self._write(USERS_FILE, _USERS_HEAD, {"users": users})
        if integrations := dict(self._integrations()):
            self._write(INTEGRATIONS_FILE, _INTEGRATIONS_HEAD, integrations)
        tables = dict(self._content())
        head = _SEED_HEAD
        self._exported.variables = any("environment" in table for table in tables.values())
        if self._exported.variables:
            head += _VARIABLES
        self._write(SEED_FILE, head, tables)
        self._exported.users = len(users)
        self._exported.content = len(tables)
        return self._exported

    def _write(self, name: str, head: str, document: dict[str, Any]) -> None:
        (self._directory / name).write_text(head + tomli_w.dumps(document), "utf-8")

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()

    def _users(self) -> Iterator[dict[str, Any]]:
        for user in self._rows("SELECT * FROM users ORDER BY username"):
            if user["locked"]:
                self._leave_out(f"the user {user['username']}, who is locked")
                continue
            groups = self._rows(
                "SELECT name FROM groups JOIN memberships ON group_guid = guid "
                "WHERE user_guid = ? ORDER BY name",
                user["guid"],
            )
            texts = {key: user[key] for key in ("email", "first_name", "last_name") if user[key]}
            yield {
                "username": user["username"],
                "user_role": user["user_role"],
                "groups": [group["name"] for group in groups],
                **texts,
            }
        without = f"SELECT name FROM groups WHERE guid NOT IN ({_WITH_MEMBERS})"  # noqa: S608 (ours)
        for group in self._rows(without):
            self._leave_out(f"the group {group['name']}, which has no members")

    def _integrations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        seen = set()
        for row in self._rows("SELECT * FROM integrations ORDER BY id"):
            if row["name"] in seen:
                self._leave_out(f"a second integration named {row['name']}")
                continue
            seen.add(row["name"])
            config = {k: v for k, v in json.loads(row["config"]).items() if v is not None}
            yield (
                row["name"],
                {
                    "template": row["template"],
                    "description": row["description"],
                    "config": config,
                },
            )

    def _content(self) -> Iterator[tuple[str, dict[str, Any]]]:
        taken = {SEED_FILE, USERS_FILE, INTEGRATIONS_FILE}
        for item in self._rows(
            "SELECT content.*, username, users.locked AS without_owner FROM content "
            "JOIN users ON users.guid = owner_guid ORDER BY content.id"
        ):
            what = f"{item['username']}'s content {item['name']}"
            if item["without_owner"]:
                self._leave_out(f"{what}, whose owner is locked")
                continue
            if item["bundle_id"] is None:
                self._leave_out(f"{what}, as nothing is deployed to it")
                continue
            table, number = item["name"], 1
            # case matters to neither a Mac's disk nor to a person
            while table.casefold() in taken:
                number += 1
                table = f"{item['name']}-{number}"
            taken.add(table.casefold())
            if self._unpack(item["bundle_id"], self._directory / table, what):
                yield table, self._settings(item)

    def _unpack(self, bundle_id: int, directory: Path, what: str) -> bool:
        """The files of a bundle, as it was sent and not as its processes have left them."""
        archive = self._data / "bundles" / str(bundle_id) / "bundle.tar.gz"
        try:
            unpack(archive, directory, Limits())
        except (ApiError, FileNotFoundError) as error:
            shutil.rmtree(directory, ignore_errors=True)
            self._leave_out(f"{what}, whose bundle {bundle_id} cannot be read ({error})")
            return False
        return True

    def _settings(self, item: sqlite3.Row) -> dict[str, Any]:
        guid = item["guid"]
        settings: dict[str, Any] = {
            "name": item["name"],
            "owner": item["username"],
            "kind": "manifest",
        }
        settings |= {key: item[key] for key in FIELDS if item[key] not in (None, "")}
        if item["locked"]:
            settings["locked"] = True
        for vanity in self._rows("SELECT path FROM vanities WHERE content_guid = ?", guid):
            settings["vanity"] = vanity["path"]
        if permissions := list(self._permissions(guid)):
            settings["permissions"] = permissions
        variables = self._rows(
            "SELECT name FROM environment_variables WHERE content_guid = ? ORDER BY name", guid
        )
        if variables:
            settings["environment"] = {row["name"]: "" for row in variables}
        integrations = self._rows(
            "SELECT name FROM integrations JOIN associations ON integration_guid = guid "
            "WHERE content_guid = ? ORDER BY integrations.id",
            guid,
        )
        if integrations:
            settings["integrations"] = [row["name"] for row in integrations]
        if tags := list(self._tags(guid)):
            settings["tags"] = tags
        if self._rows("SELECT 1 FROM repositories WHERE content_guid = ?", guid):
            self._leave_out(
                f"the repository of {item['name']}, whose files are there as they were deployed"
            )
        return settings

    def _permissions(self, guid: str) -> Iterator[dict[str, str]]:
        users = (
            "SELECT 'user' AS kind, username AS name, role FROM permissions "
            "JOIN users ON users.guid = principal_guid "
            "WHERE content_guid = ? AND NOT users.locked ORDER BY permissions.id"
        )
        groups = (
            "SELECT 'group' AS kind, name, role FROM permissions "  # noqa: S608 (ours)
            "JOIN groups ON groups.guid = principal_guid "
            f"WHERE content_guid = ? AND guid IN ({_WITH_MEMBERS}) ORDER BY permissions.id"
        )
        for row in (*self._rows(users, guid), *self._rows(groups, guid)):
            yield {row["kind"]: row["name"], "role": row["role"]}

    def _tags(self, guid: str) -> Iterator[str]:
        names = {row["id"]: row for row in self._rows("SELECT * FROM tags")}
        held = [
            row["tag_id"]
            for row in self._rows(
                "SELECT tag_id FROM content_tags WHERE content_guid = ? ORDER BY tag_id", guid
            )
        ]
        # those above a tag come with it
        above = {names[tag]["parent_id"] for tag in held}
        for tag in held:
            if tag in above:
                continue
            path = [names[tag]["name"]]
            while (tag := names[tag]["parent_id"]) is not None:
                path.insert(0, names[tag]["name"])
            if any("/" in name for name in path):
                self._leave_out(f"the tag {' / '.join(path)}, as a name in it has a slash")
                continue
            yield "/".join(path)

    def _leave_out(self, what: str) -> None:
        self._exported.left_out.append(what)
