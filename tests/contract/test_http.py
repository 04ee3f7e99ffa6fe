"""What every example owes to HTTP: methods, paths, HEAD."""

from itertools import product

from tests.targets import Content


def test_other_methods_are_refused(content: Content) -> None:
    for method, path in product(("POST", "PUT", "PATCH", "DELETE"), content.example.paths):
        request = f"{method} {path}"
        response = content.request(method, path)
        assert response.status_code == 405, request
        allowed = {name.strip() for name in response.headers["Allow"].split(",")}
        assert {"GET", "HEAD"} <= allowed, request
        assert method not in allowed, request
        assert response.headers["Content-Type"].startswith("application/json"), request
        assert set(response.json()) == set(content.example.errors), request


def test_unknown_path(content: Content) -> None:
    for path in ("no/such/path", "no/such/path/", "greetings/en/no", "static/no"):
        response = content.get(path)
        assert response.status_code == 404, path
        assert response.headers["Content-Type"].startswith("application/json"), path
        assert set(response.json()) == set(content.example.errors), path


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


def test_programs_get_json(content: Content) -> None:
    paths = [path for path in (content.example.list, content.example.hello) if path is not None]
    accepts = (b"*/*", b"application/json", b"application/xml", b"image/*", b"")
    for path, accept in product(paths, accepts):
        response = content.get(path, headers=[(b"Accept", accept)])
        assert response.status_code == 200, accept
        assert response.headers["Content-Type"].startswith("application/json"), accept
        response.json()
