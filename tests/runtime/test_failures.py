"""Deployments that fail in ways that a person can mend: rsconnect must say what to mend."""

import json
import time
from pathlib import Path

import pytest

from tests.deployed import Person, Unharmed, assert_recorded
from tests.publishing import archive_of, create, deploy, upload
from tests.servers import LocalConnect

API = ("api", "--entrypoint", "app:app")

STATUS_500 = """
def app(environ, start_response):
    start_response("500 Internal Server Error", [])
    return [b"no"]
"""


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("flask==99.0", ("flask==99.0", "python-package-version-not-available")),
        # a file's name in place of its content; the registry lets nobody take it
        ("requirements-txt", ("requirements-txt", "python-package-version-not-available")),
        ("flask=>3", ("flask=>3", "python-package-install-failed")),
        ("./lib/mine", ("lib/mine", "python-package-install-failed")),
    ],
)
def test_a_package_that_cannot_be_found(
    alice: Person, live: Unharmed, app: Path, requirement: str, words: tuple[str, ...]
) -> None:
    (app / "requirements.txt").write_text(f"{requirement}\n")
    said = live.refused(alice, *API, app)
    assert "An error occurred while building your content." in said
    for part in words:
        assert part in said, said


def test_a_module_that_is_not_there(alice: Person, live: Unharmed, app: Path) -> None:
    said = live.refused(alice, "api", "--entrypoint", "ap:app", app)
    assert "ModuleNotFoundError: No module named 'ap'" in said
    assert "The app did not start" in said


def test_an_object_that_is_not_there(alice: Person, live: Unharmed, app: Path) -> None:
    said = live.refused(alice, "api", "--entrypoint", "app:flask_app", app)
    assert "The entry point app:flask_app names 'flask_app', which app does not have." in said


def test_none_of_the_usual_names(alice: Person, live: Unharmed, app: Path) -> None:
    (app / "app.py").write_text("api = None\n")
    said = live.refused(alice, "api", "--entrypoint", "app", app)
    assert "it has none of app, application, create_app, make_app" in said


def test_an_object_that_is_no_app(alice: Person, live: Unharmed, app: Path) -> None:
    (app / "app.py").write_text("app = {}\n")
    said = live.refused(alice, *API, app)
    assert "The entry point app:app is a dict, not an app." in said


def test_an_asgi_app_deployed_as_a_wsgi_app(alice: Person, live: Unharmed, app: Path) -> None:
    (app / "app.py").write_text("class App:\n    async def __call__(*_): pass\n\napp = App()\n")
    said = live.refused(alice, *API, app)
    assert "deploy it as fastapi, not as api." in said


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("import numpy", 1, "ModuleNotFoundError: No module named 'numpy'"),
        ("def start():\n    raise OSError('Ünlucky')\n\nstart()", 2, "OSError: Ünlucky"),
        ("\n\nprint(", 3, "SyntaxError: '(' was never closed"),
    ],
    ids=["an import", "an error of its own", "a mistake in the syntax"],
)
def test_an_app_that_does_not_import(
    alice: Person, live: Unharmed, app: Path, source: str, line: int, words: str
) -> None:
    (app / "app.py").write_text(source, "utf-8")
    traceback = not words.startswith("SyntaxError")
    said = live.refused(alice, *API, app, traceback=traceback)
    assert f'app.py", line {line}' in said
    assert words in said
    assert "The app did not start" in said


def test_an_app_that_ends_by_itself(alice: Person, live: Unharmed, app: Path) -> None:
    (app / "app.py").write_text("import sys\nsys.exit('No database here.')\n")
    said = live.refused(alice, *API, app)
    assert "No database here." in said
    assert "The app ended its process in app.py, line 2: `sys.exit('No database here.')`" in said
    assert "The app did not start: its process ended with status 1." in said


