"""Runs one app inside a content process, in the content's own environment.

Started by `runtime.processes` as a script, with the content's interpreter and the bundle's
directory as working directory. It must run on every Python that content may ask
for, so it uses no syntax newer than Python 3.9's. The packages that serve the app, waitress or
uvicorn, are borrowed from the server's installation: nothing else of that is within reach of the
app, and neither are they, so it gets its own where it has one of the same name.

It says `ready` on the socket it inherits once it listens, and ends itself and its
children when the other end of that socket is gone: a content process never outlives
its server, however the server died.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import faulthandler
import importlib
import importlib.machinery
import importlib.util
import inspect
import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

#: set by the gateway on each request, and by nobody else
ENVIRON_HEADER = "HTTP_X_LOCAL_CONNECT_ENVIRON"

#: tried in this order where the entry point names a module alone (documented)
USUAL_NAMES = ("app", "application", "create_app", "make_app")

#: Where an API's console is looked for, in this order, each with a slash at its end and without:
#: where Flasgger, FastAPI and APIFlask, Swagger UI's blueprints, Connexion and ReDoc put theirs.
CONSOLES = ("apidocs", "docs", "swagger-ui", "swagger", "ui", "redoc", "openapi")

#: what one of them is in the page of every console
CONSOLE_MARKS = (b"swagger", b"redoc", b"rapidoc", b"openapi")

#: bytes of a page in which they are looked for
CONSOLE_BYTES = 1 << 16

#: seconds that a process waits for the port of its debugger before it loads the app, and in which
#: it looks whether that is free
DEBUG_PATIENCE = 2.0
DEBUG_PAUSE = 0.1

#: the event loop of an ASGI app
event_loop: Any = None

#: whether SIGTERM has come
stopping = False


def main() -> None:
    arguments = parse_arguments()
    lifeline = socket.socket(fileno=arguments.lifeline)
    # no `threading.Thread`: gevent replaces locks only in a process that has no other of these
    _thread.start_new_thread(end_with_server, (lifeline, _thread.get_ident()))
    # whatever kills this process from inside, Python says where the app was
    faulthandler.enable(all_threads=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # the app sees its own directory first, not the directory of this file
    sys.path[0] = os.getcwd()  # noqa: PTH109 (the path is text)
    hide_options(arguments.entrypoint)
    signal.signal(signal.SIGTERM, stop)
    if arguments.debug_port:
        let_debugger_attach(arguments.debug_port, arguments.packages["debugpy"])
    run = run_asgi if arguments.app_mode == "python-fastapi" else run_wsgi
    run(arguments, lambda: lifeline.sendall(b"ready\n"))


def run_wsgi(arguments: argparse.Namespace, ready: Callable[[], None]) -> None:
    with borrowed(arguments.packages):
        wsgi = load_server(arguments)
    app = load_app_or_exit(arguments.entrypoint, check_wsgi)
    wsgi.serve(
        environ_middleware(root_api_console_middleware(app)),
        show,
        path=arguments.socket,
        threads=arguments.threads,
        ready=ready,
        stopping=lambda: stopping,
    )


def run_asgi(arguments: argparse.Namespace, ready: Callable[[], None]) -> None:
    mounts = load_beside("mounts")
    with borrowed(arguments.packages):
        asgi = load_server(arguments)
        server = asgi.Server(ready)

    import asyncio

    def load() -> Any:
        global event_loop
        event_loop = asyncio.get_running_loop()
        return load_app_or_exit(arguments.entrypoint, check_asgi)

    server.run(load, mounts.fit, show, arguments.socket)


def load_server(arguments: argparse.Namespace) -> ModuleType:
    """The module that serves this type of content: of the server's installation, as this one is."""
    return load_file("content_server", arguments.server)


def load_beside(name: str) -> ModuleType:
    """A module of the server's installation that lies beside this one."""
    directory = os.path.dirname(__file__)  # noqa: PTH120 (the path is text)
    return load_file(f"content_{name}", os.path.join(directory, f"{name}.py"))  # noqa: PTH118


def load_file(name: str, path: str, *, importable: bool = False) -> ModuleType:
    """The module in this file, whatever is on `sys.path`; others import it only if they may."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 (it is a Python file)
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    if importable:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entrypoint", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--app-mode", required=True)
    parser.add_argument("--packages", type=json.loads, required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--debug-port", type=int, default=0)
    return parser.parse_args()


def hide_options(entrypoint: str) -> None:
    """Let the app see no options of ours where it looks for its own.

    What it sees under Connect is not known. Here it is what Python would show it if its file were
    run as a script (inferred).
    """
    name = entrypoint.partition(":")[0]
    file = file_named(name) or os.path.join(os.getcwd(), *name.split(".")) + ".py"  # noqa: PTH109, PTH118
    sys.argv[:] = [file]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = [sys.executable, file]


def stop(*_: object) -> None:
    """End this process as SIGTERM asks for, with what the app has registered for its end."""
    global stopping
    stopping = True
    sys.exit(0)


def end_with_server(lifeline: socket.socket, main_thread: int) -> None:
    """Wait until the server is gone, then end this process and all that it started.

    A server that has waited too long for the app asks meanwhile what that is at; where this thread
    cannot answer, it aborts the thread of the app.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT})
    try:
        with contextlib.suppress(OSError):
            while lifeline.recv(1):
                gist = failures.show_hanging(main_thread, event_loop)
                lifeline.sendall(f"{gist}\n".encode("utf-8", "replace"))
    finally:
        os.killpg(os.getpgid(0), signal.SIGKILL)


