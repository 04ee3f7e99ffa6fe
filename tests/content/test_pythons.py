"""Content on each Python of this machine that it may ask for, and the rules of its process."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.catalogue import ROOT
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect, running_server

WSGI = b"""
import platform

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [platform.python_version().encode()]
"""

ASGI = b"""
import platform

async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = platform.python_version().encode()
        await send({"type": "http.response.body", "body": body})
"""


def interpreters() -> dict[int, Path]:
    """A Python 3 of each minor release, where there is one: on the PATH, or pyenv's, or uv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    managed = Path.home() / ".local" / "share" / "uv" / "python"
    places = [
        Path(sys.executable).resolve().parent,
        # pyenv's shims of those that are switched off are there, but do not run
        *(place for place in map(Path, os.get_exec_path()) if place != pyenv / "shims"),
        *sorted(pyenv.glob("versions/3.*/bin"), reverse=True),
        *sorted(managed.glob("cpython-3.*/bin"), reverse=True),
    ]
    found: dict[int, Path] = {}
    for place in places:
        for minor in range(9, 20):
            python = place / f"python3.{minor}"
            if python.exists():
                found.setdefault(minor, python)
    return found


PYTHONS = interpreters()


def version_seen_by(server: LocalConnect, app_mode: str, source: bytes, minor: int) -> str:
    """What an app that is deployed for a minor release of Python says that it runs on."""
    content = create(server, access_type="all")
    files = {"app.py": source}
    archive = archive_of(files, python=f"3.{minor}.0", appmode=app_mode, entrypoint="app:app")
    task = deploy(content, upload(content, archive))
    assert task["code"] == 0, "\n".join(task["output"])
    version = server.get(content.path).text
    return version.rpartition(".")[0]


def test_content_on_each(tmp_path: Path) -> None:
    path = os.pathsep.join([*(str(python.parent) for python in PYTHONS.values()), os.defpath])
    with running_server(tmp_path / "data", path=path) as server:
        for app_mode, source, oldest in (("python-api", WSGI, 9), ("python-fastapi", ASGI, 10)):
            wanted = [minor for minor in sorted(PYTHONS) if minor >= oldest]
            found = [version_seen_by(server, app_mode, source, minor) for minor in wanted]
            assert found == [f"3.{minor}" for minor in wanted]


@pytest.mark.parametrize("minor", sorted(PYTHONS))
def test_the_rules_of_its_process(minor: int) -> None:
    spec = importlib.util.find_spec("waitress")
    assert spec
    assert spec.origin
    variables = {
        "WAITRESS_DIRECTORY": str(Path(spec.origin).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [PYTHONS[minor], "-m", "unittest", "tests.content.test_units"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
