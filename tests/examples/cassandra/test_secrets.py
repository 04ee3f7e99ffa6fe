"""A `.env` with secrets in it is in no bundle, whichever way the example is deployed."""

import io
import re
import tarfile
from pathlib import Path

from tests.deployed import Content, Person
from tests.examples.cassandra.conftest import EXAMPLE
from tests.project.conftest import Checkout
from tests.servers import LocalConnect

SECRETS = "ASTRA_DB_APPLICATION_TOKEN=AstraCS:secret\n"


def bundled(content: Content) -> set[str]:
    """The files of the newest bundle."""
    bundle = content.bundles[0]["id"]
    archive = content.server.get(
        f"{content.api}/bundles/{bundle}/download", user="admin"
    ).raise_for_status()
    with tarfile.open(fileobj=io.BytesIO(archive.content)) as members:
        return set(members.getnames())


def test_no_deployment_contains_the_secrets(server: LocalConnect, tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    checkout = Checkout(tmp_path / "checkout")
    directory = checkout.directory / EXAMPLE.directory
    (directory / ".env").write_text(SECRETS, "utf-8")
    readme = (directory / "README.md").read_text("utf-8")
    alice = Person(server, "alice", tmp_path / "alice")
    variables = {"CASSANDRA_CONTACT_POINTS": "127.0.0.1"}

    where = {"CONNECT_SERVER": server.url, "CONNECT_API_KEY": server.users["alice"].api_key}
    made = checkout.run("make", f"deploy-{EXAMPLE.directory}", **where, **variables)
    assert made.returncode == 0, made.stdout
    guid = re.findall(r"/content/([0-9a-f-]{36})/", made.stdout)[-1]
    assert_without_secrets(Content(server, guid))

    (written,) = re.findall(
        r"^    rsconnect deploy api -n <saved server> (.*) ", readme, re.MULTILINE
    )
    assert_without_secrets(
        alice.deploy("api", "--new", *written.split(), directory, environment=variables)
    )

    assert_without_secrets(alice.deploy("manifest", "--new", directory / "manifest.json"))


def assert_without_secrets(content: Content) -> None:
    files = bundled(content)
    assert {"app.py", "storage/db_connect.py"} <= files
    assert ".env" not in files