def let_debugger_attach(port: int, directory: str) -> None:
    """Let a debugger attach at a port of this machine, from now on or as soon as that is free.

    The process that this one replaces has it until it ends, which may be long where it stands at a
    breakpoint.
    """
    sys.meta_path.append(finder({"debugpy": directory}))
    # it would warn on each start that breakpoints in Python's own frozen modules may be missed
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    import debugpy

    def listen() -> None:
        while not is_free(port):
            time.sleep(DEBUG_PAUSE)
        debugpy.listen(("127.0.0.1", port))

    until = time.monotonic() + DEBUG_PATIENCE
    while not is_free(port) and time.monotonic() < until:
        time.sleep(DEBUG_PAUSE)
    if is_free(port):
        listen()
    else:
        _thread.start_new_thread(listen, ())


def is_free(port: int) -> bool:
    """Whether a server can listen at a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def borrowed(packages: dict[str, str]) -> Iterator[None]:
    """Let packages be imported from the directories that hold them, and by nobody afterwards.

    They must import all that they need while this lasts.
    """

    lent = finder(packages)
    sys.meta_path.insert(0, lent)
    try:
        yield
    finally:
        sys.meta_path.remove(lent)
        for name in [*sys.modules]:
            if name.partition(".")[0] in packages:
                del sys.modules[name]


def finder(packages: dict[str, str]) -> Any:
    """What finds packages in the directories that hold them."""

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG004
            if name not in packages:
                return None
            return importlib.machinery.PathFinder.find_spec(name, [packages[name]])

    return Finder


def load_app_or_exit(entrypoint: str, check: Callable[[str, Any], None]) -> Any:
    try:
        app = load_app(entrypoint)
        check(entrypoint, app)
        return app
    except SystemExit as error:
        failures.show_exit(error)
        sys.exit(1 if isinstance(error.code, str) else error.code)
    except BaseException as error:
        show(error)
        sys.exit(1)


def load_app(entrypoint: str) -> Any:
    """The app that `module[:object]` or `file.py[:object]` names; a factory is called."""
    module_name, _, names = entrypoint.partition(":")
    file = file_named(module_name)
    target: Any = import_file(file) if file else importlib.import_module(module_name)
    if not names:
        names = usual_name(target)
    for name in names.replace("()", "").split("."):
        if not hasattr(target, name):
            raise AttributeError(
                f"The entry point {entrypoint} names {name!r}, which "
                f"{getattr(target, '__name__', target)} does not have."
            )
        target = getattr(target, name)
    if names.endswith("()"):
        target = target()
    if not callable(target):
        raise TypeError(f"The entry point {entrypoint} is a {type(target).__name__}, not an app.")
    return target


def file_named(name: str) -> str | None:
    """The path of the file that an entry point names, such as `src/main.py`, if it names one."""
    name = name.replace("\\", "/")
    if not name.endswith(".py") and "/" not in name:
        return None
    return os.path.abspath(name if name.endswith(".py") else f"{name}.py")  # noqa: PTH100


def import_file(path: str) -> ModuleType:
    """The module in a file of the bundle, which may be in a directory and have any name.

    It can import what is in the bundle's directory and, after that, what is in its own: what
    Connect puts on `sys.path` then is not known, and both are found in apps (inferred).
    """
    if not os.path.isfile(path):  # noqa: PTH113 (the path is text)
        bundle = os.getcwd()  # noqa: PTH109
        raise FileNotFoundError(
            f"The entry point names the file {os.path.relpath(path, bundle)}, "
            "which the bundle does not have."
        )
    directory = os.path.dirname(path)  # noqa: PTH120
    if directory not in sys.path:
        sys.path.insert(1, directory)
    name = os.path.relpath(path)[: -len(".py")].replace(os.sep, ".")
    while name in sys.modules:
        # a module that Python itself has loaded, such as `signal`
        name += "_"
    return load_file(name, path, importable=True)


def check_wsgi(entrypoint: str, app: Any) -> None:
    """Refuse what would fail each request, with an error that does not say why."""
    if any(inspect.iscoroutinefunction(call) for call in (app, type(app).__call__)):
        raise TypeError(
            f"The entry point {entrypoint} is an ASGI app, such as one of FastAPI: "
            "deploy it as fastapi, not as api."
        )


def check_asgi(entrypoint: str, app: Any) -> None:
    """Refuse what cannot take a scope, `receive` and `send`."""
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        # not everything that can be called says how
        return
    try:
        signature.bind({}, None, None)
    except TypeError:
        raise TypeError(
            f"The entry point {entrypoint} is no ASGI app. If it is a WSGI app, such as one of "
            "Flask, deploy it as api, not as fastapi."
        ) from None


def usual_name(module: ModuleType) -> str:
    """The first of the usual names that the module has, written as a call for a factory."""
    for name in USUAL_NAMES:
        if hasattr(module, name):
            return f"{name}()" if name in ("create_app", "make_app") else name
    raise AttributeError(
        f"The entry point names the module {module.__name__} alone, "
        f"and it has none of {', '.join(USUAL_NAMES)}."
    )


def environ_middleware(app: Callable[..., Any]) -> Callable[..., Any]:
    """Give the app the WSGI environ that the gateway decided on: mount, host, scheme, client."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        decided = json.loads(environ.pop(ENVIRON_HEADER))
        mount = decided["SCRIPT_NAME"]
        environ["PATH_INFO"] = environ["PATH_INFO"][len(mount) :] or "/"
        environ.update(decided)
        answer = app(environ, start_response)
        return without_body(answer) if environ["REQUEST_METHOD"] == "HEAD" else answer

    return wrapped


