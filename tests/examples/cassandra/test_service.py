"""Cassandra on a developer's machine: fetched once, and said what to do where it cannot start."""

import os
import re
import signal
import subprocess
import uuid
from pathlib import Path

import httpx
import pytest

from scripts.services import Unavailable, cassandra
from scripts.services.cassandra import Node, java
from tests.examples.cassandra.conftest import EXAMPLE
from tests.project.conftest import Checkout
from tests.terminals import on_a_terminal

#: says what Maven might, and fails
MAVEN = """\
#!/bin/sh
echo "Downloaded from central: https://repo.example/one.jar (1 kB)"
echo "[ERROR] no route to host"
exit 1
"""

#: fetches as it is told, two files that have nothing in them
FETCHES = """\
#!/bin/sh
for option; do
    case "$option" in -DoutputDirectory=*) jars=${option#*=} ;; esac
done
mkdir "$jars"
for name in one two; do
    touch "$jars/$name.jar"
    echo "Downloaded from central: https://repo.example/$name.jar (1 kB)"
done
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout")


def test_what_is_fetched_already_is_not_fetched_again(checkout: Checkout) -> None:
    done = checkout.run("make", "cassandra")
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(r"Cassandra is here already: \S+\n", done.stdout)


def test_a_fetch_that_fails_says_why_and_leaves_nothing(checkout: Checkout) -> None:
    cache = checkout.directory / ".cache"
    cache.unlink()
    done = checkout.run("make", "cassandra", PATH=path_with_maven(checkout, MAVEN))
    assert done.returncode != 0
    assert "no route to host" in done.stdout
    assert "Traceback" not in done.stdout
    assert list(cache.iterdir()) == []


def test_a_fetch_on_a_terminal_says_how_far_it_is(checkout: Checkout) -> None:
    cache = checkout.directory / ".cache"
    cache.unlink()
    with on_a_terminal(
        *("make", "cassandra"),
        directory=checkout.directory,
        environment=checkout.environment | {"PATH": path_with_maven(checkout, FETCHES)},
    ) as terminal:
        terminal.read()
    assert terminal.status == 0
    jars = cache / f"cassandra-{cassandra.VERSION}"
    assert terminal.text.endswith(f"\r1 jars\r2 jars\rFetched: {jars}\r\n")
    assert list(cache.iterdir()) == [jars]
    assert {path.name for path in jars.iterdir()} == {"one.jar", "two.jar"}


def path_with_maven(checkout: Checkout, maven: str) -> str:
    """A PATH on which this is Maven."""
    programs = checkout.directory.parent / "programs"
    programs.mkdir()
    (programs / "mvn").write_text(maven, "utf-8")
    (programs / "mvn").chmod(0o755)
    return f"{programs}{os.pathsep}{checkout.environment['PATH']}"


def test_without_maven_it_says_what_to_install(checkout: Checkout) -> None:
    (checkout.directory / ".cache").unlink()
    done = subprocess.run(
        [checkout.directory / ".venv" / "bin" / "python", "-m", "scripts.services.cassandra"],
        cwd=checkout.directory,
        env=checkout.environment | {"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"cassandra: Maven is needed to fetch it, once: .*install maven\n", done.stderr
    )


def test_what_it_needs_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cassandra.missing() is None
    monkeypatch.setattr(cassandra, "JARS", tmp_path / "nothing")
    assert "make cassandra" in str(cassandra.missing())
    with pytest.raises(Unavailable, match="make cassandra"):
        Node(tmp_path).start()
    monkeypatch.setattr(cassandra, "java", lambda: None)
    assert "Java 17" in str(cassandra.missing())


def test_only_java_17_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    release = tmp_path / "release"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    for version, will_do in (("17.0.15", True), ("21.0.2", False), ("1.8.0_402", False)):
        release.write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n', "utf-8")
        assert (java() == tmp_path / "bin" / "java") == will_do


def test_a_machine_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in cassandra.HOMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(cassandra, "INSTALLED", tmp_path)
    assert java() is None


def test_a_node_that_was_never_started_cannot_fall_silent(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="It does not run"):
        Node(tmp_path).cut_off()


def test_make_run_makes_the_tables_first(checkout: Checkout, node: dict[str, str]) -> None:
    """In a keyspace of the user's own server, which the environment names."""
    keyspace = f"k{uuid.uuid4().hex}"
    with subprocess.Popen(
        ["make", f"run-{EXAMPLE.directory}", "ARGS=--port 0"],
        cwd=checkout.directory,
        env=checkout.environment | node | {"CASSANDRA_KEYSPACE": keyspace},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        printed = ""
        try:
            while not (found := re.search(r"Running on (http://\S+)", printed)):
                line = process.stdout.readline()
                assert line, printed
                printed += line
            answer = httpx.get(f"{found[1]}/animal/Vulpes", timeout=60, trust_env=False)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()) == 3
        finally:
            os.killpg(process.pid, signal.SIGTERM)
    assert f"are in {keyspace}." in printed


def test_a_node_that_does_not_start_says_why(tmp_path: Path) -> None:
    node = Node(tmp_path)
    configuration = tmp_path / "cassandra.yaml"
    configuration.write_text(configuration.read_text("utf-8") + "no_such_key: 1\n", "utf-8")
    with pytest.raises(Unavailable, match="no_such_key"):
        node.start()
