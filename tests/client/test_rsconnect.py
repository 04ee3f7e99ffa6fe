"""What is deployed of a directory, under which name, and in whose environment: the rules."""

import asyncio
import os
from pathlib import Path

import pytest

from local_connect.client import rsconnect
from local_connect.errors import LocalConnectError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("my-api", "my-api"),
        ("My_API.v2", "My_API.v2"),
        ("my api (old)", "my-api-old"),
        ("größe", "gr-e"),
        ("a", "a-api"),
        ("ab", "ab-api"),
        ("接口", "api"),
        ("x" * 80, "x" * 64),
        ("--abc--", "abc"),
    ],
)
def test_the_name_of_content(directory: str, name: str) -> None:
    assert rsconnect.content_name(Path("/somewhere") / directory) == name


@pytest.mark.parametrize(
    ("path", "deployed"),
    [
        (".", True),
        ("app.py", True),
        ("static/app.js", True),
        (".Rprofile", True),
        ("package/__pycache__/app.cpython-311.pyc", False),
        ("node_modules/react/index.js", False),
        (".git/HEAD", False),
        ("rsconnect-python/app.json", False),
        ("app.pyc", False),
        ("app.py~", False),
        (".#app.py", False),
        ("#app.py#", False),
        (".app.py.swp", False),
        ("4913", False),
        (".DS_Store", False),
        # names that only look like those
        ("49130", True),
        ("git/HEAD", True),
    ],
)
def test_names_that_are_deployed(path: str, deployed: bool) -> None:
    # the names above the directory do not count
    source = Path("/home/.git/node_modules/my-api")
    assert rsconnect.is_deployed(source / path, source) is deployed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "my-api"
    for name in ("app.py", "static/app.js", ".git/HEAD", "env/bin/python", "state/data.db"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    return source


def copied(source: Path, target: Path) -> set[str]:
    rsconnect.copy(source, target, leave_out=source / "state")
    return {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}


def test_a_copy_leaves_out_what_is_not_deployed(source: Path, tmp_path: Path) -> None:
    assert copied(source, tmp_path / "copy") == {"app.py", "static/app.js"}


def test_the_digest_is_of_names_and_contents(source: Path, tmp_path: Path) -> None:
    digests: list[str] = []

    def digest() -> str:
        digests.append(rsconnect.copy(source, tmp_path / f"copy-{len(digests)}"))
        return digests[-1]

    first = digest()
    (source / ".git" / "HEAD").write_text("another branch")
    (source / "app.py").touch()
    assert digest() == first
    (source / "app.py").write_text("changed")
    assert digest() != first
    (source / "app.py").write_text("app.py")
    assert digest() == first
    (source / "app.py").rename(source / "main.py")
    assert digest() != first


def test_links_lead_where_they_led(source: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.json"
    shared.write_text("shared")
    (source / "inside").symlink_to("static/app.js")
    (source / "outside").symlink_to("../shared.json")
    (source / "nowhere").symlink_to("not-there")
    copy = tmp_path / "elsewhere" / "deep" / "copy"
    assert {"inside", "outside", "nowhere"} < copied(source, copy)
    assert (copy / "inside").readlink() == Path("static/app.js")
    assert (copy / "outside").read_text() == "shared"
    assert not (copy / "nowhere").exists()


def test_the_environment_of_rsconnect_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONNECT_SERVER", "CONNECT_API_KEY", "RSCONNECT_X", "GIT_DIR", "COLOUR"):
        monkeypatch.setenv(name, "mine")
    home = tmp_path / "home"
    environment = rsconnect.environment(home, {"CONNECT_SERVER": "http://localhost:1"})
    assert home.is_dir()
    assert environment["HOME"] == str(home)
    assert environment["CONNECT_SERVER"] == "http://localhost:1"
    assert environment["COLOUR"] == "mine"
    assert not {"CONNECT_API_KEY", "RSCONNECT_X", "GIT_DIR"} & set(environment)


def test_what_it_prints_without_colour() -> None:
    assert rsconnect.plain("\x1b[32m[OK]\x1b[0m done \x1b[1;31m!") == "[OK] done !"


def test_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalConnectError, match="pip install rsconnect-python"):
        rsconnect.find()


def test_it_ends_with_whoever_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "rsconnect"
    program.write_text("#!/bin/sh\necho $$\nexec sleep 60\n", "utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(rsconnect, "find", lambda: program)

    async def deploy() -> int:
        began = asyncio.get_running_loop().create_future()
        deploying = asyncio.create_task(
            rsconnect.deploy(
                *(tmp_path, "api", "guid"),
                entrypoint=None,
                url="",
                api_key="",
                home=tmp_path,
                on_line=began.set_result,
            )
        )
        pid = int(await began)
        deploying.cancel()
        await asyncio.wait((deploying,))
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(deploy()), 0)
