"""What an environment depends on, by its requirements file."""

from pathlib import Path

import pytest

from local_connect.runtime.requirements import read

pytestmark = pytest.mark.quick

WHEEL = "shoplib-1.0-py3-none-any.whl"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A bundle with wheels, a project, and requirements in several files."""
    app = tmp_path / "app"
    for name in ("wheels", "lib", "deps"):
        (app / name).mkdir(parents=True)
    (app / "wheels" / WHEEL).write_bytes(b"")
    (app / WHEEL).write_bytes(b"")
    (app / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"')
    (app / "deps" / "base.txt").write_text("flask>=3\n")
    (app / "deps" / "more.txt").write_text("-r base.txt\nitsdangerous")
    (app / "deps" / "own.txt").write_text("-r base.txt\n../wheels/x.whl")
    (app / "deps" / "loop.txt").write_text("-r loop.txt")
    (tmp_path / "outside.txt").write_text("flask")
    return app


def leads_to_files(app: Path, text: str) -> bool:
    (app / "requirements.txt").write_text(text)
    return read(app, "requirements.txt").leads_to_files


@pytest.mark.parametrize(
    "text",
    [
        *("", "# nothing\n\n", "flask", "Flask == 3.1.* # pinned", "flask[async]>=3,<4"),
        *('flask ; python_version > "3.8"', "flask>=3 \\\n  ,<4"),
        "flask==3.1.0 \\\n    --hash=sha256:aa11 \\\n    --hash=sha256:bb22\nclick==8 --hash=md5:c",
        *("lib", "deps"),
        *("--pre\nflask", "--no-binary :all:\nflask", "--only-binary=flask\nflask"),
        *("--index-url https://example.com/simple\nflask", "-i https://x:${PW}@example.com/simple"),
        "--extra-index-url=https://example.com/simple\n--trusted-host example.com\nflask",
        *("flask @ https://example.com/flask.whl", "flask@git+https://example.com/flask@main"),
        *("-r deps/base.txt", "-c ./deps/base.txt\nflask", "--requirement=deps/more.txt"),
        *("flask\r\nclick\r\n", "\ufeffflask"),
    ],
)
def test_packages_of_an_index(app: Path, text: str) -> None:
    assert not leads_to_files(app, text)


@pytest.mark.parametrize(
    "line",
    [
        *(f"wheels/{WHEEL}", f"./wheels/{WHEEL}", WHEEL, f"{WHEEL}[extra]", f"'wheels/{WHEEL}'"),
        *(f'"./wheels/{WHEEL}"', f'wheels/{WHEEL} ; python_version > "3"', f"  wheels/{WHEEL}"),
        *(f"file:wheels/{WHEEL}", f"file:///srv/wheels/{WHEEL}", f"/srv/wheels/{WHEEL}"),
        *(f"shoplib @ file:wheels/{WHEEL}", f"shoplib@wheels/{WHEEL}", f"shoplib @ ./{WHEEL}"),
        *("shoplib @ file://${PWD}/x.whl", f"${{PWD}}/wheels/{WHEEL}", f"wheels/\\\n{WHEEL}"),
        *(f"\\\nwheels/{WHEEL}", "shoplib @ git+file:///srv/shoplib"),
        *("./lib", "lib/", ".", "..", "-e .", "-e ./lib", "-elib", "--editable=lib", "-e lib[x]"),
        *("--find-links wheels\nshoplib", "-f wheels\nshoplib", "-fwheels", "--find-links=wheels"),
        *("--index-url file:simple", "-i simple", "--extra-index-url ./simple\nshoplib"),
        *("-r deps/own.txt", "-rdeps/own.txt", "-r nowhere.txt", "-r ../outside.txt", "-r deps"),
        *("-r deps/loop.txt", '-r "deps/base.txt"', "-r ${DEPS}/base.txt", "-r https://e.com/x"),
        *("--requirement\tdeps/own.txt", "--config-settings x=y", "-x", "flask --no-deps", "=="),
        *("flask==3 --hash=sha256:aa wheels/x", "flask\nclick\n-e ./lib # ours", "a b"),
        f"# a comment \\\nwheels/{WHEEL}",
        f"flask # a comment \\\nwheels/{WHEEL}",
    ],
)
def test_files_of_the_bundle(app: Path, line: str) -> None:
    """In each of pip's spellings; and whatever it is that is not understood."""
    assert leads_to_files(app, line)


@pytest.mark.parametrize(
    ("name", "text", "leads"),
    [
        ("uv.toml", "", True),
        ("pyproject.toml", '[tool.uv]\nfind-links = ["wheels"]', True),
        ("pyproject.toml", "[tool]\nuv.x = 1", True),
        ("pyproject.toml", "[tool.uv", True),
        ("pyproject.toml", '[project]\nname = "uv"\n[tool.ruff]', False),
        ("pyproject.toml", "tool = 1", False),
    ],
)
def test_settings_for_uv(app: Path, name: str, text: str, leads: bool) -> None:
    (app / name).write_text(text)
    assert leads_to_files(app, "flask") == leads


def test_lines_of_all_files(app: Path) -> None:
    (app / "requirements.txt").write_text("# ours\n-r deps/more.txt\n\nclick==8  # for now\n")
    found = read(app, "requirements.txt")
    lines = ("-r deps/more.txt", "click==8", "-r base.txt", "itsdangerous", "flask>=3")
    assert found.lines == lines
    assert found.names == {"click"}
    assert not found.leads_to_files


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("--index-url https://example.com/simple\nflask", True),
        ("-ihttps://example.com/simple", True),
        ("--extra-index-url https://example.com/simple\nflask", False),
    ],
)
def test_an_index(app: Path, text: str, names: bool) -> None:
    (app / "requirements.txt").write_text(text)
    assert read(app, "requirements.txt").names_index == names


def test_names(app: Path) -> None:
    (app / "requirements.txt").write_text("Flask_RESTX[x]>=1 # x\n./lib\nclick==8 --hash=md5:ab\n")
    assert read(app, "requirements.txt").names == {"flask-restx", "click"}


@pytest.mark.parametrize("text", ["flask".encode("utf-16"), b"\xff", None])
def test_what_cannot_be_read(app: Path, text: bytes | None) -> None:
    if text:
        (app / "requirements.txt").write_bytes(text)
    found = read(app, "requirements.txt")
    assert found.leads_to_files
    assert not found.names
