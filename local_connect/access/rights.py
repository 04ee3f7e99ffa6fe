"""Rights: which user may see, open and change which content.

By `access_type` everyone, whoever is signed in, or those on the access list may open
content; its owner and collaborators (listed with the role `owner`) may change it too.
An administrator may change all content, but opens only what any other user in their
place could open: their role on the rest is `none` (documented in posit-sdk).
"""

from __future__ import annotations

from local_connect.errors import Forbidden, NotFound, Unauthenticated
from local_connect.records.store import Content, User


def app_role(user: User | None, content: Content) -> str:
    """What Connect's API calls a user's role on a content item: owner, editor, viewer or none."""
    if user is not None:
        if content.owner_guid == user.guid:
            return "owner"
        principals = {user.guid, *(group.guid for group in user.groups)}
        listed = {
            permission.role
            for permission in content.permissions
            if permission.principal_guid in principals
        }
        if "owner" in listed and user.user_role != "viewer":
            return "editor"
        if listed or content.access_type == "logged_in":
            return "viewer"
    return "viewer" if content.access_type == "all" else "none"


def may_open(user: User | None, content: Content) -> bool:
    """Whether a visitor may reach the content itself."""
    return content.access_type == "all" or app_role(user, content) != "none"


def may_see(user: User, content: Content) -> bool:
    """Whether a user may know of the content and read its settings."""
    return user.user_role == "administrator" or may_open(user, content)


def may_change(user: User | None, content: Content) -> bool:
    """Whether a user may deploy to the content and change its settings."""
    if user is None:
        return False
    return user.user_role == "administrator" or app_role(user, content) in ("owner", "editor")


def check_open(user: User | None, content: Content) -> None:
    """Raise 401 for a stranger and 403 for a user where they may not open the content."""
    if may_open(user, content):
        return
    if user is None:
        raise Unauthenticated(
            "This content is not open to everyone. Send an API key: Authorization: Key <key>."
        )
    raise Forbidden(f"{user.username} may not open this content.")


def check_see(user: User, content: Content) -> None:
    """Raise 404 where the user may not even know of the content."""
    if not may_see(user, content):
        raise NotFound("There is no such content, or you may not see it.")


def check_change(user: User, content: Content) -> None:
    """Raise where the user may not change the content."""
    check_see(user, content)
    check_publish(user)
    if not may_change(user, content):
        raise Forbidden(
            f"{user.username} may not change this content: its owner or a collaborator may."
        )


def check_publish(user: User) -> None:
    """Raise where the user's role does not allow to publish."""
    if user.user_role == "viewer":
        raise Forbidden(f"{user.username} is a viewer and may not publish.")


def check_administrator(user: User) -> None:
    """Raise unless the user is an administrator."""
    if user.user_role != "administrator":
        raise Forbidden(f"{user.username} is not an administrator.")
