"""Tokens in place of API keys: which are taken, for how many, and how long they lead to a user."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local_connect.access.accounts import Accounts
from local_connect.access.addresses import Addresses
from local_connect.access.identity import DEFAULT_IDENTITIES, Identities
from local_connect.errors import BadRequest, NotFound, Unauthenticated
from local_connect.records.store import Store

pytestmark = pytest.mark.quick

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """The public half of a key as clients send it."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def signed(name: str) -> web.Request:
    """A request by the token of that name."""
    signature = KEY.sign(b"GET\n/\n\n", padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    headers = {"X-Auth-Token": name, "X-Auth-Signature": base64.b64encode(signature).decode()}
    return make_mocked_request("GET", "/", headers=headers)


@pytest.fixture
def identities(tmp_path: Path) -> Iterator[Identities]:
    store = Store(tmp_path / "data")
    identities = Identities(store, Addresses("localhost", None), owner_of_job_key=lambda _: None)
    identities.seed(DEFAULT_IDENTITIES)
    yield identities
    store.close()


def test_the_oldest_that_waits_makes_room(identities: Identities) -> None:
    tokens = identities.tokens
    names = [f"T-number-{number:03}" for number in range(101)]
    for name in names[:100]:
        tokens.register(name, public(KEY))
    tokens.check_unclaimed(names[0])
    tokens.register(names[100], public(KEY))
    for name in names[1:]:
        tokens.check_unclaimed(name)
    with pytest.raises(NotFound, match="No such token waits to be approved"):
        tokens.check_unclaimed(names[0])


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505
        ec.generate_private_key(ec.SECP256R1()),
    ],
    ids=["short", "not RSA"],
)
def test_keys_that_are_too_weak_or_of_another_kind(
    identities: Identities, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> None:
    with pytest.raises(BadRequest, match="public_key is not an RSA key of 2,048 bits or more"):
        identities.tokens.register("T-0123456789", public(key))
    with pytest.raises(NotFound):
        identities.tokens.check_unclaimed("T-0123456789")


def test_a_token_is_out_while_its_user_is_locked(identities: Identities) -> None:
    users = {user.username: user for user in identities.everyone()}
    identities.tokens.register("T-of-alice", public(KEY))
    identities.tokens.claim("T-of-alice", users["alice"].guid)
    found = identities.from_program(signed("T-of-alice"))
    assert found
    assert found.username == "alice"

    accounts = Accounts(identities._store, identities)
    accounts.lock(users["admin"], users["alice"].guid, True)
    with pytest.raises(Unauthenticated, match="The token is not valid any more"):
        identities.from_program(signed("T-of-alice"))
    accounts.lock(users["admin"], users["alice"].guid, False)
    assert identities.from_program(signed("T-of-alice"))
