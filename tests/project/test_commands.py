"""Every command that is written down is run: here, or by the test that is named for it here."""

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from scripts.packages import installed_by
from tests.beside import Services
from tests.catalogue import EXAMPLES, ROOT, Example
from tests.project.conftest import Checkout
from tests.servers import LocalConnect
from tests.targets.environments import environment

PAGES = sorted(
    [
        *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("*-example/README.md"),
    ]
)
PROGRAMS = r"(?:\.venv/bin/)?(?:make|rsconnect|local-connect|pip|python3?|flask|curl|pytest|npm) ?"

#: patterns of commands, and the test that runs them
RUN_BY = {
    r"make gallery": "test_gallery_until_ctrl_c",
    r"make (check|lint|vip)": "test_our_workflow_runs_what_ci_runs_before_a_merge",
    r"make test": "test_our_workflow_runs_what_ci_runs_before_a_merge",
    r"make deploy SERVER=<saved server>": "test_one_failing_deployment_does_not_stop_the_others",
    r"make deploy-\S+ SERVER=<saved server>": (
        "test_deploy_to_a_saved_server_whatever_the_environment_says"
    ),
    r"make verify SERVER=<saved server>": "test_verify_as_the_owner_of_the_key_and_as_nobody",
    r"make run-\S+": "test_run_one_example",
    r"make new NAME=my-api FROM=\S+": "test_a_new_example_deploys_and_keeps_the_contract",
    r"rsconnect deploy git .*": ("test_from_the_first_commit_to_the_last"),
    r"rsconnect (?!deploy git ).*": "test_rsconnect_as_it_is_written",
    r"(\.venv/bin/)?local-connect": "test_add_and_details",
    r"\.venv/bin/local-connect -- make deploy": (
        "test_a_deployment_inside_local_connect_is_verified"
    ),
    r"(\.venv/bin/)?local-connect --watch my-api": "test_edit_and_look",
    r"local-connect --seed my-seed": "test_it_begins_with_what_the_seed_has",
    r"local-connect --watch my-api --debug": "test_what_stands_at_a_breakpoint_is_not_ended",
    r"local-connect --port 0 -- rsconnect deploy api --entrypoint app:app my-api": (
        "test_theirs_step_by_step"
    ),
    r"pip install '\.\[pytest\]'": "test_an_api_that_is_not_ours",
    r"python3 -m venv \.venv": "test_an_example_in_an_environment_of_its_own",
    r"\.venv/bin/pip install -r requirements\.txt": "test_an_example_in_an_environment_of_its_own",
    r"make cassandra": "test_what_is_fetched_already_is_not_fetched_again",
    r"\.venv/bin/python -m storage\.db_initialize": ("test_an_example_answers_as_its_readme_says"),
    r"\.venv/bin/python -m flask --app app db upgrade": "test_the_database_goes_away_and_is_back",
    r"\.venv/bin/python db_engine\.py .*": "test_killed_in_the_middle_and_then_twice_at_once",
    r"npm (ci|test|run build)": "test_the_committed_build_is_that_of_the_sources",
    r"\.venv/bin/flask --app app run": "test_an_example_answers_as_its_readme_says",
    r"curl .*": "test_an_example_answers_as_its_readme_says",
    r"\.venv/bin/pip install honcho": "test_all_of_the_procfile_by_honcho",
    r"PATH=\.venv/bin:\$PATH honcho start.*": "test_all_of_the_procfile_by_honcho",
    r"\.venv/bin/pip install pytest.*": "test_the_tests_that_travel_with_an_example",
    r"\.venv/bin/pytest": "test_the_tests_that_travel_with_an_example",
}

#: where services of the examples could be; a deployment does not ask them
NOBODY = {
    "REDIS_URL": "redis://127.0.0.1:1",
    "CASSANDRA_CONTACT_POINTS": "127.0.0.1",
    "DATABASE_URL": "postgresql://127.0.0.1:1/nothing",
}


def blocks(page: Path) -> list[str]:
    """The indented blocks of a page, without their indentation."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page.read_text("utf-8"), re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() for block in found]


def is_commands(block: str) -> bool:
    return re.match(PROGRAMS, block) is not None and not is_usage(block)


def is_usage(block: str) -> bool:
    """Whether it is a line with its optional parts in brackets."""
    return re.match(PROGRAMS + r"\[[A-Z-]", block) is not None


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page) if is_commands(block) for line in block.splitlines()]
    return lines + re.findall(r"`(curl .+?)`", page.read_text("utf-8"))


def is_data_or_code(block: str) -> bool:
    for parse in (json.loads, tomllib.loads, ast.parse, yaml.safe_load, sections):
        try:
            found = parse(re.sub(r"^ *\.\.\.\n", "", block, flags=re.MULTILINE))
        except (ValueError, SyntaxError, yaml.YAMLError, configparser.Error):
            continue
        return not isinstance(found, str)
    return False


def sections(block: str) -> configparser.ConfigParser:
    """What systemd's units are written as."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block)
    return parser


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_written_is_known(page: Path) -> None:
    for block in blocks(page):
        assert is_commands(block) or is_usage(block) or is_data_or_code(block), block
    for command in commands(page):
        assert [pattern for pattern in RUN_BY if re.fullmatch(pattern, command)], command


