"""Tokens: keys of RSA by which Posit Publisher and RStudio sign requests, in place of an API key.

A client makes a pair of keys and sends the public one under a name of its own making. Whoever
opens the page that it is given, and approves, is from then on who the client's requests are from.
The protocol is that of Publisher's and rsconnect's (R) published sources: `X-Auth-Signature` is the
RSA-SHA1 signature of method, path, `Date` and `X-Content-Checksum`, line by line. How long a
signed request is valid on Connect is not known; here it is for as long as the token.
"""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import select

from local_connect.errors import BadRequest, Conflict, NotFound, Unauthenticated
from local_connect.records.store import Store, Token

#: the headers of a signed request that content does not see
HEADERS = ("X-Auth-Token", "X-Auth-Signature")

#: seconds in which a token can be approved, and how many may wait for that; the oldest goes
_UNCLAIMED_SECONDS = 900.0
_UNCLAIMED = 100

_NAME = re.compile(r"[-_A-Za-z0-9]{8,128}")

#: bits of a key, as clients make them, and more; checking a larger one takes too long
_KEY_BITS = range(2048, 8193)


@dataclass(frozen=True)
class _Unclaimed:
    public_key: str
    until: float


class Tokens:
    """The tokens of one server; those that nobody has approved yet end with it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unclaimed: dict[str, _Unclaimed] = {}
        with store.session() as session:
            self._claimed = {
                token.token: (_key(token.public_key), token.user_guid)
                for token in session.scalars(select(Token))
            }

    def register(self, name: str, public_key: str) -> None:
        """Remember a client's public key until somebody approves it, or for a while."""
        if not _NAME.fullmatch(name):
            raise BadRequest("token is not a name of 8 to 128 letters, digits, hyphens and such.")
        _key(public_key)
        now = time.monotonic()
        self._unclaimed = {
            other: token for other, token in self._unclaimed.items() if token.until > now
        }
        if name in self._unclaimed or name in self._claimed:
            raise Conflict(f"There is a token {name} already.")
        while len(self._unclaimed) >= _UNCLAIMED:
            del self._unclaimed[next(iter(self._unclaimed))]
        self._unclaimed[name] = _Unclaimed(public_key, now + _UNCLAIMED_SECONDS)

    def check_unclaimed(self, name: str) -> None:
        """Raise `NotFound` unless this token waits to be approved."""
        token = self._unclaimed.get(name)
        if token is None or token.until <= time.monotonic():
            raise NotFound("No such token waits to be approved. Sign in again where you came from.")

    def claim(self, name: str, user_guid: str) -> None:
        """Let the token's requests be this user's from now on."""
        self.check_unclaimed(name)
        public_key = self._unclaimed[name].public_key
        with self._store.session() as session:
            session.add(Token(token=name, public_key=public_key, user_guid=user_guid))
        del self._unclaimed[name]
        self._claimed[name] = (_key(public_key), user_guid)

    def named_by(self, request: web.Request) -> bool:
        """Whether a request names a token of this server: then its signature is not for an app."""
        name = request.headers.get("X-Auth-Token", "")
        return name in self._claimed or name in self._unclaimed

    def owner_guid(self, request: web.Request) -> str | None:
        """Whose token signed a request; None where no token of this server is named.

        A token that waits to be approved, or a signature that is wrong, raises `Unauthenticated`.
        """
        name = request.headers.get("X-Auth-Token", "")
        if name in self._unclaimed:
            raise Unauthenticated("This token has not been approved yet.")
        if name not in self._claimed:
            return None
        key, user_guid = self._claimed[name]
        try:
            signature = base64.b64decode(request.headers.get("X-Auth-Signature", ""), validate=True)
        except ValueError:
            signature = b""
        # Publisher signs the path alone, rsconnect with what follows it
        for path in dict.fromkeys((request.raw_path.partition("?")[0], request.raw_path)):
            signed = "\n".join(
                (
                    request.method,
                    path,
                    request.headers.get("Date", ""),
                    request.headers.get("X-Content-Checksum", ""),
                )
            )
            if _is_signed(key, signature, signed):
                return user_guid
        raise Unauthenticated("The request's signature is not that of its token.")


def _is_signed(key: rsa.RSAPublicKey, signature: bytes, text: str) -> bool:
    try:
        # the protocol's algorithm
        key.verify(
            signature,
            text.encode("utf-8", "surrogateescape"),
            padding.PKCS1v15(),
            hashes.SHA1(),  # noqa: S303
        )
    except InvalidSignature:
        return False
    return True


def _key(text: str) -> rsa.RSAPublicKey:
    """The key in base64 of its DER form, or `BadRequest`."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise BadRequest(f"public_key is not a key in DER and base64: {error}.") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _KEY_BITS:
        raise BadRequest(f"public_key is not an RSA key of {_KEY_BITS[0]:,} bits or more.")
    return key
