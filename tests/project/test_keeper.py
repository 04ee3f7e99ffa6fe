"""What `scripts/services/keeper.py` starts ends with whoever started it, however that ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.services.keeper import Kept, kept
from tests.catalogue import ROOT

#: ends of itself at SIGTERM, and says so
HEEDS = "trap 'echo stopped; kill $!; exit' TERM; echo ready; sleep 60 & wait"
IGNORES = "trap '' TERM; echo ready; sleep 60; sleep 60"
#: leaves a process of its group behind
LEAVES = "trap 'exit' TERM; sleep 60 & echo $! ready; wait"

STARTER = """
import sys, time
from pathlib import Path
from scripts.services.keeper import kept
with kept(["bash", "-c", sys.argv[1]], directory=Path(sys.argv[2]), log=Path(sys.argv[3])) as it:
    print(it.pid, flush=True)
    time.sleep(60)
"""


def comes(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "directory"
    directory.mkdir()
    return directory


def says(log: Path, words: str) -> bool:
    return words in log.read_text("utf-8")


def test_it_is_stopped_at_the_end_and_its_directory_removed(log: Path, directory: Path) -> None:
    with kept(["bash", "-c", HEEDS], directory=directory, log=log) as it:
        comes(lambda: says(log, "ready"))
        assert it.running
        assert directory.exists()
    assert says(log, "stopped")
    assert not it.running
    assert not directory.exists()


def test_it_is_killed_where_it_ignores_the_signal(log: Path) -> None:
    with kept(["bash", "-c", IGNORES], log=log, patience=0.2) as it:
        comes(lambda: says(log, "ready"))
    assert not it.running


def test_what_is_left_of_its_group_is_killed(log: Path) -> None:
    with kept(["bash", "-c", LEAVES], log=log):
        comes(lambda: says(log, "ready"))
        left = int(log.read_text("utf-8").split()[0])
        assert Kept(left).running
    comes(lambda: not Kept(left).running)


def test_it_ends_with_a_starter_that_is_killed(log: Path, directory: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, HEEDS, directory, log],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        comes(lambda: says(log, "ready"))
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    comes(lambda: not Kept(pid).running and not directory.exists())
    assert says(log, "stopped")


def test_a_command_that_is_not_there(log: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    with pytest.raises(OSError, match=f"{nothing} cannot be run"), kept([nothing], log=log):
        raise AssertionError
    assert says(log, "No such file or directory")


def test_a_command_that_ended_by_itself_is_seen(directory: Path) -> None:
    with kept(["false"], directory=directory) as it:
        comes(lambda: not it.running)
        # whoever started it may want to look at what it wrote
        assert directory.exists()
    assert not directory.exists()
