"""`rsconnect add` and `details`: the first things that a person does with a server."""

import base64
import json
from pathlib import Path

from tests.deployed import Person, content_at
from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect, run, running_server

NO_SUCH_KEY = "0123456789abcdef0123456789abcdef"


def add(server: LocalConnect, key: str, home: Path) -> tuple[int, str]:
    done = rsconnect(
        *("add", "--name", "local", "--server", server.url, "--api-key", key), home=home
    )
    return done.returncode, done.stdout + done.stderr


def test_add_and_details(server: LocalConnect, tmp_path: Path) -> None:
    status, said = add(server, server.users["alice"].api_key, tmp_path)
    assert status == 0, said
    assert f'Added Connect server "local" with URL {server.url}' in said

    details = rsconnect("details", "--name", "local", home=tmp_path)
    assert details.returncode == 0, details.stderr
    assert "Posit Connect version: 2026.06.0" in details.stdout
    assert "APIs: allowed" in details.stdout
    installed = server.get("/__api__/v1/server_settings/python").json()["installations"]
    assert installed
    for python in installed:
        assert python["version"] in details.stdout


def test_preflight(server: LocalConnect, tmp_path: Path, app: Path) -> None:
    add(server, server.users["alice"].api_key, tmp_path)
    done = rsconnect("preflight", "--name", "local", app, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["status"] == "ok"


def test_a_server_of_an_older_release(tmp_path: Path, app: Path) -> None:
    with running_server(tmp_path / "data", "--connect-version", "2024.12.1") as server:
        add(server, server.users["alice"].api_key, tmp_path)
        details = rsconnect("details", "--name", "local", home=tmp_path)
        assert "Posit Connect version: 2024.12.1" in details.stdout
        # rsconnect deploys at once to a server that it takes to have no drafts
        deploy = ("deploy", "api", "--name", "local", "--entrypoint", "app:app", "--quiet")
        done = rsconnect(*deploy, app, home=tmp_path)
        assert done.returncode == 0, done.stderr
        content = content_at(server, done.stdout.strip())
        assert content.version == "one"
        assert len([job for job in content.jobs if job["tag"] == "python_restore"]) == 1
    for wrong in ("2024", "latest", "2024.12.1.dev0"):
        done = run(tmp_path / "other", "--connect-version", wrong, "--", "true")
        assert done.returncode == 2
        assert f"'{wrong}' is not a release of Connect, such as 2026.06.0." in done.stderr


def test_deploy_to_a_saved_server(server: LocalConnect, tmp_path: Path, app: Path) -> None:
    add(server, server.users["alice"].api_key, tmp_path)
    done = rsconnect(
        *("deploy", "api", "--name", "local", "--entrypoint", "app:app", "--quiet", app),
        home=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert content_at(server, done.stdout.strip()).version == "one"


def test_add_with_a_wrong_key(server: LocalConnect, tmp_path: Path) -> None:
    status, said = add(server, NO_SUCH_KEY, tmp_path)
    assert status == 1
    assert "The specified API key is not valid." in said
    assert "Traceback" not in said
    saved = tmp_path / ".config" / "rsconnect-python" / "servers.json"
    assert not saved.exists() or json.loads(saved.read_text()) == {}


def test_deploy_with_a_wrong_key(alice: Person, app: Path) -> None:
    done = alice.rsconnect("deploy", "api", app, environment={"CONNECT_API_KEY": NO_SUCH_KEY})
    assert done.returncode == 1
    assert "The specified API key is not valid." in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_bootstrap_of_a_server_that_has_its_users(server: LocalConnect, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(base64.b64encode(b"thirty-two bytes of a secret key"))
    done = rsconnect(
        *("bootstrap", "--server", server.url, "--jwt-keypath", tmp_path / "key"), home=tmp_path
    )
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["api_key"]) == (403, "")
    assert "Traceback" not in done.stderr
