"""db_engine.py in processes of its own: killed, twice at once, and on a terminal."""

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

from tests.examples.react.conftest import REACT, Database

#: enough that the work takes a while; two reports for each company
REPORTS = 100

QUARTERS = {f"Q{number}_EARNINGS": 0.1 for number in (1, 2, 3, 4)}


def report(number: int) -> dict[str, object]:
    return {
        "COMPANY": f"Company {number // 2}",
        "COMPANY_CEO": "-",
        "BUSINESS_TYPE": "-",
        "FINANCE": [{"YEAR": year, **QUARTERS} for year in years_of(number)],
    }


def years_of(number: int) -> list[int]:
    first = 2000 + 10 * (number % 2)
    return list(range(first, first + 3))


def test_killed_in_the_middle_and_then_twice_at_once(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "reports.json"
    file.write_text(json.dumps({"DATA": [report(number) for number in range(REPORTS)]}), "utf-8")
    done = database.run("db_engine.py", "--production", "load", file)
    assert done.returncode == 0, done.stderr

    kill_in_the_middle(database)
    contents = database.contents()
    assert 0 < contents["done"] < REPORTS
    # a report is in the tables and marked, or neither
    years = [len(years) for name, years in contents["years"].items() if name.startswith("Company")]
    assert sum(years) == contents["done"] * len(years_of(0))

    # both begin with all that is left, and no report is for both
    runs = [
        subprocess.Popen(
            [database.python, "db_engine.py", "--production", "run"],
            cwd=REACT.path,
            env=database.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    printed = [run.communicate()[0] for run in runs]
    worked = [int(re.findall(r"(\d+) worked in, 0 left", text)[0]) for text in printed]
    assert sum(worked) == REPORTS - contents["done"], printed
    contents = database.contents()
    assert contents["done"] == REPORTS
    both = years_of(0) + years_of(1)
    assert all(contents["years"][f"Company {n}"] == both for n in range(REPORTS // 2))


def kill_in_the_middle(database: Database) -> None:
    """Run it on a terminal, and kill it when the bar shows that it is at work."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(REACT.path)
        command = [str(database.python), "db_engine.py", "--production", "run"]
        os.execve(command[0], command, database.environment)  # noqa: S606
    printed = b""
    while not re.search(rb"Reports .*#.* ([1-9]\d)%", printed):
        printed += os.read(terminal, 4096)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
