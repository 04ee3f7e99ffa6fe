"""Who the viewer is, as far as Connect says."""

import json
from itertools import product

import pytest

from tests.targets import CREDENTIALS, Content, User

pytestmark = pytest.mark.needs("hello", "groups")

STRANGER = {"message": "Howdy, stranger."}
NAMES = [
    "alice",
    "José",
    "Ünï cödé",
    "李雷",
    "هَبَارِ",
    "ᏏᏲ",
    "👩🏽‍🚀",
    "Ã©",
    'O"Brien\\',
    "<b>bob</b>",
    "{0} %s",
    "29dd7bd4-5b9f-4b2e-a7a1-0d4c1ce9a1f6",
    "long " * 2000,
]
#: values of the header that are not what Connect sends, and what the refusal says of each
MALFORMED = [
    (b"", "not JSON"),
    (b"alice", "not JSON"),
    (b'{"user": "alice"', "not JSON"),
    (b'{"user": "alice"},{"user": "bob"}', "not JSON"),
    (b'{"user": "\xff\xfe"}', "not JSON in UTF-8"),
    ('{"user": "José"}'.encode("latin-1"), "not JSON in UTF-8"),
    (b"[" * 20_000, "not JSON"),
    (b"null", "not a JSON object"),
    (b"[]", "not a JSON object"),
    (b'"alice"', "not a JSON object"),
    (b"7", "not a JSON object"),
    (b'{"user": 7}', "user"),
    (b'{"user": true}', "user"),
    (b'{"user": ["alice"]}', "user"),
    (b'{"user": {}}', "user"),
    (b'{"user": "a", "groups": "staff"}', "groups"),
    (b'{"user": "a", "groups": {"staff": 1}}', "groups"),
    (b'{"user": "a", "groups": ["staff", 7]}', "groups"),
    (b'{"user": "a", "groups": [null]}', "groups"),
]


def greeting_of(viewer: User | None) -> dict[str, str]:
    return {"message": f"So nice to see you, {viewer.name}."} if viewer else STRANGER


def hello(content: Content, value: bytes) -> tuple[int, dict[str, str]]:
    assert content.example.hello is not None
    response = content.get(content.example.hello, user=None, headers=[(CREDENTIALS, value)])
    return response.status_code, response.json()


def groups(content: Content, value: bytes) -> tuple[int, dict[str, object]]:
    assert content.example.groups is not None
    response = content.get(content.example.groups, user=None, headers=[(CREDENTIALS, value)])
    return response.status_code, response.json()


def test_the_viewer_is_named(content: Content) -> None:
    assert content.example.hello is not None
    assert content.example.groups is not None
    viewer = content.viewer
    greeting = content.get(content.example.hello)
    assert greeting.status_code == 200
    assert greeting.json() == greeting_of(viewer)
    answer = content.get(content.example.groups)
    assert answer.status_code == 200
    assert sorted(answer.json()["groups"]) == sorted(viewer.groups if viewer else [])


@pytest.mark.plays_connect(False)
def test_a_client_cannot_say_who_it_is(content: Content) -> None:
    assert content.example.hello is not None
    assert content.example.groups is not None
    viewer = content.viewer
    for value in (b'{"user": "mallory", "groups": ["root"]}', b"{}", b"not JSON", b""):
        headers = [(CREDENTIALS, value)]
        greeting = content.get(content.example.hello, headers=headers)
        assert greeting.json() == greeting_of(viewer), value
        answer = content.get(content.example.groups, headers=headers)
        assert sorted(answer.json()["groups"]) == sorted(viewer.groups if viewer else []), value


def test_nothing_else_says_who_the_viewer_is(content: Content) -> None:
    assert content.example.hello is not None
    assert content.example.groups is not None
    viewer = content.viewer
    query = "?user=mallory&username=mallory&name=mallory&group=root&groups=root"
    names = (b"X-Forwarded-User", b"X-Remote-User", b"Remote-User", b"X-User", b"From")
    headers = [(name, b"mallory") for name in names] + [(b"Cookie", b"user=mallory")]
    greeting = content.get(content.example.hello + query, headers=headers)
    assert greeting.json() == greeting_of(viewer)
    answer = content.get(content.example.groups + query, headers=headers)
    assert sorted(answer.json()["groups"]) == sorted(viewer.groups if viewer else [])


def test_root_leads_to_the_greeting(content: Content) -> None:
    response = content.get("")
    assert response.status_code in (302, 303, 307)
    destination = response.request.url.join(response.headers["Location"])
    assert str(destination) == f"{content.url}{content.example.hello}"


@pytest.mark.plays_connect(True)
def test_names_in_any_script(content: Content) -> None:
    for name, escaped in product(NAMES, (False, True)):
        value = json.dumps({"user": name, "groups": [name, "x"]}, ensure_ascii=escaped).encode()
        assert hello(content, value) == (200, {"message": f"So nice to see you, {name}."})
        assert groups(content, value) == (200, {"groups": [name, "x"]})


@pytest.mark.plays_connect(True)
def test_no_header(content: Content) -> None:
    assert content.example.hello is not None
    assert content.example.groups is not None
    response = content.get(content.example.hello, user=None)
    assert (response.status_code, response.json()) == (200, STRANGER)
    response = content.get(content.example.groups, user=None)
    assert (response.status_code, response.json()) == (200, {"groups": []})


@pytest.mark.plays_connect(True)
def test_no_user_in_the_header(content: Content) -> None:
    for value in (b"{}", b'{"user": null}', b'{"user": ""}', b'{"groups": ["a"]}'):
        assert hello(content, value) == (200, STRANGER), value


@pytest.mark.plays_connect(True)
def test_no_groups_in_the_header(content: Content) -> None:
    for value in (b'{"user": "a"}', b'{"groups": null}', b'{"groups": []}'):
        assert groups(content, value) == (200, {"groups": []}), value


@pytest.mark.plays_connect(True)
def test_malformed_header(content: Content) -> None:
    for value, reason in MALFORMED:
        for status, body in (hello(content, value), groups(content, value)):
            assert status == 400, value
            assert list(body) == ["message"], value
            assert reason in str(body["message"]), value
            assert CREDENTIALS.decode() in str(body["message"]), value


@pytest.mark.plays_connect(True)
def test_a_name_that_is_not_text(content: Content) -> None:
    # half of a surrogate pair: JSON can say it, UTF-8 cannot
    status, _ = hello(content, b'{"user": "\\ud800"}')
    assert status in (200, 400)
