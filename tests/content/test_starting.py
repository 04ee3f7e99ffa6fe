"""How a content process finds its app, and what it says of one that does not come up."""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_connect.content import process
from local_connect.runtime.processes import ProcessFailed, ProcessTooSlow
from tests.content.running import running

#: an app that names the file that it is in
NAMED = "name = {name!r}\ndef app(environ, start_response):\n    pass\n"

FILES = {
    "app.py": NAMED,
    "fastapi-main.py": NAMED,
    "signal.py": NAMED,
    "beside_app.py": "",
    "package/__init__.py": NAMED,
    "src/main.py": "import beside_app, beside_main\nfrom . import beside_main as same\n" + NAMED,
    "src/beside_main.py": "",
    "src/app.py": NAMED,
}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, and the first on `sys.path`, as a bundle is in its process."""
    for name, source in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(source.format(name=name))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.quick
@pytest.mark.parametrize("names", ["", ":app"])
@pytest.mark.parametrize(
    ("entrypoint", "file"),
    [
        ("app", "app.py"),
        ("app.py", "app.py"),
        ("./app.py", "app.py"),
        ("package", "package/__init__.py"),
        ("fastapi-main", "fastapi-main.py"),
        ("fastapi-main.py", "fastapi-main.py"),
        # a module that Python itself has loaded goes by that name
        ("signal.py", "signal.py"),
        ("src/main.py", "src/main.py"),
        ("src\\main.py", "src/main.py"),
        ("src/main", "src/main.py"),
        ("src/app.py", "src/app.py"),
    ],
)
@pytest.mark.usefixtures("bundle")
def test_an_entry_point(entrypoint: str, file: str, names: str) -> None:
    assert process.load_app(entrypoint + names).__globals__["name"] == file
    assert sys.modules["signal"] is signal


@pytest.mark.quick
def test_what_a_file_can_import(bundle: Path) -> None:
    process.load_app("src/main.py")
    assert sys.path[:2] == [str(bundle), str(bundle / "src")]
    # an app that imports its own file gets the module that runs
    assert sys.modules["src.main"].__dict__["name"] == "src/main.py"


@pytest.mark.quick
@pytest.mark.usefixtures("bundle")
def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"names the file src/other\.py, which the"):
        process.load_app("src/other.py:app")


SEEING = """
import json, os, sys

def app(environ, start_response):
    start_response("200 OK", [])
    return [json.dumps([sys.argv, sys.orig_argv, os.environ["PATH"].split(":")]).encode()]
"""


def test_what_it_sees_of_its_process(tmp_path: Path) -> None:
    async def look() -> None:
        file = tmp_path / "bundle" / "src" / "main.py"
        file.parent.mkdir(parents=True)
        file.write_text(SEEING)
        bundle = tmp_path / "bundle"
        python = Path(sys.executable)
        async with running(tmp_path, python, bundle, "src/main.py", app_mode="python-api") as up:
            argv, orig_argv, path = json.loads((await up.get("/mount", "/")).content)
        assert argv == [str(file)]
        assert orig_argv == [str(python), str(file)]
        assert path[0] == str(python.parent)
        assert {"/usr/local/bin", "/usr/bin", "/bin"} <= set(path)

    asyncio.run(look())


SERVING = """
from wsgiref.simple_server import make_server

def app(environ, start_response): ...

def main():
    make_server("127.0.0.1", 0, app).serve_forever()

main()
"""

WAITING = """
from contextlib import asynccontextmanager
import asyncio

@asynccontextmanager
async def lifespan():
    await asyncio.sleep(600)
    yield

async def app(scope, receive, send):
    async with lifespan():
        ...
"""


IMPORTING = """
import os, sys
library = os.path.abspath("../library")
os.mkdir(library)
with open(f"{library}/werkzeug.py", "w") as file:
    file.write("import time; time.sleep(600)")
sys.path.insert(0, library)
import werkzeug
"""

#: what hangs -> its type of content, its source, and what is said of it
HANGING = {
    "a server": (
        "python-api",
        SERVING,
        'app.py, line 7, in main: `make_server("127.0.0.1", 0, app).serve_forever()`. '
        "There it starts a server of its own",
    ),
    "a loop": ("python-api", "import time\nwhile True:\n    time.sleep(0.1)", "line 3: `time.sl"),
    "a busy loop": ("python-api", "while True:\n    pass", "app.py, line "),
    "a wait": ("python-fastapi", "import time\ntime.sleep(600)", "line 2: `time.sleep(600)`."),
    "at its startup": (
        "python-fastapi",
        WAITING,
        "app.py, line 7, in lifespan: `await asyncio.sleep(600)`.",
    ),
    "a server's import": ("python-api", IMPORTING, "app.py, line 8: `import werkzeug`."),
    "in one call": (
        "python-api",
        "import re\nre.match('(a+)+$', 'a' * 64 + 'b')",
        "It let no other thread run",
    ),
}


def test_where_it_hangs(tmp_path: Path) -> None:
    async def wait() -> list[ProcessFailed]:
        hanging = (
            failure_of(tmp_path / str(number), source, app_mode, init_timeout=6)
            for number, (app_mode, source, _) in enumerate(HANGING.values())
        )
        return await asyncio.gather(*hanging)

    for (what, (_, _, words)), failure in zip(HANGING.items(), asyncio.run(wait()), strict=True):
        assert isinstance(failure, ProcessTooSlow), what
        assert "The app was not ready within 6 seconds (its init_timeout)." in str(failure)
        assert words in failure.explained, what
        assert ("a server of its own" in failure.explained) == (what == "a server")
        said = "\n".join(failure.output)
        assert 'app.py", line ' in said, what
        assert what == "in one call" or "/local_connect/" not in said


async def failure_of(
    scratch: Path, source: str, app_mode: str, *, init_timeout: float = 60
) -> ProcessFailed:
    bundle = scratch / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "app.py").write_text(source)
    python = Path(sys.executable)
    with pytest.raises(ProcessFailed) as failed:
        async with running(
            scratch, python, bundle, "app:app", app_mode=app_mode, init_timeout=init_timeout
        ):
            pass
    return failed.value


REFUSING = """
async def app(scope, receive, send):
    try:
        raise OSError("no database")
    except OSError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
"""


def test_an_app_that_refuses_to_start(tmp_path: Path) -> None:
    failure = asyncio.run(failure_of(tmp_path, REFUSING, "python-fastapi"))
    assert str(failure) == "The app did not start: its process ended with status 3."
    said = "\n".join(failure.output)
    assert said.count('app.py", line 4, in app') == 1
    assert said.count("OSError: no database") == 1
