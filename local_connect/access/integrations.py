"""OAuth integrations: what there is, who may change and use it, and which content uses it.

Of Connect's templates all are here by name. What an integration is configured with is kept as it
comes, less its secrets: nothing here talks to the services behind them. The template `connect`
gives content keys of its visitors, for Connect's own API; one such integration is there from the
beginning, with a maximum role that is inferred.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from local_connect.access import rights
from local_connect.access.identity import ROLES, Identities
from local_connect.errors import BadRequest, Conflict, NotFound
from local_connect.records.store import (
    SERVICE_ACCOUNT,
    VIEWER,
    VISITOR_API_KEY,
    Association,
    Content,
    Integration,
    Store,
    User,
    now,
)

#: the template whose integrations give keys for Connect's own API
CONNECT = "connect"

#: id and name
TEMPLATES = {
    "aws": "AWS",
    "azure": "Azure",
    "azure-openai": "Azure OpenAI",
    "bigquery": "Google BigQuery",
    CONNECT: "Connect Visitor API Key",
    "custom": "Custom",
    "databricks": "Databricks",
    "drive": "Google Drive",
    "github": "GitHub",
    "msgraph": "Microsoft Graph",
    "salesforce": "Salesforce",
    "sharepoint": "SharePoint",
    "sheets": "Google Sheets",
    "snowflake": "Snowflake",
    "vertex-ai": "Google Vertex AI",
}

_DEFAULT_MAX_ROLE = "Publisher"

#: the parts of a configuration that are forgotten at once
_SECRETS = ("client_secret", "private_key", "password")

_FIELDS = ("name", "description", "config", "permissions")


@dataclass(frozen=True)
class Use:
    """That a content item may use an integration."""

    association: Association
    integration: Integration


class Integrations:
    """The integrations of one server, with what content may use them."""

    def __init__(self, store: Store, identities: Identities) -> None:
        self._store = store
        self._identities = identities
        with store.session() as session:
            ever = text("SELECT 1 FROM sqlite_sequence WHERE name = 'integrations'")
            if session.scalar(ever) is None:
                session.add(_first())

    def begin_anew(self) -> None:
        """Have what a new server has, where there is none at all."""
        with self._store.session() as session:
            if session.scalars(select(Integration.id)).first() is None:
                session.add(_first())

    def all(self, by: User) -> list[Integration]:
        """The integrations that a user may use, the oldest first."""
        with self._store.session() as session:
            found = session.scalars(select(Integration).order_by(Integration.id)).all()
        return [integration for integration in found if _may_use(by, integration)]

    def get(self, by: User, guid: str) -> Integration:
        with self._store.session() as session:
            integration = _integration_of(session, guid)
        if not _may_use(by, integration):
            raise NotFound("There is no such integration, or you may not use it.")
        return integration

    def create(self, by: User, fields: dict[str, Any]) -> Integration:
        rights.check_administrator(by)
        template = fields.get("template")
        if not isinstance(template, str) or template not in TEMPLATES:
            raise BadRequest(f"template is not one of {', '.join(TEMPLATES)}.")
        config = _config(template, fields.get("config") or {})
        integration = Integration(
            template=template, auth_type=_auth_type(template, config), name=TEMPLATES[template]
        )
        given = {field: value for field, value in fields.items() if field != "template"}
        self._set(integration, {**given, "config": config})
        with self._store.session() as session:
            session.add(integration)
        return integration

    def update(self, by: User, guid: str, fields: dict[str, Any]) -> Integration:
        """Change what is given; whose credentials an integration gives stays as it is."""
        rights.check_administrator(by)
        with self._store.session() as session:
            integration = _integration_of(session, guid)
            if fields.get("template", integration.template) != integration.template:
                raise BadRequest("The template of an integration cannot be changed.")
            if fields.get("config") is not None:
                config = _config(integration.template, fields["config"])
                if _auth_type(integration.template, config) != integration.auth_type:
                    raise BadRequest("The auth_type of an integration cannot be changed.")
                fields = {**fields, "config": config}
            self._set(integration, {k: v for k, v in fields.items() if k != "template"})
            integration.updated_time = now()
        return integration

    def delete(self, by: User, guid: str) -> list[str]:
        """Delete an integration; the GUIDs of the content that it was a service account of."""
        rights.check_administrator(by)
        with self._store.session() as session:
            integration = _integration_of(session, guid)
            used = session.scalars(
                select(Association.content_guid).filter_by(integration_guid=guid)
            ).all()
            session.delete(integration)
        return list(used) if integration.auth_type == SERVICE_ACCOUNT else []

    def of_content(self, content_guid: str) -> list[Use]:
        """What a content item may use, in the order in which the integrations were made."""
        return self._uses(Association.content_guid == content_guid)

    def of_integration(self, by: User, guid: str) -> list[Use]:
        """What uses an integration, as far as the user may see it."""
        self.get(by, guid)
        return [
            use
            for use in self._uses(Association.integration_guid == guid)
            if (content := self._store.content(use.association.content_guid))
            and rights.may_see(by, content)
        ]

    def associate(self, by: User, content: Content, guids: Iterable[str]) -> bool:
        """Let content use these integrations and no others.

        Whether it gained or lost a service account, which its processes have to be told. Raises
        where the user may not use one, or where one is of the visitor's and content is open to
        those who are not signed in.
        """
        before = {use.integration.guid: use.integration for use in self.of_content(content.guid)}
        after = {
            guid: before[guid] if guid in before else self.get(by, guid)
            for guid in dict.fromkeys(guids)
        }
        for integration in after.values():
            _check_open(integration, content.access_type)
        with self._store.session() as session:
            for association in session.scalars(
                select(Association).filter_by(content_guid=content.guid)
            ):
                if association.integration_guid not in after:
                    session.delete(association)
            for guid in after:
                if guid not in before:
                    session.add(Association(content_guid=content.guid, integration_guid=guid))
        return _has_service_account(before.values()) != _has_service_account(after.values())

    def check_access(self, content: Content, access_type: str) -> None:
        """Raise where content cannot have this access type, for the integrations that it uses."""
        for use in self.of_content(content.guid):
            _check_open(use.integration, access_type)

    def _uses(self, condition: Any) -> list[Use]:
        query = (
            select(Association, Integration)
            .join(Integration, Integration.guid == Association.integration_guid)
            .where(condition)
            .order_by(Integration.id)
        )
        with self._store.session() as session:
            return [Use(*row) for row in session.execute(query).all()]

    def _set(self, integration: Integration, fields: dict[str, Any]) -> None:
        for field, value in fields.items():
            if field not in _FIELDS:
                raise BadRequest(f"An integration has no {field}.", code=121)
            if value is None:
                continue
            if field in ("name", "description"):
                if not isinstance(value, str) or len(value) > 255:
                    raise BadRequest(f"{field} is not text of at most 255 characters.")
                if field == "name" and not (value and value.isprintable()):
                    raise BadRequest("name is not text on one line.")
            elif field == "permissions":
                value = self._permissions(value)
            setattr(integration, field, value)

    def _permissions(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise BadRequest("permissions is not a list.")
        groups = {group.guid for group in self._identities.groups()}
        permissions = []
        for entry in value:
            user, group = (
                (entry.get("user_guid"), entry.get("group_guid"))
                if isinstance(entry, dict)
                else (None, None)
            )
            if bool(user) == bool(group):
                raise BadRequest("A permission names a user_guid or a group_guid.")
            if user and not (isinstance(user, str) and self._identities.get(user)):
                raise NotFound(f"There is no user {user}.")
            if group and not (isinstance(group, str) and group in groups):
                raise NotFound(f"There is no group {group}.")
            permissions.append({"user_guid": user or None, "group_guid": group or None})
        return permissions


def _first() -> Integration:
    """The one that is there from the beginning."""
    return Integration(
        template=CONNECT,
        auth_type=VISITOR_API_KEY,
        name=TEMPLATES[CONNECT],
        description="Lets content use Connect's API on behalf of its visitor.",
        config={"max_role": _DEFAULT_MAX_ROLE},
    )


def max_role(integration: Integration) -> str:
    """The most that a key of a visitor's is good for, as a user's role."""
    return _role(integration.config.get("max_role", _DEFAULT_MAX_ROLE))


def _check_open(integration: Integration, access_type: str) -> None:
    if integration.auth_type != SERVICE_ACCOUNT and access_type == "all":
        raise Conflict(
            f"{integration.name} is for visitors who are signed in, and this content is open to "
            "everyone: give it another access_type, or take the integration away first.",
            code=0,
        )


def _has_service_account(integrations: Iterable[Integration]) -> bool:
    return any(integration.auth_type == SERVICE_ACCOUNT for integration in integrations)


def _may_use(user: User, integration: Integration) -> bool:
    """Whether the integration's list has the user; an empty one is for all (documented)."""
    if user.user_role == "administrator" or not integration.permissions:
        return True
    groups = {group.guid for group in user.groups}
    return any(
        entry["user_guid"] == user.guid or entry["group_guid"] in groups
        for entry in integration.permissions
    )


