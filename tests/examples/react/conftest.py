"""The example, its environment, and the databases that it stands on."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.services import postgres
from tests import node as nodejs
from tests.beside import Services
from tests.browser.conftest import behind_tls, chromium
from tests.catalogue import EXAMPLES
from tests.project.conftest import checkout
from tests.targets.environments import environment

__all__ = ["behind_tls", "checkout", "chromium"]

(REACT,) = [example for example in EXAMPLES if example.directory == "flask-react-example"]

#: prints the years of each company, and how many reports were worked in
CONTENTS = """
import json
from sqlalchemy import func, select
from companies import create_app
from companies.models import Company, Queue, db
with create_app("production").app_context():
    companies = db.session.scalars(select(Company))
    years = {company.name: [f.year for f in company.finances] for company in companies}
    done = db.session.scalar(select(func.count(Queue.done_at)))
    print(json.dumps({"years": years, "done": done}))
"""


@dataclass(frozen=True)
class Database:
    """A database with the example's tables, and the example's commands on it."""

    url: str
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.url,
            "TEST_DATABASE_URL": self.url,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments in the example's directory."""
        return subprocess.run(
            [self.python, *command],
            cwd=REACT.path,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def contents(self) -> Any:
        done = self.run("-c", CONTENTS)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def python(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with what the example needs, and pytest."""
    requirements = tmp_path_factory.mktemp("requirements") / "requirements.txt"
    own = (REACT.path / "requirements.txt").read_text("utf-8")
    requirements.write_text(f"{own}pytest>=9,<10\n", "utf-8")
    cache = Path(pytestconfig.cache.mkdir("environments"))
    return environment(requirements, cache, compiled=True)


@pytest.fixture(scope="session")
def node() -> None:
    if reason := nodejs.missing():
        pytest.skip(reason)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services("postgres"))])
def database(
    request: pytest.FixtureRequest, services: Services, python: Path, tmp_path: Path
) -> Database:
    url = f"sqlite:///{tmp_path}/database.db"
    if request.param == "postgres":
        url = services.variables("postgres")["DATABASE_URL"]
    database = Database(url, python)
    migrate(database)
    return database


def migrate(database: Database) -> None:
    """Make the tables, as the README says."""
    done = database.run("-m", "flask", "--app", "app", "db", "upgrade")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def anyones() -> Iterator[Path]:
    """A directory that all may enter, as PostgreSQL runs as somebody else where this is root."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def server(anyones: Path) -> Iterator[postgres.Server]:
    """A PostgreSQL of the test's own, to stop and to start."""
    directory = anyones / "postgres"
    directory.mkdir()
    with postgres.Server(directory) as server:
        yield server
