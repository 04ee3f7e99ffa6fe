"""Reads the directory that `--seed` names: what a server begins with.

`seed.toml` in the directory has a table for each content item, named like its directory::

    [greetings]
    # all of these may be left out
    directory = "../greetings"            # where it is not the table's name
    name = "greetings"                    # what the content is called in the API
    title = "Greetings"
    description = "In four languages"
    owner = "alice"                       # by default the first publisher, by name
    kind = "api"                          # or fastapi, or manifest: what rsconnect deploys it as
    entrypoint = "app:app"
    access_type = "logged_in"             # or all, or acl
    vanity = "/greetings/"
    permissions = [{user = "bob", role = "viewer"}, {group = "staff", role = "owner"}]
    environment = {COLOUR = "blue"}
    integrations = ["visitor-key"]        # by name; this is the server's own
    tags = ["Teams/Data"]                 # a category, and names below it
    max_processes = 1                     # and the other counts of a content item, load_factor
    locked = true
    locked_message = "Until Monday"

`users.toml`, if there is one, is what `--users` takes, and `integrations.toml` has a table for each
OAuth integration, named like it, with `template`, `description` and `config`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_connect.access.identity import DEFAULT_IDENTITIES, Identity
from local_connect.api.answers import COUNTS
from local_connect.client import rsconnect
from local_connect.errors import LocalConnectError

SEED_FILE = "seed.toml"
USERS_FILE = "users.toml"
INTEGRATIONS_FILE = "integrations.toml"

#: what rsconnect deploys a directory as
KINDS = ("api", "fastapi", "manifest")

#: fields of a content item that are sent to the API as they are; it says which value is wrong
FIELDS = ("title", "description", "access_type", *COUNTS, "load_factor", "locked_message")

_TEXTS = ("directory", "name", "owner", "kind", "entrypoint", "vanity", "title", "description")
_KEYS = (
    *_TEXTS,
    *("access_type", "permissions", "environment", "integrations", "tags"),
    *(*COUNTS, "load_factor", "locked", "locked_message"),
)
_INTEGRATION_KEYS = ("template", "description", "config")

#: the kinds of principals of a permission
_PRINCIPALS = ("user", "group")


@dataclass(frozen=True)
class Item:
    """One content item of a seed."""

    directory: Path
    name: str
    owner: str
    kind: str = "api"
    entrypoint: str | None = None
    #: those of the content item that the API takes as they are
    fields: Mapping[str, Any] = field(default_factory=dict)
    vanity: str | None = None
    #: `user` or `group`, its name, and the role
    permissions: tuple[tuple[str, str, str], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    integrations: tuple[str, ...] = ()
    #: the names from the category down
    tags: tuple[tuple[str, ...], ...] = ()
    locked: bool = False


@dataclass(frozen=True)
class Seed:
    """What the directory of a seed says."""

    directory: Path
    items: tuple[Item, ...]
    #: fields of the API, the name among them
    integrations: tuple[Mapping[str, Any], ...] = ()

    def digest(self) -> str:
        """What changes when anything of it does, the files of its content included."""
        digest = hashlib.sha256(repr((self.items, self.integrations)).encode())
        for directory in sorted({item.directory for item in self.items}):
            digest.update(rsconnect.digest(directory).encode())
        return digest.hexdigest()


def users_file(directory: Path) -> Path | None:
    """The seed's file of identities, if it has one."""
    path = directory / USERS_FILE
    return path if path.exists() else None