def test_what_is_known_is_written_and_run() -> None:
    written = [command for page in PAGES for command in commands(page)]
    tests = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    for pattern, test in RUN_BY.items():
        assert [command for command in written if re.fullmatch(pattern, command)], pattern
        assert re.search(rf"^ *def {test}\(", tests, re.MULTILINE), test


def guids(server: LocalConnect) -> set[str]:
    return {item["guid"] for item in server.get("/__api__/v1/content", user="admin").json()}


def test_rsconnect_as_it_is_written(checkout: Checkout, server: LocalConnect) -> None:
    """Every one of them, with the placeholders filled in; the first saves the server."""
    ours = [pattern for pattern, test in RUN_BY.items() if "as_it_is_written" in test]
    written = [c for page in PAGES for c in commands(page) if re.fullmatch("|".join(ours), c)]
    add, *deployments = dict.fromkeys(
        command.replace("<saved server>", "mine")
        .replace("https://connect.example.com/", server.url)
        .replace("<key>", server.users["admin"].api_key)
        for command in written
    )
    assert add.startswith("rsconnect add ")
    assert len(deployments) > len(EXAMPLES)

    def run(command: str) -> None:
        done = checkout.run("sh", "-c", f". .venv/bin/activate && {command}", **NOBODY)
        assert done.returncode == 0, f"{command}\n{done.stdout}"

    before = guids(server)
    run(add)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, deployments))
    made = guids(server) - before
    # the same directory twice is the same content, if the one finds what the other recorded
    directories = {
        name for command in deployments for name in re.findall(r"[\w-]+-example", command)[:1]
    }
    assert len(directories) <= len(made) <= len(deployments)
    for guid in made:
        server.request("DELETE", f"/__api__/v1/content/{guid}", user="admin").raise_for_status()


def test_an_example_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """As its README says, by pip. The others differ in their requirements only."""
    example = min(EXAMPLES, key=lambda example: example.packages)
    copy = shutil.copytree(example.path, tmp_path / example.directory)
    make, install, run, *_ = [c for c in commands(copy / "README.md") if "venv" in c]
    for command in (make, install, f"{run.partition(' ')[0]} --app app routes"):
        done = subprocess.run(
            ["sh", "-c", command], cwd=copy, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert example.paths[0] in done.stdout


@pytest.mark.skipif(
    not shutil.which("curl"),
    reason=f"curl is not installed. What brings it: {installed_by(apt='curl', brew='curl')}",
)
@pytest.mark.parametrize(
    "one",
    [
        pytest.param(example, id=example.directory, marks=pytest.mark.services(*example.services))
        for example in EXAMPLES
    ],
)
def test_an_example_answers_as_its_readme_says(
    one: Example, tmp_path: Path, pytestconfig: pytest.Config, services: Services
) -> None:
    """Each `curl` gets JSON, and the last one gets what is written after it."""
    cache = Path(pytestconfig.cache.mkdir("environments"))
    copy = shutil.copytree(one.path, tmp_path / one.directory)
    (copy / ".venv").symlink_to(environment(copy / "requirements.txt", cache).parent.parent)
    text = (copy / "README.md").read_text("utf-8")
    (run,) = [line for line in commands(copy / "README.md") if line.startswith(".venv/bin/flask")]
    asked = [command for command in commands(copy / "README.md") if command.startswith("curl ")]
    asked.sort(key=text.index)
    variables = {**os.environ, **services.variables(*one.services)}
    for command in commands(copy / "README.md"):
        if command.startswith(".venv/bin/python "):
            subprocess.run(command.split(), cwd=copy, env=variables, check=True)
    # what acts for its visitors knows nobody by itself, and says so
    fail = "" if one.integrations else "--fail"
    with running(f"{run} --port 0", copy, variables) as address:
        for command in asked:
            filled = command.replace("http://127.0.0.1:5000", address)
            assert filled != command
            got = subprocess.run(
                ["sh", "-c", f"{filled} --silent --show-error {fail} --noproxy '*'"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert got.returncode == 0, f"{one.directory}/README.md: `{command}`\n{got.stderr}"
            json.loads(got.stdout)
    (answer,) = [block for block in blocks(copy / "README.md") if block.startswith("{")]
    assert got.stdout.strip() == answer


@contextmanager
def running(command: str, directory: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Run a command that serves, and tell where."""
    process = subprocess.Popen(
        command.split(),
        cwd=directory,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        output = ""
        for line in process.stderr:
            output += line
            if match := re.search(r"Running on (http://\S+)", line):
                yield match[1]
                return
        raise AssertionError(output)
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
