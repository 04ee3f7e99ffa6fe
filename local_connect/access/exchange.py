"""The exchange of a session token for credentials, by which content acts for its visitor.

The request is that of RFC 8693, as posit-sdk and connectapi send it. Content sends it with its own
key. Whoever may change the content may do so too, as they decide what it does with its visitors'
tokens in any case (inferred).
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import select

from local_connect.access import rights
from local_connect.access.identity import Credential, Identities, lowest, with_role
from local_connect.access.integrations import CONNECT, Integrations, max_role
from local_connect.errors import ApiError, BadRequest, Forbidden, NotFound
from local_connect.records.store import (
    SERVICE_ACCOUNT,
    VISITOR_API_KEY,
    Content,
    Integration,
    OauthSession,
    Store,
    User,
    now,
)

_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
_USER_SESSION = "urn:posit:connect:user-session-token"
_CONTENT_SESSION = "urn:posit:connect:content-session-token"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 (a name)
_AWS = "urn:ietf:params:aws:token-type:credentials"
_API_KEY = "urn:posit:connect:api-key"

#: of an answer, by the type of what it has
_TOKEN_TYPES = {_ACCESS_TOKEN: "Bearer", _AWS: "aws_credentials", _API_KEY: "Key"}

#: how long credentials for AWS last that do not say it
_AWS_LASTS = timedelta(hours=1)

#: exchanges that are remembered
_ACTS = 1000


class NotAssociated(ApiError):
    """400: content asks for an integration that it may not use."""

    code = 212


@dataclass(frozen=True)
class Act:
    """That content got credentials for somebody."""

    number: int
    content_guid: str
    #: of the visitor; None where it was its service account's
    user_guid: str | None
    integration: str
    #: of a key for Connect's own API
    user_role: str | None


class Exchange:
    """Gives credentials for tokens, and remembers to which content and for whom."""

    def __init__(
        self,
        store: Store,
        identities: Identities,
        integrations: Integrations,
        *,
        content_of_token: Callable[[str], str | None],
    ) -> None:
        self._store = store
        self._identities = identities
        self._integrations = integrations
        self._content_of_token = content_of_token
        self._acts: deque[Act] = deque(maxlen=_ACTS)
        self._numbers = count(1)

    @property
    def last(self) -> int:
        """The number of the newest act."""
        return self._acts[-1].number if self._acts else 0

    def acts(self, content_guid: str, since: int) -> Iterator[Act]:
        """What content got since the act of that number, the oldest first."""
        for act in self._acts:
            if act.content_guid == content_guid and act.number > since:
                yield act

    def credentials(
        self, by: User, content_guid: str | None, form: Mapping[str, str]
    ) -> dict[str, str]:
        """What a form asks for; `content_guid` is the content whose key the request carries.

        Raises an `ApiError` that says why not.
        """
        if form.get("grant_type") != _GRANT_TYPE:
            raise BadRequest(f"grant_type is not {_GRANT_TYPE}.")
        kind, token = form.get("subject_token_type"), form.get("subject_token")
        if kind not in (_USER_SESSION, _CONTENT_SESSION):
            raise BadRequest(
                f"subject_token_type is neither {_USER_SESSION} nor {_CONTENT_SESSION}."
            )
        if not token:
            raise BadRequest("subject_token is missing.")
        wanted = form.get("requested_token_type") or None
        if wanted not in (None, *_TOKEN_TYPES):
            raise BadRequest(f"requested_token_type is not one of {', '.join(_TOKEN_TYPES)}.")
        audience = form.get("audience") or None
        if kind == _CONTENT_SESSION:
            return self._for_service(by, content_guid, token, wanted, audience)
        return self._for_visitor(by, content_guid, token, wanted, audience)

    def _for_visitor(
        self, by: User, caller: str | None, token: str, wanted: str | None, audience: str | None
    ) -> dict[str, str]:
        visit = self._identities.session_tokens.visit(token)
        content = self._check(by, caller, visit.content_guid)
        integration = self._choose(content, wanted, audience, of_service=False)
        visitor = self._identities.get(visit.user_guid)
        if visitor is None or visitor.locked:
            raise Forbidden("The visitor of this token may not come in any more.")
        visitor = with_role(visitor, visit.user_role)
        if not rights.may_open(visitor, content):
            raise Forbidden(f"{visitor.username} may not open this content any more.")
        if integration.template == CONNECT:
            role = lowest(visitor.user_role, max_role(integration))
            self._note(content, visitor, integration, role)
            return _answer(_API_KEY, self._identities.ephemeral_keys.make(visitor.guid, role))
        answer = _given(
            self._identities.credential(visitor.guid, integration.name),
            wanted,
            integration,
            visitor.username,
        )
        self._keep_session(visitor, integration)
        self._note(content, visitor, integration, None)
        return answer

    def _for_service(
        self, by: User, caller: str | None, token: str, wanted: str | None, audience: str | None
    ) -> dict[str, str]:
        content_guid = self._content_of_token(token)
        if content_guid is None:
            raise BadRequest("The content session token is not valid, or its process has ended.")
        content = self._check(by, caller, content_guid)
        integration = self._choose(content, wanted, audience, of_service=True)
        owner = self._identities.get(content.owner_guid)
        answer = _given(
            self._identities.credential(content.owner_guid, integration.name),
            wanted,
            integration,
            owner.username if owner else "The owner",
        )
        self._note(content, None, integration, None)
        return answer

    def _check(self, by: User, caller: str | None, content_guid: str) -> Content:
        """The content that a token is of, if the caller may exchange it."""
        content = self._store.content(content_guid)
        if content is None:
            raise NotFound("The content of this token is gone.")
        if caller is None:
            rights.check_change(by, content)
        elif caller != content_guid:
            raise Forbidden("This token is of other content.")
        return content

    def _choose(
        self, content: Content, wanted: str | None, audience: str | None, *, of_service: bool
    ) -> Integration:
        """The integration that is meant, which fits both the token and what is wanted for it."""
        used = [use.integration for use in self._integrations.of_content(content.guid)]
        if audience is not None:
            used = [integration for integration in used if integration.guid == audience]
        if not used:
            raise NotAssociated(
                "No integration is associated with this content."
                if audience is None
                else "The integration that audience names is not associated with this content."
            )
        fitting = [
            integration
            for integration in used
            if (integration.auth_type == SERVICE_ACCOUNT) == of_service
            and _fits(integration, wanted)
        ]
        if len(fitting) > 1:
            names = ", ".join(integration.name for integration in fitting)
            raise BadRequest(f"Several integrations may be meant: {names}. Name one as audience.")
        if not fitting:
            names = ", ".join(f"{one.name} ({one.auth_type})" for one in used)
            token = _CONTENT_SESSION if of_service else _USER_SESSION
            raise BadRequest(f"No {wanted or _ACCESS_TOKEN} comes of a {token} by {names}.")
        return fitting[0]

    def _keep_session(self, visitor: User, integration: Integration) -> None:
        with self._store.session() as session:
            known = session.scalars(
                select(OauthSession).filter_by(
                    user_guid=visitor.guid, integration_guid=integration.guid
                )
            ).one_or_none()
            if known:
                known.updated_time = now()
            else:
                session.add(OauthSession(user_guid=visitor.guid, integration_guid=integration.guid))

    def _note(
        self, content: Content, visitor: User | None, integration: Integration, role: str | None
    ) -> None:
        guid = visitor.guid if visitor else None
        self._acts.append(Act(next(self._numbers), content.guid, guid, integration.name, role))


def _fits(integration: Integration, wanted: str | None) -> bool:
    """Whether an integration gives what is wanted; where nothing is said, what it has."""
    if integration.auth_type == VISITOR_API_KEY:
        return wanted in (None, _API_KEY)
    return wanted != _API_KEY


def _given(
    credential: Credential | None, wanted: str | None, integration: Integration, who: str
) -> dict[str, str]:
    """Credentials of the users file, in the form that is wanted."""
    if credential is None:
        raise Forbidden(
            f"{who} has no credentials for {integration.name}: the users file has them "
            "in [users.credentials]."
        )
    if isinstance(credential, str):
        if wanted == _AWS:
            raise BadRequest(f"What {who} has for {integration.name} is not for AWS.")
        return _answer(_ACCESS_TOKEN, credential)
    if wanted == _ACCESS_TOKEN:
        raise BadRequest(f"What {who} has for {integration.name} is for AWS: request {_AWS}.")
    expiration = (datetime.now(UTC) + _AWS_LASTS).strftime("%Y-%m-%dT%H:%M:%SZ")
    whole = json.dumps({"expiration": expiration, **credential})
    return _answer(_AWS, base64.b64encode(whole.encode()).decode())


def _answer(issued: str, token: str) -> dict[str, str]:
    return {
        "access_token": token,
        "issued_token_type": issued,
        "token_type": _TOKEN_TYPES[issued],
    }
