"""PostgreSQL behind PgBouncer, which gives each transaction whatever connection is free."""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.packages import installed_by
from scripts.services import postgres
from scripts.services.keeper import kept
from tests.beside import Services
from tests.examples.react.conftest import REACT, Database, migrate
from tests.servers import eventually
from tests.targets import ALICE, Target
from tests.targets.process import Process

pytestmark = pytest.mark.services("postgres")

#: Debian has it where administrators' programs are
PROGRAM = shutil.which(
    "pgbouncer", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
)

#: how many connections it makes to PostgreSQL, for however many clients
CONNECTIONS = 3

CONFIGURATION = """
[databases]
* = host={upstream} user=postgres
[pgbouncer]
unix_socket_dir = {directory}
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
"""

#: a part of the socket's name; there is no port
PORT = 6432

#: prints how many connections to this database there are, its own included
COUNT = """
from sqlalchemy import text
from companies import create_app
from companies.models import db
with create_app("production").app_context():
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    print(db.session.scalar(text(count)))
"""


@pytest.fixture
def pooled(
    services: Services, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database of its own, by way of the pooler."""
    if PROGRAM is None:
        how = installed_by(apt="pgbouncer", brew="pgbouncer")
        pytest.skip(f"There is no pooler, PgBouncer. What brings it: {how}")
    url = services.variables("postgres")["DATABASE_URL"]
    address, _, upstream = url.partition("?host=")
    directory = tmp_path_factory.mktemp("pooler")
    file = directory / "pgbouncer.ini"
    file.write_text(
        CONFIGURATION.format(
            upstream=upstream, directory=directory, port=PORT, connections=CONNECTIONS
        ),
        "utf-8",
    )
    log = directory / "log"
    with kept([*postgres.unprivileged(directory), PROGRAM, file], log=log):
        assert eventually((directory / f".s.PGSQL.{PORT}").exists), log.read_text("utf-8")
        yield Database(f"{address}?host={directory}&port={PORT}", python)


def test_everything_works_behind_a_pooler(
    pooled: Database, targets: dict[str, Target], tmp_path: Path
) -> None:
    """The migrations, the command twice at once, and many visitors over a few connections."""
    migrate(pooled)
    (report, *_) = json.loads((REACT.path / "companies.json").read_text("utf-8"))["DATA"]
    # so many that psycopg would prepare their statements
    reports = [{**report, "COMPANY": f"Company {number}"} for number in range(40)]
    file = tmp_path / "reports.json"
    file.write_text(json.dumps({"DATA": reports}), "utf-8")
    command = ("db_engine.py", "--production")
    assert pooled.run(*command, "load", file).returncode == 0
    with ThreadPoolExecutor(2) as runs:
        for done in runs.map(lambda _: pooled.run(*command, "run"), range(2)):
            assert done.returncode == 0, done.stderr
    assert pooled.contents()["done"] == len(reports)

    process = targets[Process.name]
    assert isinstance(process, Process)
    content = process.launch(REACT, env={"DATABASE_URL": pooled.url})
    try:
        paths = ("api_1_0/companies", "api_1_0/finance/1", "api_1_0/get_company/2") * 20
        with ThreadPoolExecutor(12) as visitors:
            answers = list(visitors.map(lambda path: content.get(path, user=ALICE), paths))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 3
        counted = pooled.run("-c", COUNT)
        assert 0 < json.loads(counted.stdout) <= CONNECTIONS
    finally:
        content.close()
