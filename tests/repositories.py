"""Git repositories that tests write, and a server that gives them out by https."""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.gateway.certificate import Certificate

#: git without the settings of whoever runs the tests
_ENVIRONMENT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def git(directory: Path, *arguments: str | Path) -> str:
    """What git prints, by somebody called Alice."""
    identity = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com")
    done = subprocess.run(
        ["git", "-C", directory, *identity, *arguments],
        env={**os.environ, **_ENVIRONMENT},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def new_repository(directory: Path) -> Path:
    """An empty one, at the branch `main`."""
    directory.mkdir(parents=True)
    git(directory, "init", "--quiet", "--initial-branch", "main", "--template=")
    return directory


def commit(repository: Path, files: Mapping[str, str]) -> str:
    """Write the files and commit all that is there; the commit."""
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text, "utf-8")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Change it")
    return git(repository, "rev-parse", "HEAD")


@contextmanager
def served_by_https(directory: Path, certificate: Certificate) -> Iterator[str]:
    """The address at which git's own server gives out the repositories below a directory."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(directory))
    server.socket = certificate.for_server().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://{certificate.name}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(directory: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Hands a request to `git http-backend`, which is a CGI program."""

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            length = self.headers.get("Content-Length", "0")
            done = subprocess.run(
                ["git", "http-backend"],
                input=self.rfile.read(int(length)),
                env={
                    "PATH": os.environ["PATH"],
                    **_ENVIRONMENT,
                    "GIT_PROJECT_ROOT": str(directory),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": length,
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                },
                capture_output=True,
                check=True,
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (http.server's name)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
