"""A service that workers of a test session share ends with the last of them, however that ends."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.catalogue import ROOT

#: stands for a worker: says where the service is, and needs it until its input ends
WORKER = """
import json, sys
from pathlib import Path
from tests.shared import shared
with shared("valkey", Path(sys.argv[1])) as variables:
    print(json.dumps(variables), flush=True)
    sys.stdin.read()
"""


def worker(common: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, common],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def address_of(worker: subprocess.Popen[str]) -> str:
    """The socket of the server that it was given."""
    assert worker.stdout is not None
    url: str = json.loads(worker.stdout.readline())["REDIS_URL"]
    return url.removeprefix("redis+socket://").partition("?")[0]


def is_there(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(address) == 0


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.services("valkey")
def test_it_ends_with_the_last_worker(tmp_path: Path) -> None:
    with worker(tmp_path) as first, worker(tmp_path) as second:
        address = address_of(first)
        assert address_of(second) == address
        assert is_there(address)
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(0.5)
        assert is_there(address)
        second.send_signal(signal.SIGKILL)
        second.wait()
        # who comes now gets one that stays, which is another where that one is ending
        with worker(tmp_path) as third:
            address = address_of(third)
            time.sleep(0.5)
            assert is_there(address)
            assert third.stdin is not None
            third.stdin.close()
    eventually(lambda: not is_there(address) and not Path(address).exists())
