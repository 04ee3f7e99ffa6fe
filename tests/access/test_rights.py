"""Which role a user has on content, and what it allows: the rules, over records in memory."""

import pytest

from local_connect.access import rights
from local_connect.errors import ApiError, Forbidden, NotFound, Unauthenticated
from local_connect.records.store import Content, Group, Permission, User

pytestmark = pytest.mark.quick

ACCESS_TYPES = ("all", "logged_in", "acl")
USER_ROLES = ("viewer", "publisher", "administrator")

OWNER = "owner"
GROUP = Group(name="staff", guid="group")


def visitor(user_role: str, relation: str) -> User:
    """A user of that role, who is `owner` of the content, or not; one `in a group` has a group."""
    guid = OWNER if relation == "owner" else "visitor"
    groups = [GROUP] if relation.startswith("group") else []
    return User(username="visitor", user_role=user_role, guid=guid, groups=groups)


def content(access_type: str, relation: str) -> Content:
    """Content of that access type, which lists the visitor or their group as the relation says."""
    item = Content(name="greetings", owner_guid=OWNER, access_type=access_type)
    _, _, listed_as = relation.partition(" as ")
    if listed_as:
        kind = "group" if relation.startswith("group") else "user"
        item.permissions.append(
            Permission(
                content_guid=item.guid,
                principal_guid="group" if kind == "group" else "visitor",
                principal_type=kind,
                role=listed_as,
            )
        )
    return item


#: app_role by relation and role of the user, for the access types all, logged_in and acl
APP_ROLES = {
    ("owner", "viewer"): ("owner", "owner", "owner"),
    ("owner", "publisher"): ("owner", "owner", "owner"),
    ("owner", "administrator"): ("owner", "owner", "owner"),
    ("none", "viewer"): ("viewer", "viewer", "none"),
    ("none", "publisher"): ("viewer", "viewer", "none"),
    # documented in posit-sdk: an administrator's own role is none
    ("none", "administrator"): ("viewer", "viewer", "none"),
    ("user as viewer", "viewer"): ("viewer", "viewer", "viewer"),
    ("user as viewer", "publisher"): ("viewer", "viewer", "viewer"),
    ("user as viewer", "administrator"): ("viewer", "viewer", "viewer"),
    # a viewer who is listed as a collaborator is none
    ("user as owner", "viewer"): ("viewer", "viewer", "viewer"),
    ("user as owner", "publisher"): ("editor", "editor", "editor"),
    ("user as owner", "administrator"): ("editor", "editor", "editor"),
    ("group as viewer", "viewer"): ("viewer", "viewer", "viewer"),
    ("group as viewer", "publisher"): ("viewer", "viewer", "viewer"),
    ("group as viewer", "administrator"): ("viewer", "viewer", "viewer"),
    ("group as owner", "viewer"): ("viewer", "viewer", "viewer"),
    ("group as owner", "publisher"): ("editor", "editor", "editor"),
    ("group as owner", "administrator"): ("editor", "editor", "editor"),
    # in a group that is not listed
    ("group", "publisher"): ("viewer", "viewer", "none"),
}

TABLE = [
    (relation, user_role, access_type, role)
    for (relation, user_role), roles in APP_ROLES.items()
    for access_type, role in zip(ACCESS_TYPES, roles, strict=True)
]


@pytest.mark.parametrize(("relation", "user_role", "access_type", "role"), TABLE)
def test_the_role_and_what_it_allows(
    relation: str, user_role: str, access_type: str, role: str
) -> None:
    user, item = visitor(user_role, relation), content(access_type, relation)
    manages = user_role == "administrator"
    assert rights.app_role(user, item) == role
    assert rights.may_open(user, item) == (role != "none")
    assert rights.may_see(user, item) == (role != "none" or manages)
    assert rights.may_change(user, item) == (role in ("owner", "editor") or manages)


@pytest.mark.parametrize("access_type", ACCESS_TYPES)
def test_a_stranger_opens_what_is_open_to_everyone_and_changes_nothing(access_type: str) -> None:
    item = content(access_type, "user as owner")
    is_open = access_type == "all"
    assert rights.app_role(None, item) == ("viewer" if is_open else "none")
    assert rights.may_open(None, item) == is_open
    assert not rights.may_change(None, item)


@pytest.mark.parametrize(
    ("relation", "user_role", "refusal"),
    [
        # they do not learn that it exists
        ("none", "viewer", NotFound),
        ("none", "publisher", NotFound),
        ("none", "administrator", None),
        ("user as viewer", "publisher", Forbidden),
        ("user as owner", "viewer", Forbidden),
        ("user as owner", "publisher", None),
        ("owner", "publisher", None),
        # an owner who was made a viewer keeps the content and may not publish
        ("owner", "viewer", Forbidden),
    ],
)
def test_how_a_change_is_refused(
    relation: str, user_role: str, refusal: type[ApiError] | None
) -> None:
    user, item = visitor(user_role, relation), content("acl", relation)
    if refusal is None:
        rights.check_change(user, item)
    else:
        with pytest.raises(refusal):
            rights.check_change(user, item)


def test_how_a_visit_is_refused() -> None:
    item = content("acl", "none")
    with pytest.raises(Unauthenticated, match="Authorization: Key"):
        rights.check_open(None, item)
    with pytest.raises(Forbidden, match="visitor may not open"):
        rights.check_open(visitor("publisher", "none"), item)
    rights.check_open(visitor("publisher", "owner"), item)


@pytest.mark.parametrize("user_role", USER_ROLES)
def test_who_publishes_and_who_administrates(user_role: str) -> None:
    user = visitor(user_role, "none")
    if user_role == "viewer":
        with pytest.raises(Forbidden, match="may not publish"):
            rights.check_publish(user)
    else:
        rights.check_publish(user)
    if user_role == "administrator":
        rights.check_administrator(user)
    else:
        with pytest.raises(Forbidden, match="not an administrator"):
            rights.check_administrator(user)
