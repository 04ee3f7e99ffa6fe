"""Users and groups, and which user a request is from: by an API key or by a session."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from sqlalchemy import select

from local_connect.access.addresses import DASHBOARD, SIGN_IN, Addresses
from local_connect.access.tokens import Tokens
from local_connect.access.visitor_tokens import EphemeralKeys, SessionTokens, Visit
from local_connect.errors import Forbidden, Unauthenticated
from local_connect.records.store import Group, Store, User

#: both are accepted on the API and on content URLs (documented)
KEY_HEADERS = ("X-RSC-Authorization", "Authorization")

#: from the least to the most
ROLES = ("viewer", "publisher", "administrator")

#: addresses that take API keys only, so nobody who visits them is led to sign in
_FOR_PROGRAMS = ("/__api__/", "/__local__/")

#: the names of sessions' cookies, as a pattern
SESSION_COOKIE = r"local-connect-session-\d+"

_SESSION_COOKIE = re.compile(SESSION_COOKIE, re.ASCII)

#: seconds that a page with a form may stay open
_FORM_SECONDS = 12 * 3600.0


#: what a user has at another service: a token, or the parts of AWS's credentials
Credential = str | Mapping[str, str]


@dataclass(frozen=True)
class Identity:
    """A user as the default three or a users file describe one."""

    username: str
    user_role: str
    groups: tuple[str, ...] = ()
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    #: by the names of integrations
    credentials: Mapping[str, Credential] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class _Form:
    """A page of ours with forms in it that somebody has open."""

    until: float
    #: the sessions of the browser that shows it
    sessions: list[str]


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
    """The users of one server, with their API keys, sessions and open forms."""

    def __init__(
        self,
        store: Store,
        addresses: Addresses,
        *,
        owner_of_job_key: Callable[[str], str | None],
    ) -> None:
        self._store = store
        self._addresses = addresses
        self._owner_of_job_key = owner_of_job_key
        self._by_guid: dict[str, User] = {}
        self._by_key: dict[str, User] = {}
        self._sessions: dict[str, str] = {}
        self._forms: dict[str, _Form] = {}
        #: by GUID of user and name of integration
        self._credentials: dict[tuple[str, str], Credential] = {}
        self.tokens = Tokens(store)
        self.session_tokens = SessionTokens()
        self.ephemeral_keys = EphemeralKeys()
        #: the name of the session's cookie, set once the server listens
        self.cookie = ""

    def seed(self, identities: tuple[Identity, ...]) -> None:
        """Make the records agree with `identities`.

        A user who is known already keeps their GUID and key; one who is no longer
        named is locked, and what they own stays. Whom an administrator made or
        changed through the API stays as they are.
        """
        with self._store.session() as session:
            groups = {group.name: group for group in session.scalars(select(Group))}
            users = {user.username: user for user in session.scalars(select(User))}
            for user in users.values():
                user.locked = user.locked or not user.administered
            for identity in identities:
                known = users.get(identity.username)
                if known and known.administered:
                    self._keep_credentials(known, identity)
                    continue
                for name in identity.groups:
                    if name not in groups:
                        groups[name] = Group(name=name)
                user = known or User(username=identity.username, user_role=identity.user_role)
                session.add(user)
                user.user_role = identity.user_role
                user.email = identity.email
                user.first_name = identity.first_name
                user.last_name = identity.last_name
                user.groups = [groups[name] for name in identity.groups]
                user.locked = False
                self._keep_credentials(user, identity)
        self.reload()

    def reload(self) -> None:
        """Take up what has changed in the records of users and groups."""
        with self._store.session() as session:
            everyone = session.scalars(select(User).order_by(User.username)).all()
        self._by_guid = {user.guid: user for user in everyone}
        self._by_key = {user.api_key: user for user in everyone if not user.locked}

    def everyone(self) -> list[User]:
        """Every user, locked or not, by name."""
        return list(self._by_guid.values())

    def all(self) -> list[User]:
        """Every user who may come in, by name."""
        return [user for user in self._by_guid.values() if not user.locked]

    def get(self, guid: str) -> User | None:
        """A user, locked or not, by GUID."""
        return self._by_guid.get(guid)

    def groups(self) -> list[Group]:
        """Every group, by name."""
        with self._store.session() as session:
            return list(session.scalars(select(Group).order_by(Group.name)))

    def secrets(self) -> Iterator[str]:
        """Every key, session and token that is known, to be kept out of what is shown."""
        yield from (user.api_key for user in self.everyone())
        yield from self._sessions
        yield from self.session_tokens.known()
        yield from self.ephemeral_keys.known()
        for credential in self._credentials.values():
            yield from [credential] if isinstance(credential, str) else credential.values()

    def credential(self, user_guid: str, integration: str) -> Credential | None:
        """What a user has for the integration of that name, if anything."""
        return self._credentials.get((user_guid, integration))

    def session_token(self, viewer: User, content_guid: str, *, over: bool = False) -> str:
        """The token of a visitor's session that content gets with a request of theirs.

        With `over` it is one whose time is over already.
        """
        visit = Visit(viewer.guid, viewer.user_role, content_guid)
        return self.session_tokens.give_over(visit) if over else self.session_tokens.give(visit)

    def from_key(self, headers: Mapping[str, str]) -> User | None:
        """The owner of the API key that a request carries; None where it carries none.

        A key that nobody has raises `Unauthenticated`, so that a wrong key is never
        mistaken for an anonymous visit.
        """
        key = key_in(headers)
        return None if key is None else self._owner(key)

    def check_lasting(self, headers: Mapping[str, str]) -> None:
        """Raise `Forbidden` for a key that content was given to act for its visitor."""
        key = key_in(headers)
        if key is not None and self.ephemeral_keys.find(key):
            raise Forbidden("A key that content was given for its visitor is not enough for this.")

    def from_program(self, request: web.Request) -> User | None:
        """The owner of the API key that a request carries, or of the token that signed it.

        A key or a signature that is wrong raises `Unauthenticated`.
        """
        if user := self.from_key(request.headers):
            return user
        guid = self.tokens.owner_guid(request)
        if guid is None:
            return None
        user = self._by_guid.get(guid)
        if user is None or user.locked:
            raise Unauthenticated("The token is not valid any more.")
        return user

    def from_request(self, request: web.Request) -> User | None:
        """The visitor: as a program, else by the session of a browser on a page of ours."""
        if user := self.from_program(request):
            return user
        if not self._addresses.is_own_page(request):
            return None
        return self.from_session(request)

    def from_session(self, request: web.Request) -> User | None:
        """Who signed in with this browser; None where it sends two session cookies.

        Content could have planted one of the two.
        """
        return self._of_sessions(self._session_tokens(request))

    def sign_in(self, username: str) -> str | None:
        """A new session's token for the user of that name, if there is one."""
        for user in self.all():
            if user.username == username:
                token = secrets.token_urlsafe(32)
                self._sessions[token] = user.guid
                return token
        return None

    def open_form(self, request: web.Request) -> str:
        """A token for the forms of a page, by which the server recognises their requests.

        They will not carry the session's cookie, as the page has no origin, so the form
        remembers which session it was opened in.
        """
        now = time.monotonic()
        self._forms = {token: form for token, form in self._forms.items() if form.until > now}
        token = secrets.token_urlsafe(32)
        self._forms[token] = _Form(now + _FORM_SECONDS, self._session_tokens(request))
        return token

    def take_form(self, token: str) -> bool:
        """Whether this form was opened here and not answered before; ends the session it shows."""
        form = self._forms.pop(token, None)
        if form is None or form.until <= time.monotonic():
            return False
        for session in form.sessions:
            self._sessions.pop(session, None)
        return True

    def from_form(self, token: str) -> User | None:
        """Who has the page open that this token is of, while the session it shows lasts.

        Raises `Forbidden` for a token that is not of an open page.
        """
        form = self._forms.get(token)
        if form is None or form.until <= time.monotonic():
            raise Forbidden("This page is out of date, or is not one of ours. Open it again.")
        return self._of_sessions(form.sessions)

    def _of_sessions(self, tokens: list[str]) -> User | None:
        if len(tokens) != 1:
            return None
        user = self._by_guid.get(self._sessions.get(tokens[0], ""))
        return user if user and not user.locked else None

    def _session_tokens(self, request: web.Request) -> list[str]:
        """The values of our session cookie in a request."""
        if "Cookie" not in request.headers:
            return []
        cookies = request.headers.getall("Cookie")
        pairs = (pair.partition("=") for cookie in cookies for pair in cookie.split(";"))
        return [value.strip() for name, _, value in pairs if name.strip() == self.cookie]

    def _owner(self, key: str) -> User:
        owner = self._owner_of_job_key(key)
        ephemeral = self.ephemeral_keys.find(key)
        if owner is None and ephemeral:
            owner = ephemeral.user_guid
        user = self._by_guid.get(owner) if owner else self._by_key.get(key)
        if user is None or user.locked:
            raise Unauthenticated("The API key is not valid.")
        return with_role(user, ephemeral.user_role) if ephemeral else user

    def _keep_credentials(self, user: User, identity: Identity) -> None:
        for integration, credential in identity.credentials.items():
            self._credentials[user.guid, integration] = credential


