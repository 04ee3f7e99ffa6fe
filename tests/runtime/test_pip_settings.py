"""What uv is told of pip's configuration."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from local_connect.runtime import pip_settings
from local_connect.runtime.pip_settings import for_uv

pytestmark = pytest.mark.quick

OURS, THEIRS = "https://ours.example/simple", "https://theirs.example/simple"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of someone on whose machine nothing else is configured."""
    monkeypatch.setattr(pip_settings, "SYSTEM_FILE", tmp_path / "etc" / "pip.conf")
    return tmp_path


def options(home: Path, **variables: str) -> str:
    return " ".join(for_uv(environment(home, **variables)).options)


def environment(home: Path, **variables: str) -> Mapping[str, str]:
    return {"HOME": str(home), "XDG_CONFIG_DIRS": str(home / "etc"), **variables}


def write(home: Path, name: str, text: str) -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_nothing(home: Path) -> None:
    found = for_uv(environment(home, PIP_INDEX_URL="", PIP_NO_INDEX="0"))
    assert (found.options, found.variables, found.places) == ([], {}, [])


def test_variables(home: Path) -> None:
    assert options(home, PIP_INDEX_URL=OURS) == f"--default-index {OURS}"
    two = {"PIP_EXTRA_INDEX_URL": f"{OURS} {THEIRS}"}
    both = f"--index {OURS} --index {THEIRS}"
    assert options(home, **two) == f"{both} --index-strategy unsafe-best-match"
    assert options(home, **two, UV_INDEX_STRATEGY="first-index") == both
    assert options(home, PIP_TRUSTED_HOST="a:81 b") == (
        "--allow-insecure-host a:81 --allow-insecure-host b"
    )
    assert options(home, PIP_NO_INDEX="1") == "--no-index"


def test_places_for_links_that_are_there(home: Path) -> None:
    links = f"{home} {home}/nowhere https://ours.example/links file:///srv/links"
    assert options(home, PIP_FIND_LINKS=links) == (
        f"--find-links {home} --find-links https://ours.example/links "
        "--find-links file:///srv/links"
    )


def test_files(home: Path) -> None:
    """In the order in which pip has them: what comes later decides."""
    write(home, "etc/pip/pip.conf", "[global]\nindex-url = https://system.example/simple\n")
    assert options(home) == "--default-index https://system.example/simple"
    write(home, "etc/pip.conf", "[global]\nindex-url = https://machine.example/simple\n")
    assert options(home) == "--default-index https://machine.example/simple"
    write(home, ".pip/pip.conf", "[global]\nindex_url = https://legacy.example/simple\n")
    assert options(home) == "--default-index https://legacy.example/simple"
    write(home, ".config/pip/pip.conf", f"[global]\nindex-url = {THEIRS}?%(x)s\n")
    assert options(home) == f"--default-index {THEIRS}?%(x)s"
    write(home, "config/pip/pip.conf", f"[download]\nindex-url = {OURS}\n")
    elsewhere = {"XDG_CONFIG_HOME": str(home / "config")}
    assert options(home, **elsewhere) == "--default-index https://legacy.example/simple"
    write(home, "config/pip/pip.conf", f"[install]\nindex-url = {OURS}\n[global]\nindex-url = x\n")
    assert options(home, **elsewhere) == f"--default-index {OURS}"
    write(home, ".pip/pip.conf", f"[global]\nextra-index-url = {THEIRS}\n")
    named = write(home, "named", "[global]\nindex-url = https://named.example/simple\n")
    assert options(home, PIP_CONFIG_FILE=str(named), **elsewhere) == (
        "--default-index https://named.example/simple"
    )
    assert options(home, PIP_CONFIG_FILE="/dev/null") == ""
    assert options(home, PIP_INDEX_URL=OURS).startswith(f"--default-index {OURS} --index {THEIRS}")


def test_files_of_macos(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    system = Path("/Library/Application Support/pip/pip.conf")
    legacy, general = home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf"
    assert list(pip_settings._files(environment(home))) == [system, legacy, general]
    library = home / "Library" / "Application Support" / "pip"
    library.mkdir(parents=True)
    assert list(pip_settings._files(environment(home))) == [system, legacy, library / "pip.conf"]


def test_an_index_of_the_requirements(home: Path) -> None:
    """It takes the place of the one that is configured, further ones are added to it."""
    configured = environment(home, PIP_INDEX_URL=OURS, PIP_EXTRA_INDEX_URL=THEIRS)
    assert for_uv(configured, names_index=True).options[:2] == ["--index", THEIRS]


def test_several_lines(home: Path) -> None:
    write(home, ".config/pip/pip.conf", f"[global]\nextra-index-url =\n  {OURS}\n  {THEIRS}\n")
    assert f"--index {OURS} --index {THEIRS}" in options(home)


@pytest.mark.parametrize("text", ["index-url = x", "[global", "\0"])
def test_files_that_are_none(home: Path, text: str) -> None:
    write(home, ".config/pip/pip.conf", text)
    assert options(home, PIP_INDEX_URL=OURS) == f"--default-index {OURS}"


def test_how_servers_are_reached(home: Path) -> None:
    pip = {"PIP_CERT": "/ca.pem", "PIP_CLIENT_CERT": "/me.pem", "PIP_PROXY": "http://proxy:3128"}
    assert for_uv(environment(home, **pip)).variables == {
        "SSL_CERT_FILE": "/ca.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "ALL_PROXY": "http://proxy:3128",
    }
    general = {"SSL_CERT_DIR": "/certs", "SSL_CLIENT_CERT": "/x.pem", "https_proxy": "http://p"}
    assert for_uv(environment(home, **pip, **general)).variables == {}


@pytest.mark.parametrize(
    "name", ["UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"]
)
def test_what_uv_is_told_itself_holds(home: Path, name: str) -> None:
    pip = {"PIP_INDEX_URL": OURS, "PIP_TRUSTED_HOST": "a"}
    assert options(home, **pip, **{name: THEIRS}) == "--allow-insecure-host a"


@pytest.mark.parametrize(
    ("name", "text", "holds"),
    [
        (".config/uv/uv.toml", f'[[index]]\nurl = "{THEIRS}"', True),
        (".config/uv/uv.toml", f'[pip]\nindex-url = "{THEIRS}"', True),
        ("etc/uv/uv.toml", 'extra-index-url = ["x"]', True),
        ("uv.toml", "no-index = true", True),
        (".config/uv/uv.toml", "offline = true\n[pip]\nstrict = true", False),
        (".config/uv/uv.toml", "no-index", False),
    ],
)
def test_what_is_in_uvs_own_files_holds(home: Path, name: str, text: str, holds: bool) -> None:
    write(home, name, text)
    named = {"UV_CONFIG_FILE": str(home / name)} if name == "uv.toml" else {}
    said = options(home, PIP_INDEX_URL=OURS, **named)
    assert said == ("" if holds else f"--default-index {OURS}")


def test_places_are_named_without_passwords(home: Path) -> None:
    found = for_uv(environment(home, PIP_INDEX_URL="https://me:secret@ours.example:8443/simple"))
    assert found.options == ["--default-index", "https://me:secret@ours.example:8443/simple"]
    assert found.places == ["https://ours.example:8443/simple"]
