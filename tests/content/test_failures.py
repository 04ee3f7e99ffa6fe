"""What is said of an app that fails: in whose code, and the way out where one is known."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_connect.content import process

pytestmark = pytest.mark.quick

LIBRARY = """
import importlib

def load(name):
    return importlib.import_module(name)

def fail():
    raise ValueError("in the library")
"""

Say = Callable[[str], str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """What a content process prints of an app with this source."""
    (tmp_path / "library.py").write_text(LIBRARY)
    bundle = tmp_path / "importlib-example"
    bundle.mkdir()
    monkeypatch.chdir(bundle)
    monkeypatch.setattr(process.failures, "BUNDLE", str(bundle))
    monkeypatch.setattr(sys, "path", [str(bundle), str(tmp_path), *sys.path])

    def said(source: str) -> str:
        (bundle / "app.py").write_text(source)
        with pytest.raises(SystemExit):
            process.load_app_or_exit("app.py:app", lambda *_: None)
        for name in ("app", "library"):
            sys.modules.pop(name, None)
        return capsys.readouterr().err

    return said


def lines_of(said: str) -> list[tuple[str, int]]:
    """The frames of a traceback: file and line of each."""
    frames = [
        line.split('"') for line in said.splitlines() if line.lstrip(" |").startswith("File ")
    ]
    return [(Path(file).name, int(rest.split()[2].rstrip(","))) for _, file, rest in frames]


def test_an_error_of_its_own(say: Say) -> None:
    said = say("def start():\n    raise KeyError('own')\n\nstart()\n")
    assert lines_of(said) == [("app.py", 4), ("app.py", 2)]
    assert said.endswith("KeyError: 'own'\n")


def test_an_error_in_a_library(say: Say) -> None:
    said = say("import library\n\nlibrary.fail()\n")
    assert lines_of(said) == [("app.py", 3), ("library.py", 8)]
    assert said.endswith(
        "ValueError: in the library\nThe app came to this in app.py, line 3: `library.fail()`\n"
    )


def test_an_error_that_came_from_another(say: Say) -> None:
    said = say(
        "import library\ntry:\n    library.load('missing.part')\n"
        "except ImportError as error:\n    raise OSError('no part') from error\n"
    )
    assert lines_of(said) == [("app.py", 3), ("library.py", 5), ("app.py", 5)]
    assert said.endswith("OSError: no part\n")


def test_errors_together(say: Say) -> None:
    said = say(
        "import library\ntry:\n    library.fail()\n"
        "except ValueError as error:\n    raise ExceptionGroup('all', [error])\n"
    )
    assert ("library.py", 8) in lines_of(said)
    assert {file for file, _ in lines_of(said)} == {"app.py", "library.py"}


def test_an_error_that_is_no_exception(say: Say) -> None:
    assert lines_of(say("raise KeyboardInterrupt\n")) == [("app.py", 1)]


def test_a_mistake_in_the_syntax(say: Say) -> None:
    assert lines_of(say("\n\nprint(\n")) == [("app.py", 3)]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys\nsys.exit('No database.')", "No database.\n"),
        ("import sys\nsys.exit(3)", ""),
        ("import sys\nsys.exit()", ""),
    ],
)
def test_an_app_that_ends_its_process(say: Say, source: str, words: str) -> None:
    call = source.splitlines()[1]
    assert say(source) == f"{words}The app ended its process in app.py, line 2: `{call}`\n"


def test_a_server_that_ends_the_process(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # by a handler of its own, which runs on top of what the app is at
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "handler.py").write_text("import sys\ndef stop():\n    sys.exit(0)\n")
    monkeypatch.setattr(process.failures, "_OURS", str(tmp_path / "server"))
    monkeypatch.syspath_prepend(tmp_path / "server")
    assert say("import handler\nhandler.stop()\n") == ""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("pkg_resources", "add setuptools<82 to requirements.txt."),
        ("setuptools.command", "add setuptools to requirements.txt."),
        ("distutils.version", "add setuptools to requirements.txt."),
        ("wheel", "add wheel to requirements.txt."),
        ("pip", "add pip to requirements.txt."),
        ("imp", "left Python's standard library with 3.12: use importlib, or ask for an older"),
        ("cgi", "left Python's standard library with 3.13: add standard-cgi to requirements.txt"),
        ("audioop", "add audioop-lts to requirements.txt"),
        ("tkinter.ttk", "tkinter is of Python's standard library, but the Python in"),
    ],
)
def test_a_module_that_people_expect(
    say: Say, monkeypatch: pytest.MonkeyPatch, module: str, words: str
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    said = say(f"raise ModuleNotFoundError('gone', name={module!r})\n")
    *_, error, hint = said.splitlines()
    assert error == "ModuleNotFoundError: gone"
    assert hint.startswith(module.partition(".")[0])
    assert words in hint


def test_a_module_that_an_older_python_has(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    assert "left" not in say("raise ModuleNotFoundError('gone', name='cgi')\n")


def test_a_module_that_a_library_expects(say: Say) -> None:
    said = say(
        "try:\n    raise ModuleNotFoundError('gone', name='wheel')\n"
        "except ImportError:\n    raise OSError('no wheel')\n"
    )
    assert said.endswith(
        "wheel is not in an environment that does not ask for it: add wheel to requirements.txt.\n"
    )


def test_a_missing_module_without_a_hint(say: Say) -> None:
    assert say("import numby\n").endswith("ModuleNotFoundError: No module named 'numby'\n")
