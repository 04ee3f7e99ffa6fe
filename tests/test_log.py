"""What is written on a terminal, and what where there is none."""

import io
import os
import shutil
from contextlib import redirect_stderr

import pytest

from local_connect.log import clear_progress, log, progress

pytestmark = pytest.mark.quick


class Terminal(io.StringIO):
    """Keeps what is written to it, and says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Of 20 columns."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((20, 5)))
    return Terminal()


def test_a_line_has_its_colour_on_a_terminal(terminal: Terminal) -> None:
    with redirect_stderr(terminal):
        log("served", colour="green")
    assert terminal.getvalue() == "\x1b[32mserved\x1b[0m\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_line_is_plain_where_colour_is_not_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with redirect_stderr(terminal):
        log("served", colour="green")
    assert terminal.getvalue() == "served\n"


def test_progress_fits_the_terminal_and_gives_way_to_the_next_line(terminal: Terminal) -> None:
    with redirect_stderr(terminal):
        progress("deploying " * 5)
        assert terminal.getvalue() == "\r\x1b[Kdeploying deploying"
        log("deployed")
        assert terminal.getvalue() == "\r\x1b[Kdeploying deploying\r\x1b[Kdeployed\n"
        clear_progress()
    assert terminal.getvalue().endswith("deployed\n")


def test_there_is_no_progress_without_a_terminal() -> None:
    with redirect_stderr(io.StringIO()) as file:
        progress("deploying")
        log("deployed", colour="green")
    assert file.getvalue() == "deployed\n"
