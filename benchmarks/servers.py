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
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load import Load, load
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
def serving(command: Sequence[str], app: Path, at: Path) -> Iterator[None]:
    """A server that listens on the Unix socket, with the app's directory as its own."""
    with (
        at.with_suffix(".log").open("wb") as log,
        subprocess.Popen(
            command, cwd=app, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_for(at, process)
            yield
        finally:
            process.terminate()


def wait_for(at: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once somebody listens on the Unix socket."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(at)) == 0:
                return
        time.sleep(0.01)
    printed = at.with_suffix(".log").read_text("utf-8", "replace")
    raise RuntimeError(f"{process.args!r} does not listen (status {process.poll()}).\n{printed}")


def load_content(at: Path, path: str, seconds: float, *, mount: str = "") -> Load:
    """A load on a content process, which is told what the gateway would tell it."""
    environ = {
        "SCRIPT_NAME": mount,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_HOST": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "wsgi.url_scheme": "http",
    }
    headers = {
        "RStudio-Connect-App-Base-URL": f"http://127.0.0.1{mount}",
        "X-RSC-Request": f"http://127.0.0.1{mount}{path}",
        "X-Local-Connect-Environ": json.dumps(environ),
    }
    return load(at, mount + path, seconds, headers)


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


def nginx(directory: Path, at: Path, upstream: Path) -> tuple[list[str], str]:
    """How nginx passes on what comes to one Unix socket to another; or why it does not."""
    found = find_nginx()
    if found is None:
        return [], "nginx is not installed, so the gateway has no other proxy beside it."
    directory.mkdir()
    configuration = directory / "nginx.conf"
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
            upstream content {{ server unix:{upstream}; keepalive 64; }}
            server {{
                listen unix:{at};
                location / {{
                    proxy_pass http://content;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Host $http_host;
                }}
            }}
        }}
        """,
        "utf-8",
    )
    return [found, "-c", str(configuration), "-p", str(directory), "-e", "stderr"], ""
