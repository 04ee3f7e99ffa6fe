"""Shows what reached it, and answers as it is told to.

Plain WSGI but for `/flask/…`, so that nothing stands between a test and the environ.
"""

# mypy: ignore-errors
# (Flask is not in the environment of the type checker)

import hashlib
import importlib.util
import json
import locale
import os
import queue
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from urllib.parse import parse_qs

import psutil
from flask import Flask, make_response, redirect, request, send_file, session, url_for

STARTS = Path.home() / "starts"
with STARTS.open("a") as starts:
    starts.write(f"{os.getpid()}\n")
time.sleep(float(os.environ.get("PROBE_SECONDS_TO_START", "0")))

flask = Flask(__name__)
flask.secret_key = "not secret"

# `sys.argv` has nothing of the server's
started_by = psutil.Process().cmdline()

#: where this process can be reached
sockets = [argument for argument in started_by if argument.endswith(".sock")]

#: what test and generator say to each other, by a name that the test chose
channels = defaultdict(queue.Queue)
closed = defaultdict(threading.Event)

counted = 0


def app(environ, start_response):
    first = environ["PATH_INFO"].split("/")[1]
    return VIEWS.get(first, echo)(environ, start_response)


def answer_json(start_response, document):
    text = json.dumps(document).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [text]


def query(environ, name, default=""):
    return parse_qs(environ["QUERY_STRING"]).get(name, [default])[0]


def echo(environ, start_response):
    """All of the environ that is text, and the body's size and digest."""
    digest = hashlib.sha256()
    size = 0
    while chunk := environ["wsgi.input"].read(1 << 16):
        size += len(chunk)
        digest.update(chunk)
    document = {
        "environ": {name: value for name, value in environ.items() if isinstance(value, str)},
        "size": size,
        "digest": digest.hexdigest(),
        "pid": os.getpid(),
    }
    return answer_json(start_response, document)


def answer(environ, start_response):
    """The answer that the header X-Answer describes, in Latin-1 as WSGI has it."""
    told = json.loads(environ["HTTP_X_ANSWER"])
    headers = [
        (name, "x" * value if isinstance(value, int) else value) for name, value in told["headers"]
    ]
    start_response(told["status"], headers)
    return [part.encode("latin-1") for part in told["body"]]


def count(environ, start_response):
    """How often this has been asked."""
    environ["wsgi.input"].read()
    global counted
    counted += 1
    return answer_json(start_response, counted)


def numbers(environ, start_response):
    """As many bytes as asked for, always the same; with Content-Length if asked for."""
    size = int(query(environ, "size"))
    headers = [("Content-Type", "application/octet-stream")]
    if query(environ, "length"):
        headers.append(("Content-Length", str(size)))
    start_response("200 OK", headers)

    def parts():
        block = random.Random(1).randbytes(1 << 16)  # noqa: S311
        for start in range(0, size, len(block)):
            yield block[: size - start]

    return parts()


class Events:
    """An event stream that says what it is told to, and knows when it is closed."""

    def __init__(self, name):
        self.name = name

    def __iter__(self):
        return self

    def __next__(self):
        try:
            text = channels[self.name].get(timeout=0.1)
        except queue.Empty:
            text = ": still here\n\n"
        if not text:
            raise StopIteration
        return text.encode()

    def close(self):
        closed[self.name].set()


def events(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return Events(query(environ, "name"))


def say(environ, start_response):
    channels[query(environ, "name")].put(query(environ, "text"))
    return answer_json(start_response, None)


def wait_until_closed(environ, start_response):
    return answer_json(start_response, closed[query(environ, "name")].wait(10))


def sleep(environ, start_response):
    time.sleep(float(query(environ, "seconds")))
    return answer_json(start_response, {"pid": os.getpid()})


def pause(environ, start_response):
    """Half of an answer, then nothing for a while, perhaps more than once, then the rest."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(int(query(environ, "times", "1"))):
        yield b"half"
        time.sleep(float(query(environ, "seconds")))
    yield b"whole"


def end(environ, start_response):
    """End the process; with `half`, in the middle of the answer."""
    if query(environ, "half"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"half"
        time.sleep(0.2)
    os._exit(int(query(environ, "status", "3")))


def stray(environ, start_response):
    """Leave a process behind that no signal to this one's group reaches."""
    child = subprocess.Popen(["sleep", query(environ, "seconds")], start_new_session=True)
    return answer_json(start_response, {"pid": child.pid})


def process(environ, start_response):
    """What the process was given."""
    document = {
        "variables": dict(os.environ),
        "directory": str(Path.cwd()),
        "stdin": sys.stdin.read(),
        "encodings": [
            locale.getpreferredencoding(),
            sys.getfilesystemencoding(),
            sys.stdout.encoding,
        ],
        "importable": [
            name for name in query(environ, "names").split(",") if importlib.util.find_spec(name)
        ],
        "loaded": [name for name in query(environ, "names").split(",") if name in sys.modules],
        "starts": STARTS.read_text().split(),
        "pid": os.getpid(),
        "path": sys.path,
        "files": open_files(),
        "sockets": sockets,
    }
    return answer_json(start_response, document)


def open_files():
    """What each file descriptor leads to, where the system shows it."""
    found = []
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            found.append(str(entry.readlink()))
        except OSError:
            continue
    return found


def call(environ, start_response):
    """What the server answers to this process's own key."""
    asked = urllib.request.Request(
        os.environ["CONNECT_SERVER"] + query(environ, "path"),
        headers={"Authorization": f"Key {os.environ['CONNECT_API_KEY']}"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer_json(start_response, {"status": answer.status, **json.load(answer)})
    except urllib.error.HTTPError as error:
        return answer_json(start_response, {"status": error.code})


@flask.route("/flask/")
def urls():
    return {
        "relative": url_for("urls"),
        "external": url_for("urls", _external=True),
        "request": request.url,
        "host": request.host,
        "scheme": request.scheme,
        "root": request.script_root,
        "secure": request.is_secure,
        "client": request.remote_addr,
    }


@flask.route("/flask/redirect/relative")
def redirect_relative():
    return redirect(url_for("urls"))


@flask.route("/flask/redirect/absolute")
def redirect_absolute():
    return redirect(url_for("urls", _external=True))


# Flask itself sends this visitor on, to the address with a slash
@flask.route("/flask/slash/")
def slash():
    return "slash"


@flask.route("/flask/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@flask.route("/flask/file")
def file():
    return send_file(__file__, conditional=True)


@flask.route("/flask/cookies")
def cookies():
    response = make_response(dict(request.cookies))
    for cookie in request.args.getlist("set"):
        response.headers.add("Set-Cookie", cookie)
    return response


VIEWS = {
    "answer": answer,
    "count": count,
    "numbers": numbers,
    "events": events,
    "say": say,
    "closed": wait_until_closed,
    "sleep": sleep,
    "pause": pause,
    "end": end,
    "stray": stray,
    "process": process,
    "call": call,
    "flask": flask,
}
