"""The greetings are the same for everyone, whatever Connect says of the viewer."""

import pytest

from tests.targets import CREDENTIALS, Content

CANARY = b"mallory"
VALUES = {
    "valid": b'{"user": "mallory", "groups": ["mallory"]}',
    "empty": b"",
    "malformed": b'{"user": "mallory"',
    "text": b"mallory",
    "list": b'["mallory"]',
    "null": b"null",
    "not a string": b'{"user": {"mallory": 1}, "groups": 7}',
    "raw UTF-8": '{"user": "mallory 李雷"}'.encode(),
    "invalid UTF-8": b'{"user": "mallory \xff\xfe"}',
    "huge": b'{"user": "mallory", "groups": ["' + b"g" * 32_000 + b'"]}',
    "deep": b"[" * 20_000,
}


@pytest.mark.needs("list", "item")
@pytest.mark.plays_connect(True)
def test_credentials_change_nothing(content: Content) -> None:
    assert content.example.item is not None
    for path in (*content.example.paths, content.example.item.format(lang="xx"), "no/such/path"):
        plain = content.get(path, user=None)
        for name, value in VALUES.items():
            case = (path, name)
            response = content.get(path, user=None, headers=[(CREDENTIALS, value)])
            assert response.status_code == plain.status_code, case
            assert response.content == plain.content, case
            assert response.headers["Content-Type"] == plain.headers["Content-Type"], case
            assert CANARY not in response.content, case
            parts = [part for header in response.headers.raw for part in header]
            assert not any(CANARY in part for part in parts), case


@pytest.mark.needs("list")
@pytest.mark.plays_connect(False)
def test_credentials_of_a_client_change_nothing(content: Content) -> None:
    assert content.example.list is not None
    plain = content.get(content.example.list)
    response = content.get(content.example.list, headers=[(CREDENTIALS, VALUES["valid"])])
    assert response.status_code == plain.status_code == 200
    assert response.content == plain.content
