"""Users and groups as they are made and changed through the API, and who may do that.

What is made or changed so is recorded, and has precedence over the identities that a server
starts with: they describe the others.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from local_connect.access import rights
from local_connect.access.identity import ROLES, Identities
from local_connect.errors import BadRequest, Conflict, Forbidden, NotFound
from local_connect.records.store import Group, Permission, Store, User, now

#: fields of a user that can be set
_TEXTS = ("username", "email", "first_name", "last_name")

#: what clients send for a server with passwords or another provider of users; it is not looked at
_OF_PROVIDERS = ("password", "user_must_set_password", "unique_id", "external_id")

#: the role of a user who is made without one (Connect's own default)
_DEFAULT_ROLE = "viewer"


class Accounts:
    """Changes to the users and groups of one server, each on behalf of a user."""

    def __init__(self, store: Store, identities: Identities) -> None:
        self._store = store
        self._identities = identities

    def create_user(self, by: User, fields: dict[str, Any]) -> User:
        rights.check_administrator(by)
        _check_user(fields)
        if "username" not in fields:
            raise BadRequest("A user has a username.")
        user = User(username=fields["username"], user_role=_DEFAULT_ROLE, administered=True)
        with self._store.session() as session:
            session.add(user)
            self._set(session, user, fields)
        return self._reloaded(user.guid)

    def update_user(self, by: User, guid: str, fields: dict[str, Any]) -> User:
        """Change fields of a user: an administrator those of all, others their own but the role."""
        if by.guid != guid:
            rights.check_administrator(by)
        with self._store.session() as session:
            user = _user_of(session, guid)
            _check_user(fields)
            if fields.get("user_role", user.user_role) != user.user_role:
                rights.check_administrator(by)
                self._check_not_last(user)
            self._set(session, user, fields)
            user.administered = True
            user.updated_time = now()
        return self._reloaded(guid)

    def lock(self, by: User, guid: str, locked: bool) -> User:
        """Lock a user or let them in again; whoever is in may lock themselves."""
        if by.guid != guid or not locked:
            rights.check_administrator(by)
        with self._store.session() as session:
            user = _user_of(session, guid)
            if locked:
                self._check_not_last(user)
            user.locked = locked
            user.administered = True
        return self._reloaded(guid)

    def create_group(self, by: User, fields: dict[str, Any]) -> Group:
        rights.check_publish(by)
        group = Group(name=_group_name(fields), owner_guid=by.guid)
        with self._store.session() as session:
            _check_free(session, group)
            session.add(group)
        return group

    def update_group(self, by: User, guid: str, fields: dict[str, Any]) -> Group:
        """Change a group's name, or whose it is."""
        with self._store.session() as session:
            group = _group_of(session, guid)
            _check_group(by, group)
            for field in fields:
                if field not in ("name", "owner_guid"):
                    raise BadRequest(f"A group has no {field}.", code=121)
            if "name" in fields:
                group.name = _group_name(fields)
                _check_free(session, group)
            if "owner_guid" in fields:
                group.owner_guid = _user_of(session, str(fields["owner_guid"])).guid
            self._administer(session, group)
        self._identities.reload()
        return group

    def delete_group(self, by: User, guid: str) -> None:
        """Delete a group, with what it was permitted."""
        with self._store.session() as session:
            group = _group_of(session, guid)
            _check_group(by, group)
            self._administer(session, group)
            session.execute(delete(Permission).filter_by(principal_guid=guid))
            session.delete(group)
        self._identities.reload()

    def add_member(self, by: User, group_guid: str, user_guid: str) -> None:
        with self._store.session() as session:
            group = _group_of(session, group_guid)
            _check_group(by, group)
            user = _user_of(session, user_guid)
            if group in user.groups:
                raise Conflict(f"{user.username} is in the group {group.name} already.", code=0)
            user.groups.append(group)
            user.administered = True
        self._identities.reload()

    def remove_member(self, by: User, group_guid: str, user_guid: str) -> None:
        """Take a user out of a group; whoever is in one may leave it."""
        with self._store.session() as session:
            group = _group_of(session, group_guid)
            if by.guid != user_guid:
                _check_group(by, group)
            user = _user_of(session, user_guid)
            if group not in user.groups:
                raise NotFound(f"{user.username} is not in the group {group.name}.")
            user.groups.remove(group)
            user.administered = True
        self._identities.reload()

    def _set(self, session: Session, user: User, fields: dict[str, Any]) -> None:
        taken = select(User).where(User.username == fields.get("username"), User.guid != user.guid)
        with session.no_autoflush:
            if session.scalars(taken).first():
                raise Conflict(f"There is a user {fields['username']} already.")
        for field in (*_TEXTS, "user_role"):
            if field in fields:
                setattr(user, field, fields[field])

    def _administer(self, session: Session, group: Group) -> None:
        """Let the group's members keep what is done to it, whatever the server starts with."""
        for user in session.scalars(select(User).where(User.groups.contains(group))):
            user.administered = True

    def _check_not_last(self, user: User) -> None:
        others = (other for other in self._identities.all() if other.guid != user.guid)
        if user.user_role == "administrator" and not any(
            other.user_role == "administrator" for other in others
        ):
            raise Conflict(f"{user.username} is the only administrator who is left.", code=0)

    def _reloaded(self, guid: str) -> User:
        self._identities.reload()
        user = self._identities.get(guid)
        assert user is not None  # noqa: S101 (it has just been written)
        return user


def _check_user(fields: dict[str, Any]) -> None:
    for field, value in fields.items():
        if field in _TEXTS:
            good = isinstance(value, str) and len(value) <= 255
            if not good or (value and not value.isprintable()):
                raise BadRequest(f"{field} is not text on one line, of at most 255 characters.")
            if field == "username" and not value:
                raise BadRequest("The username is empty.")
        elif field == "user_role":
            if value not in ROLES:
                raise BadRequest(f"user_role is not one of {', '.join(ROLES)}.")
        elif field not in _OF_PROVIDERS:
            raise BadRequest(f"A user has no {field}.", code=121)


def _check_group(by: User, group: Group) -> None:
    """Raise where a user may not change a group: its owner may, and administrators."""
    rights.check_publish(by)
    if group.owner_guid != by.guid and by.user_role != "administrator":
        raise Forbidden(f"{by.username} may not change the group {group.name}.")


def _check_free(session: Session, group: Group) -> None:
    taken = select(Group).where(Group.name == group.name, Group.guid != group.guid)
    with session.no_autoflush:
        if session.scalars(taken).first():
            raise Conflict(f"There is a group {group.name} already.")


def _group_name(fields: dict[str, Any]) -> str:
    name = fields.get("name")
    if not isinstance(name, str) or not name or len(name) > 255 or not name.isprintable():
        raise BadRequest("A group's name is text on one line, of 1 to 255 characters.")
    return name


def _user_of(session: Session, guid: str) -> User:
    user = session.get(User, guid)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _group_of(session: Session, guid: str) -> Group:
    group = session.get(Group, guid)
    if group is None:
        raise NotFound("There is no such group.")
    return group
