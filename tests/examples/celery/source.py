"""A source of greetings that can be slow, broken or gone, and tells how often it was asked."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Source:
    """What it sends, and how."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0
        #: set whenever it is asked
        self.is_asked = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Be sound and quick again."""
        self.status = 200
        self.body = b""
        self.etag = ""
        #: seconds before it answers
        self.pause = 0.0
        #: how much of the body it sends, though it promises all
        self.part = 1.0
        #: closes each connection without an answer
        self.gone = False
        self.not_modified = 0
        self.has({"en": "Hello"}, "1")

    def has(self, texts: object, version: str) -> None:
        """Send this as JSON, of this version."""
        self.sends(json.dumps(texts).encode(), version)

    def sends(self, body: bytes, version: str) -> None:
        self.body, self.etag = body, f'"{version}"' if version else ""


@contextmanager
def serving(listener: socket.socket | None = None) -> Iterator[Source]:
    """A source until the end: on that socket, else on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # it sends what it had when it was asked, however long that takes
            body, etag = source.body, source.etag
            source.asked += 1
            source.is_asked.set()
            if source.gone:
                return
            stopped.wait(source.pause)
            known = etag and self.headers["If-None-Match"] == etag
            if known and source.status == 200:
                source.not_modified += 1
                self.send_response(304)
                self.end_headers()
                return
            self.send_response(source.status)
            if etag:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: int(source.part * len(body))])

        def log_message(self, *_: object) -> None:
            pass

    stopped = threading.Event()
    listener = listener or socket.create_server(("127.0.0.1", 0))
    server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    # who gave up waiting for an answer is none of ours to tell
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    host, port = listener.getsockname()
    source = Source(f"http://{host}:{port}/greetings.json")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield source
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
