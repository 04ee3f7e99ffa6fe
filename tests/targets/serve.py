"""Serve one WSGI application below a path. Runs in the application's environment, not the tests'.

It needs nothing but Werkzeug, prints its port when it is ready, and ends when its input does, so
that it cannot outlive the tests however they end.
"""

# mypy: ignore-errors
# (Werkzeug is not in the environment of the type checker)

import argparse
import importlib
import sys
import threading

from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("entrypoint")
    parser.add_argument("mounts", nargs="+", help="such as /content/1; an empty one is the root")
    parser.add_argument("--scheme", default="http", help="what the client used, before any proxy")
    options = parser.parse_args()

    # in place of this script's own directory
    sys.path[0] = options.directory
    module, _, name = options.entrypoint.partition(":")
    content = getattr(importlib.import_module(module), name)
    mounted = DispatcherMiddleware(
        content if "" in options.mounts else NotFound(),
        dict.fromkeys(options.mounts, content),
    )

    def application(environ, start_response):
        environ["wsgi.url_scheme"] = options.scheme
        return mounted(environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.port, flush=True)
    sys.stdin.read()


main()