def read(directory: Path, identities: Iterable[Identity] = DEFAULT_IDENTITIES) -> Seed:
    """The seed in a directory, for these identities; `LocalConnectError` says what is wrong."""
    people = {identity.username: identity for identity in identities}
    tables = _tables(directory / SEED_FILE)
    items = tuple(
        _Reader(directory / SEED_FILE, name, table).item(people) for name, table in tables.items()
    )
    seen: dict[tuple[str, str], str] = {}
    for table, item in zip(tables, items, strict=True):
        other = seen.setdefault((item.owner, item.name), table)
        if other != table:
            raise LocalConnectError(
                f"{directory / SEED_FILE}: [{other}] and [{table}] are both {item.owner}'s "
                f"content {item.name}: give one of them another name."
            )
    path = directory / INTEGRATIONS_FILE
    integrations = _tables(path) if path.exists() else {}
    return Seed(
        directory,
        items,
        tuple(_Reader(path, name, table).integration() for name, table in integrations.items()),
    )


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LocalConnectError(f"The seed {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise LocalConnectError(f"The seed {path} is not TOML in UTF-8: {error}.") from error
    for key, table in document.items():
        if not isinstance(table, dict):
            raise LocalConnectError(
                f"{path}: {key} is in no table: settings are below one, such as [my-api]."
            )
    return document


class _Reader:
    """Reads one table; what is wrong raises with the table's name."""

    def __init__(self, path: Path, name: str, table: dict[str, Any]) -> None:
        self._path = path
        self._name = name
        self._table = table

    def item(self, people: Mapping[str, Identity]) -> Item:
        table = self._table
        self._check_keys("content", _KEYS)
        for key in (*_TEXTS, "access_type", "locked_message"):
            if not isinstance(table.get(key, ""), str):
                raise self._fault(f"{key} is not text: {table[key]!r}")
        directory = (self._path.parent / table.get("directory", self._name)).resolve()
        if not directory.is_dir():
            raise self._fault(f"there is no directory {directory}")
        kind = table.get("kind", "api")
        if kind not in KINDS:
            raise self._fault(f"kind is {kind!r}, not one of {', '.join(KINDS)}")
        if kind == "manifest" and not (directory / "manifest.json").is_file():
            raise self._fault(f"it is of the kind manifest, and {directory} has no manifest.json")
        if kind == "manifest" and "entrypoint" in table:
            raise self._fault("of the kind manifest it has no entrypoint: its manifest names that")
        locked = table.get("locked", False)
        if not isinstance(locked, bool):
            raise self._fault(f"locked is neither true nor false: {locked!r}")
        for key in (*COUNTS, "load_factor"):
            if isinstance(table.get(key, 0), bool) or not isinstance(
                table.get(key, 0), int | float
            ):
                raise self._fault(f"{key} is not a number: {table[key]!r}")
        return Item(
            directory=directory,
            name=table.get("name") or rsconnect.content_name(Path(self._name)),
            owner=self._owner(people),
            kind=kind,
            entrypoint=table.get("entrypoint"),
            fields={key: table[key] for key in FIELDS if key in table},
            vanity=table.get("vanity"),
            permissions=self._permissions(people),
            environment=self._environment(),
            integrations=self._names("integrations"),
            tags=tuple(self._tag(tag) for tag in self._names("tags")),
            locked=locked,
        )

    def integration(self) -> dict[str, Any]:
        self._check_keys("an integration", _INTEGRATION_KEYS)
        if "template" not in self._table:
            raise self._fault("an integration has a template, such as snowflake")
        return {"name": self._name, **self._table}

    def _check_keys(self, what: str, known: Iterable[str]) -> None:
        for key in self._table:
            if key not in known:
                raise self._fault(f"{what} has no {key} here, only {', '.join(known)}")

    def _owner(self, people: Mapping[str, Identity]) -> str:
        owner = self._table.get("owner")
        if owner is None:
            # of the latter there is always one
            for role in ("publisher", "administrator"):  # pragma: no branch (see above)
                for name in sorted(people):
                    if people[name].user_role == role:
                        return name
        if not isinstance(owner, str) or owner not in people:
            raise self._fault(f"there is no user {owner}, only {', '.join(people)}")
        if people[owner].user_role == "viewer":
            raise self._fault(f"{owner} is a viewer and cannot own content")
        return owner

    def _permissions(self, people: Mapping[str, Identity]) -> tuple[tuple[str, str, str], ...]:
        entries = self._table.get("permissions", [])
        groups = {group for person in people.values() for group in person.groups}
        known = {"user": set(people), "group": groups}
        found = []
        for entry in entries if isinstance(entries, list) else [entries]:
            named = [kind for kind in _PRINCIPALS if isinstance(entry, dict) and kind in entry]
            if len(named) != 1 or set(entry) != {*named, "role"}:
                raise self._fault(
                    'a permission is such as {user = "bob", role = "viewer"}, or has a group '
                    f"in place of a user: {entry!r}"
                )
            name = entry[named[0]]
            if not isinstance(name, str) or name not in known[named[0]]:
                raise self._fault(f"there is no {named[0]} {name} to permit anything")
            found.append((named[0], name, entry["role"]))
        return tuple(found)

    def _environment(self) -> dict[str, str]:
        variables = self._table.get("environment", {})
        if not isinstance(variables, dict):
            raise self._fault('environment is not a table, such as {COLOUR = "blue"}')
        for name, value in variables.items():
            if not isinstance(value, str):
                raise self._fault(f"the variable {name} is not text in quotes: {value!r}")
        return variables

    def _names(self, key: str) -> tuple[str, ...]:
        names = self._table.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise self._fault(f"{key} is not a list of names: {names!r}")
        return tuple(names)

    def _tag(self, text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split("/"))
        if len(names) < 2 or not all(names):
            raise self._fault(f'a tag is below a category, such as "Teams/Data": {text!r}')
        return names

    def _fault(self, what: str) -> LocalConnectError:
        return LocalConnectError(f"{self._path}, [{self._name}]: {what}.")
