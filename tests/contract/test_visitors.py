"""What acts for its visitor, by a key of theirs."""

import pytest

from tests.targets import CREDENTIALS, Content

pytestmark = [
    pytest.mark.needs("acts"),
    # elsewhere the integration may be missing, which is its owner's to add
    pytest.mark.only_target("process", "process-oldest", "local-connect"),
]


def test_it_asks_connect_who_they_are(content: Content) -> None:
    assert content.example.acts is not None
    assert content.viewer is not None
    answer = content.get(content.example.acts)
    assert answer.status_code == 200, answer.text
    assert answer.json()["username"] == content.viewer.name


def test_without_a_session_token_nobody_is_signed_in(content: Content) -> None:
    """Connect's other header does not make up for it."""
    assert content.example.acts is not None
    for headers in ([], [(CREDENTIALS, b'{"user": "alice"}')]):
        answer = content.get(content.example.acts, user=None, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.plays_connect(True)
def test_a_token_that_connect_does_not_take(content: Content) -> None:
    assert content.example.acts is not None
    for token in (b"forged", b"token-of", b"\xff", b"x" * 4000):
        header = (b"Posit-Connect-User-Session-Token", token)
        answer = content.get(content.example.acts, user=None, headers=[header])
        assert answer.status_code == 403, token
        assert set(answer.json()) == set(content.example.errors), token
        assert token.decode("latin-1") not in answer.text
