"""`make new`: an example that is like another, and works at once."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.catalogue import EXAMPLES
from tests.project.conftest import Checkout

NAME = "my-api"
SOURCE = EXAMPLES[0].directory


def files(directory: Path) -> dict[str, bytes]:
    """All but the environment, and what Python keeps of what it has compiled."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
        and path.parent.name != "__pycache__"
        and not path.is_relative_to(directory / ".venv")
    }


def test_a_new_example_deploys_and_keeps_the_contract(
    checkout: Checkout, pytestconfig: pytest.Config
) -> None:
    # what git does not know is not copied
    (checkout.directory / SOURCE / ".env").write_text("SECRET=1", "utf-8")
    done = checkout.run("make", "new", f"NAME={NAME}", f"FROM={SOURCE}")
    assert done.returncode == 0, done.stdout
    assert f"make deploy-{NAME}" in done.stdout
    made = files(checkout.directory / NAME)
    assert set(made) == set(files(checkout.directory / SOURCE)) - {".env"}
    assert not [name for name, content in made.items() if SOURCE.encode() in content]
    assert b"docs/images" not in made["README.md"]
    assert json.loads(made["manifest.json"])["metadata"]["entrypoint"] == EXAMPLES[0].entrypoint

    tables = tomllib.loads((checkout.directory / "gallery.toml").read_text("utf-8"))
    assert list(tables) == [*(example.directory for example in EXAMPLES), NAME]
    assert tables[NAME] == tables[SOURCE] | {"title": NAME}
    assert f"[{NAME}]({NAME}/)" in (checkout.directory / "README.md").read_text("utf-8")
    assert checkout.run("make").stdout.rstrip().endswith(NAME)
    # from one that was made so, too, whose title is its name; with what is hidden and of it
    (checkout.directory / NAME / ".gitignore").write_text("*.db\n", "utf-8")
    assert checkout.run("make", "new", f"NAME=another-{NAME}", f"FROM={NAME}").returncode == 0
    tables = tomllib.loads((checkout.directory / "gallery.toml").read_text("utf-8"))
    assert tables[f"another-{NAME}"] == tables[NAME] | {"title": f"another-{NAME}"}
    assert (checkout.directory / f"another-{NAME}" / ".gitignore").read_text("utf-8") == "*.db\n"

    # its environment is that of its source
    environments = checkout.directory / ".pytest_cache" / "d" / "environments"
    environments.parent.mkdir(parents=True)
    environments.symlink_to(pytestconfig.cache.mkdir("environments"))
    contract = [f"tests/contract/test_{about}.py" for about in ("greetings", "http")]
    done = checkout.run(
        *(".venv/bin/pytest", "-q", "--target", "process", "-k", f"{NAME}-alice", *contract)
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.MULTILINE), done.stdout

    done = checkout.run(".venv/bin/local-connect", "--port", "0", "--", "make", f"deploy-{NAME}")
    assert done.returncode == 0, done.stdout
    assert f"{NAME} | live, " in done.stdout


def test_what_is_refused(checkout: Checkout) -> None:
    project = checkout.directory / EXAMPLES[1].directory / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace("requires-python", "#"), "utf-8")
    before = files(checkout.directory)
    for name, source, says in (
        ("My API", SOURCE, "'My API' cannot be a name: NAME takes"),
        ("../elsewhere", SOURCE, "'../elsewhere' cannot be a name"),
        ("shared", SOURCE, "shared is here already"),
        (NAME, "no-such-example", f"FROM is one of: {SOURCE}"),
        # which is found out when the directory is there
        (NAME, EXAMPLES[1].directory, f"{NAME}/pyproject.toml must say which Python it needs"),
    ):
        done = checkout.run("make", "new", f"NAME={name}", f"FROM={source}")
        assert done.returncode == 2
        assert says in done.stdout
        assert "Traceback" not in done.stdout
        assert files(checkout.directory) == before
