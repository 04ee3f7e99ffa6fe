"""How a scope reads for an app: by framework, installed release, and what is wrapped around."""

import functools
import importlib.metadata
from typing import Any

import pytest

from local_connect.content import mounts
from local_connect.content.mounts import NO_MOUNT, PATH_BELOW_MOUNT, UNKNOWN, WHOLE_PATH, Reading

pytestmark = pytest.mark.quick

MOUNT = "/team/my-api"


class Middleware:
    """What people write around an app."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Slotted(Middleware):
    __slots__ = ("_app",)

    def __init__(self, app: Any) -> None:
        self._app = app


def app_of(package: str, name: str) -> Any:
    """An app of a framework's class, as far as can be told from outside."""

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None: ...

    module = {"__module__": f"{package}.somewhere", "__call__": call}
    return type("Own", (type(name, (), module),), module)()


starlette, quart = app_of("starlette", "Starlette"), app_of("quart", "Quart")


def decorated(app: Any) -> Any:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return call


async def naming(scope: Any, receive: Any, send: Any) -> None:
    await quart(scope, receive, send)


async def choosing(scope: Any, receive: Any, send: Any) -> None:
    await (starlette if scope["path"].startswith("/v1") else quart)(scope, receive, send)


async def bare(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.fixture(autouse=True)
def releases(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The releases that are installed, by distribution."""
    installed = {"starlette": "0.35.0", "quart": "0.22.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    return installed


@pytest.mark.parametrize(
    ("package", "name", "distribution", "release", "reading"),
    [
        ("starlette", "Starlette", "starlette", "0.20.4", PATH_BELOW_MOUNT),
        ("starlette", "Starlette", "starlette", "0.34.0", PATH_BELOW_MOUNT),
        ("starlette", "Starlette", "starlette", "0.35.0", WHOLE_PATH),
        ("starlette", "Router", "starlette", "1.0.0rc1", WHOLE_PATH),
        ("connexion", "AbstractApp", "starlette", "0.27.0", PATH_BELOW_MOUNT),
        ("connexion", "ConnexionMiddleware", "starlette", "1.10.0", WHOLE_PATH),
        ("quart", "Quart", "quart", "0.14.1", PATH_BELOW_MOUNT),
        ("quart", "Quart", "quart", "0.15", WHOLE_PATH),
        ("sanic", "Falcon", "sanic", "25.12.1", UNKNOWN),
        ("falcon", "App", "falcon", "4.4.0", PATH_BELOW_MOUNT),
        ("litestar", "Litestar", "litestar", "2.25.0", PATH_BELOW_MOUNT),
        ("django", "ASGIHandler", "django", "3.2.25", WHOLE_PATH),
        ("channels", "ProtocolTypeRouter", "channels", "4.0.0", PATH_BELOW_MOUNT),
        ("channels", "URLRouter", "channels", "4.1.0", WHOLE_PATH),
        ("blacksheep", "Application", "blacksheep", "2.6.4", PATH_BELOW_MOUNT),
        ("engineio", "ASGIApp", "python-engineio", "4.15.1", PATH_BELOW_MOUNT),
        ("mine", "Starlette", "mine", "1.0", UNKNOWN),
    ],
)
def test_by_framework_and_release(
    releases: dict[str, str],
    package: str,
    name: str,
    distribution: str,
    release: str,
    reading: Reading,
) -> None:
    releases[distribution] = release
    assert mounts.fit(app_of(package, name)) == reading


@pytest.mark.parametrize(("release", "reading"), [("22.12.0", NO_MOUNT), ("23.3.0", UNKNOWN)])
def test_sanic(releases: dict[str, str], release: str, reading: Reading) -> None:
    class Request:
        path, url = "/item/3", "https://connect.test/item/3?a=b"

    releases["sanic"] = release
    app = app_of("sanic", "Sanic")
    app.request_class = Request
    assert mounts.fit(Middleware(app)) == reading
    reading.put({"scheme": "https"}, MOUNT, "/item/3", b"/item/3")
    request = app.request_class()
    assert request.url == f"https://connect.test{MOUNT}/item/3?a=b"
    assert request.server_path == f"{MOUNT}/item/3"


def test_a_copy_of_unknown_release(releases: dict[str, str]) -> None:
    releases.clear()
    assert mounts.fit(starlette) == WHOLE_PATH


@pytest.mark.parametrize(
    "app",
    [
        Middleware(quart),
        Slotted(Middleware(Middleware(quart))),
        decorated(Slotted(decorated(quart))),
        functools.partial(decorated(quart)),
        functools.partial(Middleware, quart)().__call__,
        functools.wraps(quart)(lambda *_: None),
        naming,
    ],
    ids=["middleware", "two", "decorators", "partial", "method", "wraps", "by its name"],
)
def test_an_app_that_something_is_wrapped_around(app: Any) -> None:
    assert mounts.fit(app) == WHOLE_PATH


def test_a_function_whose_variables_are_not_set_yet() -> None:
    def function() -> object:
        return missing

    assert mounts.fit(function) == UNKNOWN
    missing = None


def test_a_proxy_of_an_object_that_does_not_exist_yet() -> None:
    class StandIn:
        def __call__(self) -> None: ...

        def __getattr__(self, name: str) -> None:
            raise RuntimeError("outside of a request")

    assert mounts.fit(Middleware(StandIn())) == UNKNOWN


def test_an_app_that_holds_itself() -> None:
    app = Middleware(None)
    app.app = app
    assert mounts.fit(app) == UNKNOWN


@pytest.mark.parametrize("app", [choosing, decorated(choosing), bare, Middleware(bare), print])
def test_an_app_that_routes_by_itself(app: Any) -> None:
    assert mounts.fit(app) == UNKNOWN


@pytest.mark.parametrize(
    ("reading", "path", "root_path"),
    [
        (WHOLE_PATH, f"{MOUNT}/a b", MOUNT),
        (PATH_BELOW_MOUNT, "/a b", MOUNT),
        (NO_MOUNT, "/a b", ""),
    ],
)
def test_what_is_put_into_a_scope(reading: Reading, path: str, root_path: str) -> None:
    scope = {"scheme": "http"}
    reading.put(scope, MOUNT, "/a b", b"/a%20b")
    raw_path = path.replace(" ", "%20").encode()
    assert scope == {"scheme": "http", "path": path, "raw_path": raw_path, "root_path": root_path}
