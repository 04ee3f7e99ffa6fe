"""How environments are built: from the bundle's own files, by pip, not at all, from an index."""

import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deployed import Person
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect, running_server

WHEEL = "shoplib-1.0-py3-none-any.whl"

APP = b"""
import importlib.util, shoplib
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{shoplib.NAME} pip={bool(importlib.util.find_spec('pip'))}".encode()]
"""

#: needs no package
BARE = b"""
import sys
def app(environ, start_response):
    start_response("200 OK", [])
    return [sys.base_prefix.encode()]
"""


def wheel(name: str) -> bytes:
    """A wheel of the package `shoplib` 1.0, whose NAME is this."""
    info = "shoplib-1.0.dist-info"
    files = {
        "shoplib.py": f"NAME = {name!r}\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: shoplib\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return packed.getvalue()


def test_a_wheel_of_the_bundle_that_is_built_again_under_its_name(server: LocalConnect) -> None:
    content = create(server)
    for name in ("first", "second"):
        files = {"app.py": APP, "requirements.txt": f"wheels/{WHEEL}\n".encode()}
        task = deploy(
            content, upload(content, archive_of({**files, f"wheels/{WHEEL}": wheel(name)}))
        )
        assert task["code"] == 0, task
        assert server.get(content.path).text == f"{name} pip=False"
    # an earlier bundle keeps the environment that it was built with
    task = deploy(content, content.bundles[-1]["id"])
    assert any(line.startswith("Using cached environment") for line in task["output"])
    assert server.get(content.path).text == "first pip=False"


def test_package_installer_pip(alice: Person, app: Path) -> None:
    (app / "app.py").write_bytes(APP)
    (app / WHEEL).write_bytes(wheel("ours"))
    (app / "requirements.txt").write_text(f"{WHEEL}\n")
    done = alice.rsconnect("deploy", "api", "--package-installer", "PIP", app)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Installing with pip, since the bundle does not allow uv." in said
    assert "Successfully installed shoplib-1.0" in said
    assert "Packages in the environment: shoplib @ file://" in said
    (content,) = alice.server.get("/__api__/v1/content", params={"name": app.name}).json()
    assert alice.server.get(f"/content/{content['guid']}/").text == "ours pip=True"


def test_disable_env_management_py(alice: Person, app: Path) -> None:
    (app / "app.py").write_bytes(BARE)
    (app / "requirements.txt").write_text("no-such-package-anywhere==99\n")
    done = alice.rsconnect("deploy", "api", "--disable-env-management-py", app)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Nothing is installed, since the bundle's environment is not managed here" in said
    (content,) = alice.server.get("/__api__/v1/content", params={"name": app.name}).json()
    prefix = alice.server.get(f"/content/{content['guid']}/").text
    assert f"it runs on {prefix}/bin/python" in said
    lockfile = alice.server.get(f"/__api__/v1/content/{content['guid']}/lockfile")
    assert lockfile.is_success

    # what it needs and is not there shows when it starts
    (app / "app.py").write_bytes(APP)
    done = alice.rsconnect("deploy", "api", "--disable-env-management-py", app)
    assert done.returncode == 1
    assert "No module named 'shoplib'" in done.stdout + done.stderr


@contextmanager
def index(directory: Path) -> Iterator[str]:
    """A package index that has `shoplib` alone; its address."""
    package = directory / "simple" / "shoplib"
    package.mkdir(parents=True)
    (package / WHEEL).write_bytes(wheel("of the index"))
    (package / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    handler = partial(_Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://someone:secret@127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_the_index_of_pips_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    with index(tmp_path / "index") as url:
        config.write_text(f"[global]\nindex-url = {url}\n")
        with running_server(tmp_path / "data") as server:
            content = create(server)
            files = {"app.py": APP, "requirements.txt": b"shoplib\n"}
            task = deploy(content, upload(content, archive_of(files)))
            assert task["code"] == 0, task
            assert server.get(content.path).text == "of the index pip=False"
            (place,) = [line for line in task["output"] if "as pip is configured to" in line]
            assert url.replace("someone:secret@", "") in place
            assert "secret" not in "".join(task["output"])

            # where it is not there, either, the log says how to name another
            files["requirements.txt"] = b"shoplib==2\n"
            task = deploy(content, upload(content, archive_of(files)))
            assert "(Error code: python-package-version-not-available)" in task["error"]
            assert any("PIP_EXTRA_INDEX_URL" in line for line in task["output"])
