"""What only those who are signed in get, and who decides that they are."""

import json

import pytest

from tests.targets import ALICE, CREDENTIALS, Content

pytestmark = pytest.mark.needs("private")


def status(content: Content, *headers: tuple[bytes, bytes]) -> int:
    """How the private path answers; an error is JSON in the example's shape."""
    assert content.example.private is not None
    response = content.get(content.example.private, headers=headers)
    body = response.json()
    if response.is_error:
        assert set(body) == set(content.example.errors)
        assert body["message"]
    return response.status_code


def test_it_is_for_those_who_are_signed_in(content: Content) -> None:
    assert status(content) == (200 if content.viewer else 401)


@pytest.mark.plays_connect(True)
def test_it_is_refused_where_no_user_is_named(content: Content) -> None:
    nobody = content.seen_by(None)
    assert status(nobody) == 401
    for value in (b"{}", b'{"user": null}', b'{"user": ""}', b'{"groups": ["staff"]}'):
        assert status(nobody, (CREDENTIALS, value)) == 401, value


@pytest.mark.plays_connect(True)
def test_a_malformed_header_is_a_bad_request(content: Content) -> None:
    nobody = content.seen_by(None)
    for value in (b"", b"alice", b'{"user": "alice"', b'{"user": "\xff"}', b"[]", b'{"user": 7}'):
        assert status(nobody, (CREDENTIALS, value)) == 400, value
    assert status(nobody, (CREDENTIALS, b"[" * 20_000)) == 400


@pytest.mark.plays_connect(False)
def test_a_client_cannot_sign_itself_in(content: Content) -> None:
    credentials = json.dumps({"user": ALICE.name}).encode()
    assert status(content, (CREDENTIALS, credentials)) == (200 if content.viewer else 401)
    assert status(content, (CREDENTIALS, b"not JSON")) == (200 if content.viewer else 401)


def test_only_connects_header_signs_a_visitor_in(content: Content) -> None:
    nobody = content.seen_by(None)
    names = (b"X-Forwarded-User", b"X-Remote-User", b"Remote-User", b"X-User", b"From")
    cookies = (b"Cookie", b"user=alice; session=alice; remember_token=alice|0")
    assert status(nobody, *((name, b"alice") for name in names), cookies) == 401


def test_the_cookies_of_other_content_change_nothing(content: Content) -> None:
    # all content of one Connect shares an origin, and other Flask apps have these
    cookies = (b"Cookie", b"session=another; remember_token=alice|0")
    assert status(content, cookies) == (200 if content.viewer else 401)
