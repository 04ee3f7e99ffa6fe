"""Who is it: users, groups and API keys, and how a request shows one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from local_connect.errors import Unauthenticated
from local_connect.store import Group, Store, User

#: both are accepted on the API and on content URLs (documented)
KEY_HEADERS = ("X-RSC-Authorization", "Authorization")

ROLES = ("viewer", "publisher", "administrator")


@dataclass(frozen=True)
class Identity:
    """A user as the default three or a users file describe one."""

    username: str
    user_role: str
    groups: tuple[str, ...] = ()
    email: str = ""
    first_name: str = ""
    last_name: str = ""


DEFAULT_IDENTITIES = (
    Identity("admin", "administrator", first_name="Ada", email="admin@example.com"),
    Identity(
        "alice",
        "publisher",
        ("data-science", "staff"),
        first_name="Alice",
        email="alice@example.com",
    ),
    Identity("bob", "viewer", first_name="Bob", email="bob@example.com"),
)


class Identities:
    """The users of one server, and the keys that show who is who."""

    def __init__(self, store: Store, *, owner_of_job_key: Callable[[str], str | None]) -> None:
        self._store = store
        self._owner_of_job_key = owner_of_job_key
        self._by_guid: dict[str, User] = {}
        self._by_key: dict[str, User] = {}

    def seed(self, identities: tuple[Identity, ...]) -> None:
        """Make the records agree with `identities`; known users keep their GUID and key."""
        with self._store.session() as session:
            groups = {group.name: group for group in session.scalars(select(Group))}
            users = {user.username: user for user in session.scalars(select(User))}
            for identity in identities:
                for name in identity.groups:
                    if name not in groups:
                        groups[name] = Group(name=name)
                user = users.get(identity.username)
                if user is None:
                    user = User(username=identity.username, user_role=identity.user_role)
                    session.add(user)
                user.user_role = identity.user_role
                user.email = identity.email
                user.first_name = identity.first_name
                user.last_name = identity.last_name
                user.groups = [groups[name] for name in identity.groups]

        with self._store.session() as session:
            everyone = session.scalars(select(User).order_by(User.username)).all()
        self._by_guid = {user.guid: user for user in everyone}
        self._by_key = {user.api_key: user for user in everyone}

    def all(self) -> list[User]:
        """Every user, by name."""
        return list(self._by_guid.values())

    def get(self, guid: str) -> User | None:
        return self._by_guid.get(guid)

    def from_headers(self, headers: Mapping[str, str]) -> User | None:
        """The owner of the API key that a request carries; None where it carries none.

        A key that nobody has raises `Unauthenticated`, so that a wrong key is never
        mistaken for an anonymous visit.
        """
        for header in KEY_HEADERS:
            scheme, _, key = headers.get(header, "").partition(" ")
            if scheme.lower() == "key":
                return self._from_key(key.strip())
        return None

    def _from_key(self, key: str) -> User:
        owner = self._owner_of_job_key(key)
        user = self._by_guid.get(owner) if owner else self._by_key.get(key)
        if user is None:
            raise Unauthenticated("The API key is not valid.")
        return user
