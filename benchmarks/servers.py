"""What is put under load: one app in a content process and elsewhere, on a Unix socket each."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load import Address, Load, connect, load
from tests.catalogue import ROOT
from tests.deployed import Content
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect
from tests.targets.environments import uv

APPS = Path(__file__).with_name("apps")

#: requests that a process answers at a time; what content has by default
THREADS = 20

#: seconds that a server may take to listen
PATIENCE = 60


def peers(directory: Path) -> Path:
    """The interpreter of an environment with Flask, and with waitress as content has it."""
    if not directory.exists():
        uv("venv", "--python", sys.executable, str(directory))
        uv(
            *("pip", "install", "--python", str(directory / "bin/python")),
            *("--group", f"{ROOT / 'pyproject.toml'}:bench"),
            f"waitress=={importlib.metadata.version('waitress')}",
        )
    return directory / "bin" / "python"


def waitress(python: Path, at: Path) -> list[str]:
    """How waitress serves the bare app: one process, as many threads as content has."""
    tool = str(python.with_name("waitress-serve"))
    return [tool, f"--unix-socket={at}", f"--threads={THREADS}", "bare:app"]


@contextmanager
def serving(
    command: Sequence[str], directory: Path, at: Address
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that listens there, with the directory as its own."""
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process,
    ):
        try:
            if not _listens(at, process):
                log.seek(0)
                printed = log.read().decode("utf-8", "replace")
                raise RuntimeError(
                    f"{command!r} does not listen (status {process.poll()}).\n{printed}"
                )
            yield process
        finally:
            process.terminate()


def _listens(at: Address, process: subprocess.Popen[bytes]) -> bool:
    """Whether somebody listens there before the patience or the process is at its end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connect(at).close()
        except OSError:
            time.sleep(0.01)
        else:
            return True
    return False


def content_headers(content: Content) -> dict[str, str]:
    """What the gateway would tell the content's process of a request to its root."""
    mount = content.path.removesuffix("/")
    environ = {
        "SCRIPT_NAME": mount,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_HOST": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "wsgi.url_scheme": "http",
    }
    return {
        "RStudio-Connect-App-Base-URL": f"http://127.0.0.1{mount}",
        "X-RSC-Request": f"http://127.0.0.1{mount}/",
        "X-Local-Connect-Environ": json.dumps(environ),
    }


def load_content(content: Content, path: str, seconds: float) -> Load:
    """A load straight on the content's one process, which is told what the gateway would tell it.

    `path` is below the content's address and begins without a slash.
    """
    return load(socket_of(content), content.path + path, seconds, content_headers(content))


def publish(
    server: LocalConnect,
    directory: Path,
    variables: Mapping[str, str] | None = None,
    /,
    **fields: Any,
) -> Content:
    """New content, open to everyone, from the files of a directory; no rsconnect in between."""
    made = create(server, **{"access_type": "all", **fields})
    environment = [{"name": name, "value": value} for name, value in (variables or {}).items()]
    server.request("PATCH", f"{made.api}/environment", json=environment).raise_for_status()
    redeploy(made, bundle(directory))
    return made


def bundle(directory: Path) -> bytes:
    """What a deployment of the directory would send: what its manifest names, else every file."""
    manifest = directory / "manifest.json"
    if manifest.exists():
        names = sorted(json.loads(manifest.read_text("utf-8"))["files"])
    else:
        names = sorted(path.name for path in directory.iterdir() if path.is_file())
    return archive_of({name: (directory / name).read_bytes() for name in names})


def redeploy(content: Content, archive: bytes) -> None:
    """Deploy a bundle to its end."""
    task = deploy(content, upload(content, archive))
    if task["code"]:
        raise RuntimeError("\n".join([*task["output"], task["error"]]))


def bare(directory: Path) -> Path:
    """The bare app as a directory to deploy."""
    directory.mkdir()
    (directory / "app.py").write_bytes((APPS / "bare.py").read_bytes())
    (directory / "requirements.txt").write_text("flask>=3.1,<3.2\n")
    return directory


def job_of(content: Content) -> dict[str, Any]:
    """The job of the one process that the content has."""
    jobs = content.server.get(f"{content.api}/jobs").raise_for_status().json()
    (job,) = (job for job in jobs if job["end_time"] is None)
    return dict(job)


def socket_of(content: Content) -> Path:
    """Where the one process that the content has listens."""
    sockets = (content.server.data / "sockets").resolve()
    return sockets / f"{job_of(content)['key']}.sock"


def python_of(content: Content) -> Path:
    """The interpreter of the environment that the content's newest bundle runs in."""
    with closing(sqlite3.connect(content.server.data / "local-connect.db")) as database:
        (name,) = database.execute(
            "SELECT environment FROM bundles WHERE id = ?", (content.bundles[0]["id"],)
        ).fetchone()
    return Path(content.server.data, "environments", name, "bin", "python")


def find_nginx() -> str | None:
    """Where nginx is: often outside of a user's PATH."""
    places = (os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin")
    return shutil.which("nginx", path=os.pathsep.join(places))


def nginx(
    stack: ExitStack, directory: Path, upstream: Path, headers: Mapping[str, str]
) -> tuple[tuple[str, int], int] | None:
    """Where nginx listens, which passes on what comes, and its process; None where there is none.

    It runs until the stack is closed, in the directory, which it makes.
    """
    found = find_nginx()
    if found is None:
        return None
    directory.mkdir()
    configuration = directory / "nginx.conf"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: tuple[str, int] = probe.getsockname()
    more = "\n".join(f"proxy_set_header {name} '{value}';" for name, value in headers.items())
    configuration.write_text(
        f"""
        daemon off;
        master_process off;
        pid {directory}/nginx.pid;
        error_log stderr error;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            client_body_temp_path {directory};
            proxy_temp_path {directory};
            fastcgi_temp_path {directory};
            uwsgi_temp_path {directory};
            scgi_temp_path {directory};
            keepalive_requests 1000000;
            upstream content {{ server unix:{upstream}; keepalive 64; keepalive_requests 1000000; }}
            server {{
                listen {address[0]}:{address[1]};
                location / {{
                    proxy_pass http://content;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Host $http_host;
                    {more}
                }}
            }}
        }}
        """,
        "utf-8",
    )
    command = [found, "-c", str(configuration), "-p", str(directory), "-e", "stderr"]
    process = stack.enter_context(serving(command, directory, address))
    return address, process.pid
