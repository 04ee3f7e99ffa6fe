"""What is told of several deployments at once, in memory."""

import io
import re
import threading

import pytest
from rich.console import Console

from scripts.progress import Progress

pytestmark = pytest.mark.quick

#: what rsconnect says of a deployment that goes well, in parts
SAID = [
    "    Warning: the existing manifest.json file will not be used or considered.",
    "Validating server... \t[OK]",
    "Making bundle ... \t[OK]",
    "Deploying bundle ... \t[OK]",
    "Building Python API...",
    " + flask==3.1.3",
    "Launching Python API...",
    "Verifying deployed content... \t[OK]",
    "Activating deployed content... \t[OK]",
    "Building Python API...",
    "Launching Python API...",
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VERBOSE", "NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def console(*, terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=60, height=20, highlight=False
    )


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\d+\.\d s", "0.0 s", console.file.getvalue())


def test_elsewhere_each_step_is_a_line() -> None:
    where = console(terminal=False)
    with Progress(["one"], console=where) as progress:
        progress.begin("one")
        for line in SAID:
            progress.hear("one", line)
        progress.end("one", "live")
    steps = "packing uploading building starting checking activating live,"
    assert printed(where).split() == [
        word for step in steps.split() for word in ("one", "|", step)
    ] + ["0.0", "s"]


def test_on_a_terminal_a_line_changes_in_place() -> None:
    where = console(terminal=True)
    with Progress(["one", "another"], console=where) as progress:
        progress.begin("one")
        for line in SAID:
            progress.hear("one", line)
        progress.note("another", "stays")
        progress.end("one", "live")
        progress.leave_out("another", "it has no Java")
    shown = printed(where)
    assert "flask==3.1.3" not in shown
    assert "manifest.json" not in shown
    # the cursor goes up to what it writes over
    assert "\x1b[1A" in shown
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).rstrip().splitlines()
    assert [line for line in lines if " | " in line] == [
        "another | stays",
        "another | LEFT OUT: it has no Java",
    ]
    first, second = lines[-2:]
    assert re.fullmatch(r"one      live, 0\.0 s", first)
    assert re.fullmatch(r"another  left out", second)


def test_all_that_was_said_of_one_that_fails() -> None:
    for terminal in (True, False):
        where = console(terminal=terminal)
        with Progress(["one", "another"], console=where) as progress:
            for line in (*SAID[:5], "error: there is no flask==0"):
                progress.hear("one", line)
                progress.hear("another", line)
            progress.fail("one", "rsconnect ended with status 1.")
        shown = printed(where)
        assert "one | error: there is no flask==0\n" in shown
        assert "one | NOT DEPLOYED: rsconnect ended with status 1.\n" in shown
        assert "another | error" not in shown
        assert "manifest.json" not in shown


def test_verbose_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBOSE", "1")
    where = console(terminal=True)
    with Progress(["one"], console=where) as progress:
        progress.begin("one")
        for line in SAID:
            progress.hear("one", line)
        progress.end("one", "live")
    told = [*SAID, "live, 0.0 s"]
    assert (
        printed(where).replace("\t", " ").split()
        == " ".join(f"one | {line}" for line in told).split()
    )


def test_many_tell_at_once() -> None:
    where = console(terminal=True)
    names = [f"example-{number}" for number in range(8)]

    def work(name: str) -> None:
        progress.begin(name)
        for number in range(20):
            progress.hear(name, SAID[number % len(SAID)])
            progress.note(name, f"note {number}")
        progress.end(name, "live")

    with Progress(names, console=where) as progress:
        threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
    for name in names:
        assert f"{name} | note 19\n" in printed(where)
