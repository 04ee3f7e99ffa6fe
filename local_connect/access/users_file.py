"""Reads the TOML file of identities that `--users` names.

::

    [[users]]
    username = "alice"
    user_role = "publisher"            # viewer, publisher or administrator
    groups = ["data-science", "staff"] # optional, like the rest
    email = "alice@example.com"
    first_name = "Alice"
    last_name = "Liddell"

    [users.credentials]                # of the user above, by the names of integrations
    Warehouse = "a token"
    Buckets = {accessKeyId = "…", secretAccessKey = "…", sessionToken = "…"}
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from local_connect.access.identity import ROLES, Identity
from local_connect.errors import LocalConnectError

_TEXTS = ("email", "first_name", "last_name")
#: the line that begins a user
_HEAD = re.compile(r"""\s*\[\[\s*["']?users["']?\s*]]""")

_KEYS = ("username", "user_role", "groups", "credentials", *_TEXTS)

#: of credentials for AWS; the last may be left out
AWS_PARTS = ("accessKeyId", "secretAccessKey", "sessionToken", "expiration")


def read(path: Path) -> tuple[Identity, ...]:
    """The identities in the file; a mistake raises with its line and what is wrong there."""
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise LocalConnectError(
            f"The users file {path} cannot be read: {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise LocalConnectError(f"{path}, line {line}: this is not UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        last = f"at line {text.count(chr(10)) + 1}, the end"
        fault = str(error).replace("at end of document", last)
        raise LocalConnectError(f"The users file {path} is not TOML: {fault}.") from error
    return _Reader(path, text).identities(document)


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        # not splitlines: what it takes for the end of a line besides is none in TOML
        self._lines = text.split("\n")
        self._heads = [number for number, line in enumerate(self._lines) if _HEAD.match(line)]

    def identities(self, document: dict[str, Any]) -> tuple[Identity, ...]:
        for key in document:
            if key != "users":
                raise self._fault(f"there is no setting {key}, only [[users]]", key=key)
        tables = document.get("users")
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._fault("users are given as tables: [[users]]", key="users")
        identities = [self._identity(number, table) for number, table in enumerate(tables)]
        for number, identity in enumerate(identities):
            if any(identity.username == other.username for other in identities[:number]):
                raise self._fault(
                    f"{identity.username} is here twice", table=number, key="username"
                )
        if not any(identity.user_role == "administrator" for identity in identities):
            raise self._fault('none of the users has user_role = "administrator"')
        return tuple(identities)

    def _identity(self, number: int, table: dict[str, Any]) -> Identity:
        for key in table:
            if key not in _KEYS:
                known = ", ".join(_KEYS)
                raise self._fault(f"a user has no {key}, only {known}", table=number, key=key)
        for key in ("username", "user_role"):
            if key not in table:
                raise self._fault(f"this user has no {key}", table=number)
        for key in ("username", "user_role", *_TEXTS):
            if not _is_printable(table.get(key, "-")) and table[key] != "":
                raise self._fault(f"{key} is not text on one line", table=number, key=key)
        if not table["username"]:
            raise self._fault("the username is empty", table=number, key="username")
        if table["user_role"] not in ROLES:
            raise self._fault(
                f"user_role is {table['user_role']!r}, not one of {', '.join(ROLES)}",
                table=number,
                key="user_role",
            )
        groups = table.get("groups", [])
        if not isinstance(groups, list) or not all(map(_is_printable, groups)):
            raise self._fault(
                'groups is not a list of names, such as ["staff"]', table=number, key="groups"
            )
        credentials = table.get("credentials", {})
        if not isinstance(credentials, dict):
            raise self._fault(
                "credentials is not a table, such as [users.credentials]",
                table=number,
                key="credentials",
            )
        for integration, credential in credentials.items():
            if not (_is_printable(credential) or _is_of_aws(credential)):
                parts = ", ".join(AWS_PARTS[:-1])
                raise self._fault(
                    f"{integration} is neither a token on one line nor a table of {parts}",
                    table=number,
                    key=integration,
                )
        return Identity(**{**table, "groups": tuple(dict.fromkeys(groups))})

    def _fault(self, what: str, *, table: int | None = None, key: str = "") -> LocalConnectError:
        return LocalConnectError(f"{self._path}, {self._place(table, key)}: {what}.")

    def _place(self, table: int | None, key: str) -> str:
        """The line of the n-th `[[users]]`, or of a key in it; TOML's parser keeps none."""
        start, end = 0, len(self._lines)
        if table is not None:
            if table >= len(self._heads):
                return f"user {table + 1}"
            start, end = (*self._heads, end)[table : table + 2]
        wanted = re.compile(
            r"""\s*(\[+\s*)?(users\s*\.\s*)?(credentials\s*\.\s*)?"""
            rf"""["']?{re.escape(key)}["']?\s*[=.\]]"""
        )
        for number in range(start, end if key else start):
            if wanted.match(self._lines[number]):
                return f"line {number + 1}"
        return f"line {start + 1}"


def _is_printable(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()


def _is_of_aws(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(AWS_PARTS[:-1]) <= set(value) <= set(AWS_PARTS)
        and all(map(_is_printable, value.values()))
    )
