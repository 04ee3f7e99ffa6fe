"""Vanity URLs: a second address for content, kept where the gateway finds it fast."""

from __future__ import annotations

import re

from sqlalchemy import select

from local_connect.errors import BadRequest, Conflict
from local_connect.records.store import Store, Vanity

_PATH = re.compile(r"/(?:[A-Za-z0-9_-]+/)+", re.ASCII)

#: first segments that Connect keeps for itself (documented in posit-sdk)
_RESERVED = {
    "connect",
    "apps",
    "users",
    "groups",
    "setpassword",
    "user-completion",
    "confirm",
    "recent",
    "reports",
    "plots",
    "unpublished",
    "settings",
    "metrics",
    "tokens",
    "help",
    "login",
    "welcome",
    "register",
    "resetpassword",
    "content",
}


class Vanities:
    """All vanity paths of a server; each begins and ends with a slash."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guids: dict[str, str] = {}
        self.reload()

    def find(self, path: str) -> tuple[str, str] | None:
        """The vanity path that a request's path lies below, or is but for the last slash.

        With it comes the content's GUID. Vanity paths do not nest, so there is one at most.
        """
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            vanity = "/".join(parts[:end]) + "/"
            if guid := self._guids.get(vanity):
                return vanity, guid
        return None

    def get(self, content_guid: str) -> Vanity | None:
        with self._store.session() as session:
            return session.get(Vanity, content_guid)

    def all(self) -> list[Vanity]:
        """Every vanity, by path."""
        with self._store.session() as session:
            return list(session.scalars(select(Vanity).order_by(Vanity.path)))

    def set(self, content_guid: str, text: str, *, force: bool) -> Vanity:
        """Give the content this path in place of any other it has.

        `BadRequest` where the path cannot be one, `Conflict` where other content has it
        (unless `force` takes it away) or one above or below it.
        """
        path = _normal(text)
        with self._store.session() as session:
            for other in session.scalars(select(Vanity)):
                if other.content_guid == content_guid:
                    continue
                if other.path == path and not force:
                    raise Conflict(f"The path {path} is taken by other content.")
                if other.path == path:
                    session.delete(other)
                elif other.path.startswith(path) or path.startswith(other.path):
                    raise Conflict(
                        f"The path {path} cannot be: {other.path} exists, and paths do not nest."
                    )
            session.flush()
            vanity = session.get(Vanity, content_guid)
            if vanity is None:
                vanity = Vanity(content_guid=content_guid, path=path)
                session.add(vanity)
            vanity.path = path
        self.reload()
        return vanity

    def remove(self, content_guid: str) -> bool:
        """Take the content's path away; False where it had none."""
        with self._store.session() as session:
            vanity = session.get(Vanity, content_guid)
            if vanity is not None:
                session.delete(vanity)
        self.reload()
        return vanity is not None

    def reload(self) -> None:
        """Take up what has changed in the records."""
        self._guids = {vanity.path: vanity.content_guid for vanity in self.all()}


def _normal(text: str) -> str:
    path = f"/{text.strip('/')}/"
    if len(path) > 256 or not _PATH.fullmatch(path):
        raise BadRequest(
            f"{text!r} cannot be a path: "
            "it takes letters, digits, hyphens, underscores and slashes."
        )
    first = path.split("/")[1].lower()
    if first in _RESERVED or first.startswith("__"):
        raise BadRequest(f"{path} cannot be a path: Connect keeps /{first} for itself.")
    return path