def key_in(headers: Mapping[str, str]) -> str | None:
    """The API key that a request carries, whoever has it."""
    for header in KEY_HEADERS:
        if header not in headers:
            continue
        scheme, _, key = headers[header].partition(" ")
        if scheme.lower() == "key":
            return key.strip()
    return None


def lowest(*roles: str) -> str:
    """The role among these that allows the least."""
    return min(roles, key=ROLES.index)


def with_role(user: User, most: str) -> User:
    """The user, with that role if their own allows more; to read, and not for the records."""
    role = lowest(user.user_role, most)
    if role == user.user_role:
        return user
    fields = (column.key for column in User.__table__.columns)
    return User(
        **{**{name: getattr(user, name) for name in fields}, "user_role": role},
        groups=user.groups,
    )


def wants_page(request: web.Request) -> bool:
    """Whether a person in a browser asks for a page, and not a program, or for the API."""
    return (
        (request.method in ("GET", "HEAD") or request.path.startswith((SIGN_IN, DASHBOARD)))
        and not request.path.startswith(_FOR_PROGRAMS)
        and "text/html" in request.headers.get("Accept", "")
        and not any(header in request.headers for header in KEY_HEADERS)
    )


def session_cookie(port: int) -> str:
    """The name of the cookie of a browser that has signed in to the server at a port.

    Browsers do not tell ports apart, so servers on one host that had one name for it would
    sign each other's visitors out.
    """
    return f"local-connect-session-{port}"


def is_session(name: str) -> bool:
    """Whether a cookie of that name is a session of ours, or of a server at another port."""
    return _SESSION_COOKIE.fullmatch(name) is not None


def without_session(cookie: str) -> str:
    """A `Cookie` header less our session, and those of servers at other ports."""
    pairs = (pair.strip() for pair in cookie.split(";"))
    return "; ".join(pair for pair in pairs if not is_session(pair.partition("=")[0].strip()))


def is_with_session(cookie: str) -> bool:
    """Whether a `Cookie` header has something that `without_session` takes out."""
    return any(is_session(pair.partition("=")[0].strip()) for pair in cookie.split(";"))
