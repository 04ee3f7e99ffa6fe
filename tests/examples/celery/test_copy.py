"""The directory by itself, as its README says: all of its Procfile."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from scripts.services.keeper import kept
from tests.beside import Services
from tests.examples.celery.conftest import EXAMPLE, comes
from tests.targets.environments import environment
from tests.targets.process import Process

HEADERS = {"RStudio-Connect-Credentials": '{"user": "me"}'}


@pytest.fixture
def bin_(newest: Process, tmp_path: Path) -> Path:
    """The commands of an environment with Honcho besides."""
    requirements = tmp_path / "requirements.txt"
    wanted = (EXAMPLE.path / "requirements.txt").read_text("utf-8")
    requirements.write_text(f"{wanted}honcho\n", "utf-8")
    return environment(requirements, newest.cache).parent


@pytest.mark.services("valkey")
def test_all_of_the_procfile_by_honcho(
    newest: Process, bin_: Path, services: Services, tmp_path: Path
) -> None:
    """API, worker and schedule together, and nothing written into the directory."""
    copy = newest.copy(EXAMPLE)
    before = set(copy.iterdir())
    log = tmp_path / "log"
    with kept(
        ["honcho", "start"],
        cwd=copy,
        env={
            **services.variables("valkey"),
            "PATH": f"{bin_}:/usr/bin:/bin",
            # a free one; Honcho gives 0 for the first process
            "PORT": "0",
            "REFRESH_SECONDS": "1",
            "PYTHONUNBUFFERED": "1",
        },
        log=log,
    ):
        url = comes(lambda: re.search(r"Running on (http://\S+)", log.read_text("utf-8")))[1]
        with httpx.Client(base_url=url, headers=HEADERS, trust_env=False) as client:
            assert len(client.get("greetings/").json()) > 5
            task = client.post("refresh").headers["Location"]
            comes(lambda: client.get(task).json()["state"] == "done")
        comes(lambda: re.search(r"beat.*Sending due task", log.read_text("utf-8")))
    assert set(copy.iterdir()) - {copy / "__pycache__"} == before


@pytest.mark.parametrize(
    ("command", "setting", "words"),
    [
        (
            "flask --app app routes",
            {"REDIS_URL": "http://127.0.0.1"},
            "REDIS_URL begins with redis://, rediss:// or redis+socket://, not http.",
        ),
        (
            "celery --app tasks beat",
            {"REFRESH_SECONDS": "soon"},
            "REFRESH_SECONDS is a number of seconds above 0, not 'soon'.",
        ),
        (
            "celery --app tasks worker",
            {"TASK_SECONDS": "nan"},
            "TASK_SECONDS is a number of seconds above 0, not 'nan'.",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    newest: Process, bin_: Path, command: str, setting: dict[str, str], words: str
) -> None:
    program, *arguments = command.split()
    done = subprocess.run(
        [bin_ / program, *arguments],
        cwd=newest.copy(EXAMPLE),
        env=setting,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
