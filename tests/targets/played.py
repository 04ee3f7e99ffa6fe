"""As much of Connect's API as an example asks for on behalf of its visitor, without a server.

The visitor's token names them, and so does the key that comes of it.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

SESSION_TOKEN = b"Posit-Connect-User-Session-Token"

#: the content's own
GUID, KEY = "7f5b1a52-0f5e-4a3e-9d6e-5a1c3b1f9a10", "key-of-the-content"


def token_of(name: str) -> bytes:
    return f"token-of-{name}".encode()


class Connect(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        content = f"/__api__/v1/content/{GUID}"
        match self.path.partition("?")[0]:
            case "/__api__/v1/user" if scheme == "Key" and key != KEY:
                name = key.removeprefix("key-of-")
                self._answer({"username": name, "first_name": "", "last_name": "", "guid": name})
            case "/__api__/server_settings":
                self._answer({"version": "2026.01.0"})
            case path if path == content and key == KEY:
                self._answer({"guid": GUID})
            case path if path == f"{content}/oauth/integrations/associations" and key == KEY:
                self._answer([{"oauth_integration_template": "connect"}])
            case _:
                self._answer({"code": 4, "error": f"{self.path} is not played."}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        token = form.get("subject_token", "")
        if self.headers["Authorization"] != f"Key {KEY}" or not token.startswith("token-of-"):
            self._answer({"code": 3, "error": "The token is not valid."}, 400)
            return
        key = token.replace("token-", "key-", 1)
        self._answer({"access_token": key, "token_type": "Key"})

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, document: Any, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def played_connect() -> Iterator[dict[str, str]]:
    """The variables by which content finds it, until the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Connect) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield {
            "CONNECT_SERVER": f"http://127.0.0.1:{server.server_port}/",
            "CONNECT_API_KEY": KEY,
            "CONNECT_CONTENT_GUID": GUID,
        }
        server.shutdown()
        thread.join()
