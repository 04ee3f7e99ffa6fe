"""May they: which user may see, open and change which content."""

from __future__ import annotations

from local_connect.errors import Forbidden, NotFound, Unauthenticated
from local_connect.store import Content, User


def may_change(user: User, content: Content) -> bool:
    """The owner and administrators may."""
    return user.user_role == "administrator" or content.owner_guid == user.guid


def may_open(user: User | None, content: Content) -> bool:
    """Whether a visitor may reach the content itself, by its `access_type` (documented)."""
    if content.access_type == "all":
        return True
    if user is None:
        return False
    return content.access_type == "logged_in" or may_change(user, content)


def app_role(user: User, content: Content) -> str:
    """What Connect's API calls the caller's role on a content item."""
    if content.owner_guid == user.guid:
        return "owner"
    if user.user_role == "administrator":
        return "editor"
    return "viewer" if may_open(user, content) else "none"


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
    if not may_open(user, content):
        raise NotFound("There is no such content, or you may not see it.")


def check_change(user: User, content: Content) -> None:
    """Raise where the user may not change the content."""
    check_see(user, content)
    if not may_change(user, content):
        raise Forbidden(f"{user.username} may not change this content: its owner is another user.")


def check_publish(user: User) -> None:
    """Raise where the user's role does not allow to publish."""
    if user.user_role == "viewer":
        raise Forbidden(f"{user.username} is a viewer and may not publish.")


def check_administrator(user: User) -> None:
    if user.user_role != "administrator":
        raise Forbidden("This is for administrators only.")
