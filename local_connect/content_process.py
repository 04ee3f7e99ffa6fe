"""Runs one WSGI app inside a content process, in the content's own environment.

Started by `processes` as a script, with the content's interpreter and the bundle's
directory as working directory. It must run on every Python that content may ask
for, so it uses no syntax and no package newer than Python 3.9's; waitress is loaded
from the server's installation by its path, without putting anything else of that
installation within reach of the app.

It says `ready` on the socket it inherits once it listens, and ends itself and its
children when the other end of that socket is gone: a content process never outlives
its server, however the server died.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: set by the gateway on each request, and by nobody else
ENVIRON_HEADER = "HTTP_X_LOCAL_CONNECT_ENVIRON"

#: tried in this order where the entry point names a module alone (documented)
USUAL_NAMES = ("app", "application", "create_app", "make_app")


def main() -> None:
    arguments = parse_arguments()
    lifeline = socket.socket(fileno=arguments.lifeline)
    threading.Thread(target=end_with_server, args=(lifeline,), daemon=True).start()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # the app sees its own directory first, not the directory of this file
    sys.path[0] = os.getcwd()  # noqa: PTH109 (the path is text)
    waitress = load_package("waitress", arguments.waitress)
    try:
        app = load_app(arguments.entrypoint)
    except Exception as error:
        show(error)
        sys.exit(1)
    waitress.channel.HTTPChannel.task_class = task_class(waitress)
    server = waitress.create_server(
        environ_middleware(app),
        unix_socket=arguments.socket,
        unix_socket_perms="600",
        threads=arguments.threads,
        connection_limit=1000,
        channel_timeout=3600,
        # a line of an event stream leaves at once
        send_bytes=1,
        ident=None,
        # what the server has let in
        max_request_header_size=1 << 24,
        max_request_body_size=1 << 40,
        clear_untrusted_proxy_headers=False,
        # select() knows about a thousand files only
        asyncore_use_poll=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    lifeline.sendall(b"ready\n")
    server.run()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entrypoint", required=True)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--waitress", required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def end_with_server(lifeline: socket.socket) -> None:
    """Wait until the server is gone, then end this process and all that it started."""
    with contextlib.suppress(OSError):
        lifeline.recv(1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def load_package(name: str, directory: str) -> Any:
    """Import a package from its directory, wherever that is, as `name`."""
    spec = importlib.util.spec_from_file_location(
        name, f"{directory}/__init__.py", submodule_search_locations=[directory]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"There is no package at {directory}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_app(entrypoint: str) -> Any:
    """The app that `module[:object]` names; a factory is called."""
    module_name, _, names = entrypoint.partition(":")
    target: Any = importlib.import_module(module_name)
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


def usual_name(module: ModuleType) -> str:
    """The first of the usual names that the module has, written as a call for a factory."""
    for name in USUAL_NAMES:
        if hasattr(module, name):
            return f"{name}()" if name in ("create_app", "make_app") else name
    raise AttributeError(
        f"The entry point names the module {module.__name__} alone, "
        f"and it has none of {', '.join(USUAL_NAMES)}."
    )


def task_class(waitress: Any) -> Any:
    """What answers a request in waitress, less a mistake: it ends the body of a HEAD in chunks."""

    class Task(waitress.task.WSGITask):  # type: ignore[misc] # (loaded as it runs)
        def finish(self) -> None:
            if self.request.command == "HEAD":
                self.write(b"")
                self.chunked_response = False
            super().finish()

    return Task


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


def without_body(answer: Any) -> list[bytes]:
    """Begin an answer, so that it has its headers, and drop its body: HEAD has none.

    Not every app sees to that, and waitress would send what the app returns.
    """
    try:
        for _ in answer:
            break
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return []


def show(error: Exception) -> None:
    """Print the app's own traceback, without the frames of this file."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    while frames and "importlib" in frames.tb_frame.f_code.co_filename:
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)


if __name__ == "__main__":
    main()