def test_an_app_that_serves_itself(server: LocalConnect) -> None:
    source = (
        "from wsgiref.simple_server import make_server\n"
        "def app(environ, start_response): ...\n"
        "make_server('127.0.0.1', 0, app).serve_forever()\n"
    )
    content = create(server, init_timeout=5)
    task = deploy(content, upload(content, archive_of({"app.py": source.encode()})))
    assert task["code"] == 0
    last = task["output"][-1]
    assert "The app was not ready within 5 seconds (its init_timeout)." in last
    assert "in app.py, line 3: `make_server('127.0.0.1', 0, app).serve_forever()`." in last
    assert 'belongs below `if __name__ == "__main__":`' in last
    # visitors get that it is so, and none of its code
    answer = server.get(content.path)
    assert answer.status_code == 504
    assert "The app was not ready within 5 seconds" in answer.text
    assert "make_server" not in answer.text
    assert [line for line in task["output"] if 'app.py", line 3, in <module>' in line]


def test_an_app_that_leaves_a_process_behind(alice: Person, live: Unharmed, app: Path) -> None:
    # the process holds on to the output of the app, which is gone
    (app / "app.py").write_text(
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(90)'])\n"
        "raise RuntimeError('Too late.')\n"
    )
    start = time.monotonic()
    said = live.refused(alice, *API, app, traceback=True)
    assert "RuntimeError: Too late." in said
    assert time.monotonic() - start < 45


def test_an_app_that_answers_500(alice: Person, live: Unharmed, app: Path) -> None:
    # it starts, but rsconnect looks at it before it is activated
    (app / "app.py").write_text(STATUS_500)
    said = live.refused(alice, *API, app)
    assert "Could not access the deployed content." in said
    draft = live.content.bundles[0]
    assert not draft["active"]
    assert live.content.server.get(f"{live.content.path}_bundle{draft['id']}/").text == "no"


def test_a_python_that_is_not_there(alice: Person, live: Unharmed, app: Path) -> None:
    (app / ".python-version").write_text("3.99\n")
    said = live.refused(alice, *API, app)
    assert "Unable to find a compatible version of Python: the bundle wants ~=3.99.0" in said
    assert "this server has 3." in said


def test_a_manifest_from_a_python_that_is_not_there(
    alice: Person, live: Unharmed, app: Path
) -> None:
    alice.rsconnect("write-manifest", *API, app)
    manifest = app / "manifest.json"
    document = json.loads(manifest.read_text())
    document["python"]["version"] = "3.99.1"
    manifest.write_text(json.dumps(document))
    said = live.refused(alice, "manifest", manifest)
    assert "Unable to find a compatible version of Python: the bundle wants 3.99.1" in said


def test_content_of_another_type(alice: Person, live: Unharmed, app: Path) -> None:
    before = live.content.bundles
    said = live.refused(alice, "shiny", app)
    assert "of type python-api and python-fastapi; the bundle is python-shiny." in said
    assert live.content.bundles == before


def test_a_command_for_what_this_server_does_not_have(alice: Person) -> None:
    done = alice.rsconnect("environment", "add", "image:1")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert line.endswith("local-connect does not implement POST /v1/environments.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--quiet"]])
def test_a_viewer(bob: Person, app: Path, arguments: list[str]) -> None:
    done = bob.rsconnect("deploy", *API, *arguments, app)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "bob is a viewer and may not publish." in said
    assert "Traceback" not in said


def test_a_viewer_over_the_content_of_another(bob: Person, live: Unharmed, app: Path) -> None:
    said = live.refused(bob, *API, app)
    assert "There is no such content, or you may not see it." in said


def test_content_that_is_gone(alice: Person, server: LocalConnect, app: Path) -> None:
    content = alice.deploy(*API, app)
    assert server.request("DELETE", content.api).status_code == 204
    assert server.get(content.path).status_code == 404
    assert_recorded(server)
    done = alice.rsconnect("deploy", *API, app)
    assert done.returncode == 1
    assert "no such content" in done.stderr
    assert alice.deploy(*API, "--new", app) != content


def test_the_first_deployment_fails(alice: Person, server: LocalConnect, app: Path) -> None:
    done = alice.rsconnect("deploy", "api", "--entrypoint", "ap:app", app)
    assert done.returncode == 1
    (item,) = server.get("/__api__/v1/content", params={"name": app.name}).json()
    answer = server.get(f"/content/{item['guid']}/")
    assert answer.status_code == 404
    assert "Nothing has been deployed to this content yet." in answer.text
    assert_recorded(server)

    # mended, in the same place
    assert alice.deploy(*API, app).guid == item["guid"]
