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


def test_nobody_is_nobody(content: Content) -> None:
    """Whatever is said of them by other headers."""
    assert content.example.acts is not None
    for headers in ([], [(CREDENTIALS, b'{"user": "alice"}')]):
        answer = content.get(content.example.acts, user=None, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.plays_connect(True)
@pytest.mark.parametrize("token", [b"forged", b"token-of", b"\xff", b"x" * 4000])
def test_a_token_that_connect_does_not_take(content: Content, token: bytes) -> None:
    assert content.example.acts is not None
    header = (b"Posit-Connect-User-Session-Token", token)
    answer = content.get(content.example.acts, user=None, headers=[header])
    assert answer.status_code == 403
    assert set(answer.json()) == set(content.example.errors)
    assert token.decode("latin-1") not in answer.text