def _config(template: str, config: Any) -> dict[str, Any]:
    """What is kept of a configuration that a client sent."""
    if not isinstance(config, dict):
        raise BadRequest("config is not an object.")
    kept = {key: value for key, value in config.items() if key not in _SECRETS}
    if template == CONNECT:
        _role(kept.setdefault("max_role", _DEFAULT_MAX_ROLE))
    else:
        kept.setdefault("auth_type", VIEWER)
    return kept


def _auth_type(template: str, config: dict[str, Any]) -> str:
    if template == CONNECT:
        return VISITOR_API_KEY
    auth_type = config["auth_type"]
    if auth_type not in (VIEWER, SERVICE_ACCOUNT):
        raise BadRequest(f"auth_type is neither {VIEWER} nor {SERVICE_ACCOUNT}.")
    return str(auth_type)


def _role(name: Any) -> str:
    """A role as integrations spell it, such as `Publisher`, as that of a user."""
    role = {"admin": "administrator"}.get(str(name).lower(), str(name).lower())
    if role not in ROLES:
        raise BadRequest("max_role is not one of Viewer, Publisher, Administrator.")
    return role


def _integration_of(session: Session, guid: str) -> Integration:
    integration = session.scalars(select(Integration).filter_by(guid=guid)).one_or_none()
    if integration is None:
        raise NotFound("There is no such integration, or you may not use it.")
    return integration