def root_api_console_middleware(app: Callable[..., Any]) -> Callable[..., Any]:
    """Lead a person who opens an app without a root of its own to the app's console.

    Connect has a middleware of this name (seen in a traceback); that it does this, and where it
    looks, is inferred. Only a 404 for a page at the mount itself is ever replaced, so an app that
    answers there, and a program that does not ask for `text/html`, meet nothing of this. An app
    that begins its answer only while that is read is left alone.
    """

    def wrapped(environ: dict[str, Any], start_response: Any) -> Any:
        if not wants_page_of_root(environ):
            return app(environ, start_response)
        held: list[tuple[Any, ...]] = []
        written: list[bytes] = []
        returned = False

        def start(status: str, headers: Any, exc_info: Any = None) -> Any:
            if returned or not status.startswith("404"):
                held.clear()
                return start_response(status, headers, exc_info)
            held[:] = [(status, headers, exc_info)]
            return written.append

        visit = environ.copy()
        answer = app(environ, start)
        returned = True
        if not held:
            return answer
        console = find_console(app, visit)
        if console:
            location = f"{visit['SCRIPT_NAME']}/{console}"
            start_response(
                "307 Temporary Redirect",
                [("Location", location), ("Vary", "Accept"), ("Content-Length", "0")],
            )
            return without_body(answer)
        write = start_response(*held[0])
        for chunk in written:
            write(chunk)
        return answer

    return wrapped


def wants_page_of_root(environ: dict[str, Any]) -> bool:
    return (
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and environ["PATH_INFO"] == "/"
        and "text/html" in environ.get("HTTP_ACCEPT", "")
    )


def find_console(app: Callable[..., Any], visit: dict[str, Any]) -> str | None:
    """The path below the mount of the app's console, as this visitor would find it."""
    for name in CONSOLES:
        for path in (f"{name}/", name):
            if is_console(app, visit, path):
                return path
    return None


def is_console(app: Callable[..., Any], visit: dict[str, Any], path: str) -> bool:
    """Whether the app has a page at this path that looks like a console."""
    begun: list[tuple[str, Any]] = []
    page = bytearray()

    def start(status: str, headers: Any, exc_info: Any = None) -> Any:  # noqa: ARG001
        begun[:] = [(status, headers)]
        return page.extend

    environ = {
        **visit,
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/{path}",
        "REQUEST_URI": f"{visit['SCRIPT_NAME']}/{path}",
        "QUERY_STRING": "",
        "wsgi.input": io.BytesIO(),
    }
    environ.pop("CONTENT_LENGTH", None)
    try:
        answer = app(environ, start)
        try:
            for chunk in answer:
                page += chunk
                if len(page) >= CONSOLE_BYTES:
                    break
        finally:
            if hasattr(answer, "close"):
                answer.close()
    except Exception:
        return False
    return any(status.startswith("200") and is_html(headers) for status, headers in begun) and any(
        mark in page.lower() for mark in CONSOLE_MARKS
    )


def is_html(headers: list[tuple[str, str]]) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/html")
        for name, value in headers
    )


def without_body(answer: Any) -> list[bytes]:
    """Begin an answer, so that it has its headers, and drop its body: HEAD has none.

    Not every app sees to that, and one that never ends would be read for ever.
    """
    try:
        for _ in answer:
            break
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return []


failures = load_beside("failures")
show = failures.show

if __name__ == "__main__":
    main()
