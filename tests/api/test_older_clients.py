"""rsconnect as people have installed it: each release that changed what it asks of a server."""

from pathlib import Path

import pytest

from tests.api.test_saved_servers import NO_SUCH_KEY
from tests.deployed import Content
from tests.rsconnect_cli import rsconnect
from tests.servers import LocalConnect
from tests.targets.environments import environment

OLDEST = "1.5.4"


@pytest.fixture
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The command of that release, in an environment of its own."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"rsconnect-python=={request.param}\n")
    cache = Path(request.config.cache.mkdir("environments"))
    return environment(requirements, cache).with_name("rsconnect")


@pytest.mark.parametrize("release", [OLDEST, "1.14.1", "1.20.0", "1.24.0", "1.28.2"], indirect=True)
def test_add_and_deploy(server: LocalConnect, release: Path, tmp_path: Path, app: Path) -> None:
    key = server.users["alice"].api_key

    def run(*arguments: str | Path) -> str:
        done = rsconnect(*arguments, home=tmp_path, command=release)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("add", "--name", "local", "--server", server.url, "--api-key", key)
    deploy = ("deploy", "api", "--name", "local", "--entrypoint", "app:app")
    title = f"The {app.name}"
    said = run(*deploy, "--title", title, app)
    everything = server.get("/__api__/v1/content").json()
    (item,) = [item for item in everything if item["title"] == title]
    assert Content(server, item["guid"]).version == "one"
    assert "Launching Python API..." in said
    assert item["guid"] in said


@pytest.mark.parametrize("release", [OLDEST], indirect=True)
def test_what_the_oldest_does_besides(
    server: LocalConnect, release: Path, tmp_path: Path, app: Path
) -> None:
    environment = {
        "CONNECT_SERVER": server.url,
        "CONNECT_API_KEY": server.users["alice"].api_key,
    }

    def deploy(*arguments: str | Path, key: str | None = None) -> tuple[int, str]:
        override = {"CONNECT_API_KEY": key} if key else {}
        done = rsconnect(
            *("deploy", "api", "--entrypoint", "app:app", *arguments, app),
            home=tmp_path,
            environment=environment | override,
            command=release,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def named(name: str) -> list[Content]:
        found = server.get("/__api__/v1/content", params={"name": name}).json()
        return [Content(server, item["guid"]) for item in found]

    status, said = deploy(key=NO_SUCH_KEY)
    assert status == 1
    assert "The specified API key is not valid." in said
    assert deploy()[0] == 0
    (content,) = named(app.name)

    # again, to the same content; then to new content, by the next name that is free
    (app / "version.txt").write_text("two")
    assert deploy()[0] == 0
    assert (content.version, len(content.bundles)) == ("two", 2)
    assert deploy("--new")[0] == 0
    assert [other.version for other in named(f"{app.name}1")] == ["two"]

    # a deployment that fails shows why, and leaves what was there
    (app / "requirements.txt").write_text("./no-luck-1.0-py3-none-any.whl\n")
    status, said = deploy("--app-id", content.guid)
    assert status == 1
    assert "no-luck" in said
    assert "Task exited with status 1" in said
    assert content.version == "two"
