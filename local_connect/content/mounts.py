"""How an ASGI app learns where it is mounted; `process.py` loads this, as it loads `asgi.py`.

A request for `/content/<guid>/item/3` can be put to an app in two ways. The ASGI specification
says that `path` is the whole of it and that `root_path`, `/content/<guid>`, is its beginning.
WSGI, and servers of ASGI for years, had it that `path` is what comes after `root_path`. A
framework that is told the one and expects the other finds none of its routes, or links and
redirects to places that do not exist. What Connect sends is not known; it documents that FastAPI,
Quart, Sanic and Falcon run, and any release of Starlette. So each app gets what its framework, in
the release that is installed, expects (inferred). All that is known of frameworks is in
`FRAMEWORKS`.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.metadata
import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Place(NamedTuple):
    """Where visitors find an app."""

    scheme: str
    mount: str


#: that of the request which is being answered
place: contextvars.ContextVar[Place] = contextvars.ContextVar("place")


class Reading(NamedTuple):
    """What an app takes the parts of a scope to be."""

    #: whether `path` and `raw_path` begin with the mount
    path_has_mount: bool
    #: whether `root_path` is the mount; if not, it is empty
    root_path_is_mount: bool = True

    def put(self, scope: dict[str, Any], mount: str, below: str, raw_below: bytes) -> None:
        """Write into a scope where the app is, and which path below that is asked for."""
        prefix = mount if self.path_has_mount else ""
        scope["path"] = prefix + below
        scope["raw_path"] = prefix.encode() + raw_below
        scope["root_path"] = mount if self.root_path_is_mount else ""
        place.set(Place(scope["scheme"], mount))


#: as the ASGI specification has it
WHOLE_PATH = Reading(path_has_mount=True)

#: as WSGI has it
PATH_BELOW_MOUNT = Reading(path_has_mount=False)

#: for an app that puts `root_path` before `path` to find its routes
NO_MOUNT = Reading(path_has_mount=False, root_path_is_mount=False)


class Framework(NamedTuple):
    """Apps of one kind, and how they read a scope."""

    #: the package that their class comes from, and the class, which theirs may inherit from
    package: str
    classes: tuple[str, ...]
    #: the distribution whose release decides
    distribution: str
    #: first releases, each with the reading that holds from it on
    readings: dict[tuple[int, ...], Reading]


#: Before 0.35 a request's URL was `root_path + path`; since then it is `path`, and routes are
#: looked for in what follows `root_path` there.
_STARLETTE = {(0,): PATH_BELOW_MOUNT, (0, 35): WHOLE_PATH}

FRAMEWORKS = (
    # FastAPI is one of its classes.
    Framework("starlette", ("Starlette", "Router", "StaticFiles"), "starlette", _STARLETTE),
    Framework("connexion", ("AbstractApp", "ConnexionMiddleware"), "starlette", _STARLETTE),
    # Since 0.15 a path that does not begin with `root_path` is answered with 404. Until 0.19
    # `request.url` was nevertheless `root_path + path`, so there it has the mount twice.
    Framework("quart", ("Quart",), "quart", {(0,): PATH_BELOW_MOUNT, (0, 15): WHOLE_PATH}),
    # Routes are looked for in `root_path + path` before 23.3, and in `raw_path` since.
    # It makes no URLs with a mount in any release: see `_place_sanic`.
    Framework("sanic", ("Sanic",), "sanic", {(0,): NO_MOUNT, (23, 3): PATH_BELOW_MOUNT}),
    # Routes are looked for in `path`; a URL is `root_path + path`.
    Framework("falcon", ("App",), "falcon", {(0,): PATH_BELOW_MOUNT}),
    # A URL is `root_path + path`, though `root_path` is taken from the path for its routes.
    Framework("litestar", ("Litestar",), "litestar", {(0,): PATH_BELOW_MOUNT}),
    # `request.path` is `path` in newer releases; older ones put it together.
    Framework("django", ("ASGIHandler",), "django", {(0,): WHOLE_PATH}),
    # Since 4.1 a path that does not begin with `root_path` is an error; before, `root_path` was
    # not looked at, and Django releases of the time read either.
    Framework(
        "channels",
        ("ProtocolTypeRouter", "URLRouter"),
        "channels",
        {(0,): PATH_BELOW_MOUNT, (4, 1): WHOLE_PATH},
    ),
    # Routes are looked for in `raw_path`, and only lately in what follows `root_path` there.
    Framework("blacksheep", ("Application",), "blacksheep", {(0,): PATH_BELOW_MOUNT}),
    # What is its own is told from the app's that it wraps by the beginning of `path`.
    Framework("engineio", ("ASGIApp",), "python-engineio", {(0,): PATH_BELOW_MOUNT}),
)

#: For an app of which nothing is known. Most look at `path` alone; those that take `root_path`
#: away from it first, as adapters for WSGI apps do, leave a path without it as it is.
UNKNOWN = PATH_BELOW_MOUNT

#: by what name middleware, a decorator, a partial function and a method hold what they call
_HOLDS = ("app", "_app", "application", "asgi_app", "inner", "__wrapped__", "func", "__self__")

#: of middleware around middleware that is looked into
_LAYERS = 10


def fit(app: Any) -> Reading:
    """How a scope must read for this app, or for the app that middleware is wrapped around."""
    layer = [app]
    seen: set[int] = set()
    for _ in range(_LAYERS):
        found = [(each, framework) for each in layer if (framework := _framework_of(each))]
        if len(found) == 1:
            app, framework = found[0]
            if framework.package == "sanic":
                _place_sanic(app)
            return _reading(framework)
        if found:
            # it chooses between several apps, by a path as it expects it
            return UNKNOWN
        seen |= {id(each) for each in layer}
        held = {id(each): each for holder in layer for each in _held_by(holder)}
        layer = [each for key, each in held.items() if key not in seen]
    return UNKNOWN


def _framework_of(app: Any) -> Framework | None:
    names = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(app).__mro__}
    for framework in FRAMEWORKS:
        if not names.isdisjoint((framework.package, name) for name in framework.classes):
            return framework
    return None


def _reading(framework: Framework) -> Reading:
    try:
        release = _numbers(importlib.metadata.version(framework.distribution))
    except importlib.metadata.PackageNotFoundError:
        # a copy of it in the bundle, say: taken to be a new one
        return max(framework.readings.items())[1]
    return max(item for item in framework.readings.items() if item[0] <= release)[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _held_by(app: Any) -> Iterator[Any]:
    """What may be the app that this one passes requests on to."""
    held = [_attribute(app, name) for name in _HOLDS]
    function = app if inspect.isfunction(app) else type(app).__call__
    if inspect.isfunction(function):
        # a closure that is not complete yet has an empty cell
        with contextlib.suppress(ValueError):
            variables = inspect.getclosurevars(function)
            held += [*variables.nonlocals.values(), *variables.globals.values()]
    return (each for each in held if callable(each) and not inspect.isclass(each))


def _attribute(holder: Any, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:
        # a stand-in, say, for what is there during a request only
        return None


def _place_sanic(app: Any) -> None:
    """Let the requests of a Sanic app make their URLs with the mount and the visitor's scheme.

    `request_class` is Sanic's own way to have requests of another kind.
    """

    class Request(app.request_class):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.place = place.get()

        @property
        def scheme(self) -> str:
            configured = self.app.config.get("SERVER_NAME", "").partition("://")
            return str(super().scheme) if configured[1] else self.place.scheme

        @property
        def server_path(self) -> str:
            return self.place.mount + str(self.path)

        @property
        def url(self) -> str:
            return _below(self.place.mount, super().url)

        def url_for(self, *args: Any, **kwargs: Any) -> str:
            return _below(self.place.mount, super().url_for(*args, **kwargs))

    app.request_class = Request


def _below(mount: str, url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=mount + parts.path).geturl()
