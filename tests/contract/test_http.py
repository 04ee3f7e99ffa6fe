"""What every example owes to HTTP: methods, paths, HEAD."""

import pytest

from tests.targets import Content


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(content: Content, method: str) -> None:
    for path in content.example.paths:
        response = content.request(method, path)
        assert response.status_code == 405, path
        allowed = {name.strip() for name in response.headers["Allow"].split(",")}
        assert {"GET", "HEAD"} <= allowed, path
        assert method not in allowed, path
        assert response.headers["Content-Type"].startswith("application/json"), path
        assert set(response.json()) == set(content.example.errors), path


@pytest.mark.parametrize("path", ["no/such/path", "no/such/path/", "greetings/en/no", "static/no"])
def test_unknown_path(content: Content, path: str) -> None:
    response = content.get(path)
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("application/json")
    assert set(response.json()) == set(content.example.errors)


def test_unknown_path_for_a_browser(content: Content) -> None:
    response = content.get("no/such/path", headers=[(b"Accept", b"text/html")])
    assert response.status_code == 404
    assert response.json()["message"]


def test_head_is_get_without_the_body(content: Content) -> None:
    for path in (*content.example.paths, "no/such/path"):
        get = content.get(path)
        head = content.request("HEAD", path)
        assert head.status_code == get.status_code, path
        assert head.content == b"", path
        for name in ("Content-Type", "Content-Length"):
            assert head.headers[name] == get.headers[name], path


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/xml", "image/*", ""])
def test_programs_get_json(content: Content, accept: str) -> None:
    for path in (content.example.list, content.example.hello):
        if path is not None:
            response = content.get(path, headers=[(b"Accept", accept.encode())])
            assert response.status_code == 200
            assert response.headers["Content-Type"].startswith("application/json")
            response.json()
