"""What content gets to act for its visitors: tokens of their sessions, and keys that end.

Both are random and kept in memory only, so nobody can make one up, none says whose it is, and
all are over when the server stops. How long Connect's last is not documented; these last minutes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from local_connect.errors import BadRequest

#: the header that brings content the token of its visitor's session
HEADER = "Posit-Connect-User-Session-Token"

#: seconds that a token can be exchanged, and those for which it is handed out again
TOKEN_SECONDS = 600.0
_FRESH_SECONDS = 300.0

#: seconds that a key is good for
KEY_SECONDS = 900.0

#: seconds for which the server still knows that a token has been one
_REMEMBERED_SECONDS = 3600.0


@dataclass(frozen=True)
class Visit:
    """Whom a token stands for, and where."""

    user_guid: str
    #: the user's own, or that of the key by which they came, if it is lower
    user_role: str
    content_guid: str


@dataclass(frozen=True)
class _Token:
    visit: Visit
    made: float


class SessionTokens:
    """The tokens that content was given with the requests of its visitors."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        #: the newest of each visit
        self._newest: dict[Visit, str] = {}

    def give(self, visit: Visit) -> str:
        """A token for a visit: the one that it has while that is fresh, else another."""
        now = self._clock()
        newest = self._newest.get(visit)
        if newest is not None and now - self._tokens[newest].made < _FRESH_SECONDS:
            return newest
        self._forget(now)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = _Token(visit, now)
        self._newest[visit] = token
        return token

    def give_over(self, visit: Visit) -> str:
        """A token that was good until now."""
        token = secrets.token_urlsafe(32)
        # where the next that is forgotten is looked for: those that were made first
        self._tokens = {token: _Token(visit, self._clock() - TOKEN_SECONDS), **self._tokens}
        return token

    def visit(self, token: str) -> Visit:
        """Whom a token stands for; `BadRequest` for one that is over, or is none."""
        known = self._tokens.get(token)
        if known is None:
            raise BadRequest("The user session token is not valid.")
        if self._clock() - known.made >= TOKEN_SECONDS:
            raise BadRequest(
                f"The user session token is over: it lasts {TOKEN_SECONDS / 60:g} minutes. "
                "The visitor's next request brings another."
            )
        return known.visit

    def known(self) -> Iterable[str]:
        """The tokens that are good, or were within the hour."""
        return self._tokens

    def _forget(self, now: float) -> None:
        """Drop what is over for long; tokens are in the order in which they were made."""
        for token, known in list(self._tokens.items()):
            if now - known.made < _REMEMBERED_SECONDS:
                return
            del self._tokens[token]
            if self._newest.get(known.visit) == token:
                del self._newest[known.visit]


@dataclass(frozen=True)
class EphemeralKey:
    """Whose key it is, and the most that it is good for."""

    user_guid: str
    user_role: str
    until: float


class EphemeralKeys:
    """API keys of visitors that content was given in exchange for their tokens."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keys: dict[str, EphemeralKey] = {}

    def make(self, user_guid: str, user_role: str) -> str:
        """A key of this user's with at most this role."""
        now = self._clock()
        self._keys = {key: known for key, known in self._keys.items() if known.until > now}
        key = secrets.token_hex(16)
        self._keys[key] = EphemeralKey(user_guid, user_role, now + KEY_SECONDS)
        return key

    def find(self, key: str) -> EphemeralKey | None:
        """What a key is good for; None for one that has ended, or is none of these."""
        found = self._keys.get(key)
        return found if found and found.until > self._clock() else None

    def known(self) -> Iterable[str]:
        """The keys that are good, and some that have ended."""
        return self._keys
