"""The rules of what runs inside a content process, in memory.

It needs nothing but the standard library and the directory that waitress is in, so that
`test_pythons` can run it by every Python that content may ask for.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from wsgiref.util import FileWrapper

CONTENT = Path(__file__).parents[2] / "local_connect" / "content"

#: the directory that waitress is in, where that is not within reach
WAITRESS = os.environ.get("WAITRESS_DIRECTORY", "")


def load(name: str) -> Any:
    """A module of the content process, loaded by its path as there."""
    spec = importlib.util.spec_from_file_location(f"content_{name}", CONTENT / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


process = load("process")
with process.borrowed({"waitress": WAITRESS} if WAITRESS else {}):
    wsgi = load("wsgi")


class Server:
    """What waitress would do with an app: it records what it is told and given."""

    def __init__(self, app: Any, **environ: Any) -> None:
        self.shown: list[BaseException] = []
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.broken_off = False
        self.environ = {
            "REQUEST_METHOD": "GET",
            "wsgi.file_wrapper": FileWrapper,
            "SERVER_SOFTWARE": "waitress",
            "waitress.client_disconnected": bool,
            **environ,
        }
        self._begun = False
        try:
            answer = wsgi.answering(app, self.shown.append)(self.environ, self._start)
            for piece in answer:
                if piece:
                    self._write(piece)
        except OSError:
            self.broken_off = True

    def _start(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info and self._begun:
            raise exc_info[1]
        self.status, self.headers = status, headers
        return self._write

    def _write(self, data: bytes) -> None:
        self._begun = True
        self.body += data


def told(status: str, *headers: tuple[str, str]) -> Any:
    """An app that answers so, with a short body."""

    def app(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [*headers])
        return [b"body"]

    return app


def lazy(*pieces: Any) -> Any:
    """An app that begins its answer when it is asked for the first piece; an error is raised."""

    def app(_: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("X-App", "own")])
        for piece in pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    return app


class Answers(unittest.TestCase):
    def test_status_headers_and_body_are_the_apps_own(self) -> None:
        for app, body in ((told("200 OK"), b"body"), (lazy(b"a", b"", b"b"), b"ab")):
            server = Server(app)
            assert (server.status, server.body) == ("200 OK", body)
            assert not server.broken_off

    def test_a_list_is_passed_on_as_a_list_so_that_its_length_is_known(self) -> None:
        answer = [b"one"]
        environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper}
        given = wsgi.answering(lambda *_: answer, print)(environ, None)
        assert given is answer

    def test_a_file_is_passed_on_as_a_file(self) -> None:
        with Path(__file__).open("rb") as file:
            answer = FileWrapper(file)
            environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper}
            assert wsgi.answering(lambda *_: answer, print)(environ, None) is answer

    def test_headers_of_the_connection_are_dropped(self) -> None:
        server = Server(told("200 OK", ("connection", "close"), ("X-Own", "1"), ("TE", "x")))
        assert server.headers == [("X-Own", "1")]

    def test_what_serves_the_app_is_not_in_its_environ(self) -> None:
        assert sorted(Server(told("200 OK")).environ) == ["REQUEST_METHOD", "wsgi.file_wrapper"]

    def test_an_app_that_fails_before_it_answers(self) -> None:
        for error in (RuntimeError("x"), SystemExit(), KeyboardInterrupt()):
            for app in (lazy(error), lazy(b"", error), raising(error)):
                server = Server(app)
                assert server.shown == [error]
                assert server.status == "500 Internal Server Error"
                assert server.body == wsgi.FAILED
                assert dict(server.headers)["Content-Length"] == str(len(wsgi.FAILED))
                assert not server.broken_off

    def test_an_app_that_fails_in_its_answer(self) -> None:
        for error in (RuntimeError("x"), SystemExit(), KeyboardInterrupt()):
            server = Server(lazy(b"begun", error))
            assert server.shown == [error]
            assert (server.status, server.body) == ("200 OK", b"begun")
            assert server.broken_off

    def test_a_body_that_is_not_bytes(self) -> None:
        for app in (lazy("text"), lambda *_: ["text"], lambda *_: None):
            server = Server(app)
            assert isinstance(server.shown[0], TypeError)
            assert server.status == "500 Internal Server Error"

    def test_an_answer_to_head_has_no_body(self) -> None:
        sized = ("Content-Length", "4")
        for app, broken_off in ((told("200 OK", sized), False), (told("200 OK"), True)):
            server = Server(without_body(app), REQUEST_METHOD="HEAD")
            assert (server.status, server.body) == ("200 OK", b"")
            assert server.headers == ([] if broken_off else [sized])
            assert server.broken_off is broken_off

    def test_head_of_an_app_that_fails_or_writes(self) -> None:
        def writes(_: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [])(b"body")
            return []

        for app in (raising(SystemExit()), writes):
            assert Server(app, REQUEST_METHOD="HEAD").body == b""

    def test_an_answer_is_closed_once_and_quietly(self) -> None:
        class Body:
            closed = 0

            def __iter__(self) -> Any:
                return iter([b"a", b"b"])

            def close(self) -> None:
                self.closed += 1
                raise RuntimeError

        body = Body()
        server = Server(lambda _, start_response: start_response("200 OK", []) and body)
        assert (server.body, body.closed, len(server.shown)) == (b"ab", 1, 1)
        assert not server.broken_off

    def test_an_answer_is_closed_when_its_visitor_is_gone(self) -> None:
        ended = []

        def app(*_: Any) -> Any:
            try:
                yield b"a"
                yield b"b"
            finally:
                ended.append(True)

        shown: list[BaseException] = []
        environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper}
        answer = wsgi.answering(app, shown.append)(environ, None)
        next(answer)
        answer.close()
        assert ended == [True]
        assert shown == []


def raising(error: BaseException) -> Any:
    def app(*_: Any) -> Any:
        raise error

    return app


def without_body(app: Any) -> Any:
    return lambda *request: process.without_body(app(*request))


class Environ(unittest.TestCase):
    def seen(self, path: str, **decided: str) -> dict[str, Any]:
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "REMOTE_ADDR": "localhost",
            process.ENVIRON_HEADER: json.dumps({"SCRIPT_NAME": "/mount", **decided}),
        }
        found: list[dict[str, Any]] = []
        process.environ_middleware(lambda environ, _: found.append(environ))(environ, None)
        return found[0]

    def test_the_mount_is_taken_off_the_path(self) -> None:
        for path, rest in (("/mount/", "/"), ("/mount", "/"), ("/mount/a/mount", "/a/mount")):
            seen = self.seen(path)
            assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/mount", rest)

    def test_what_the_gateway_decided_replaces_the_rest(self) -> None:
        seen = self.seen("/mount/", REMOTE_ADDR="192.0.2.1")
        assert seen["REMOTE_ADDR"] == "192.0.2.1"
        assert process.ENVIRON_HEADER not in seen


class Borrowed(unittest.TestCase):
    def test_a_lent_package_cannot_be_imported_afterwards_but_the_apps_own_can(self) -> None:
        with TemporaryDirectory() as directory:
            for owner in ("server", "app"):
                Path(directory, owner).mkdir()
                Path(directory, owner, "lent.py").write_text(f"owner = {owner!r}\n")
            with process.borrowed({"lent": str(Path(directory, "server"))}):
                assert importlib.import_module("lent").owner == "server"
            assert importlib.util.find_spec("lent") is None
            sys.path.insert(0, str(Path(directory, "app")))
            try:
                assert importlib.import_module("lent").owner == "app"
            finally:
                del sys.path[0], sys.modules["lent"]


class EntryPoints(unittest.TestCase):
    def test_usual_names(self) -> None:
        module = type(sys)("module")
        for name, call in (
            ("make_app", "make_app()"),
            ("create_app", "create_app()"),
            ("application", "application"),
            ("app", "app"),
        ):
            setattr(module, name, None)
            assert process.usual_name(module) == call

    def test_an_app_of_the_other_kind_is_refused(self) -> None:
        async def coroutine(scope: Any, receive: Any, send: Any) -> None: ...

        class Called:
            async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

        for asgi in (coroutine, Called()):
            process.check_asgi("app:app", asgi)
            with self.assertRaisesRegex(TypeError, "deploy it as fastapi"):
                process.check_wsgi("app:app", asgi)
        process.check_wsgi("app:app", told("200 OK"))
        with self.assertRaisesRegex(TypeError, "deploy it as api"):
            process.check_asgi("app:app", told("200 OK"))
