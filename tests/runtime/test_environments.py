"""Which Python a bundle gets, and which bundles share an environment."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.version import Version

from local_connect.runtime import environments, pip_settings, requirements
from local_connect.runtime.environments import (
    Environments,
    Python,
    Pythons,
    choose_python,
    environment_name,
)
from local_connect.runtime.manifests import Manifest
from local_connect.runtime.pip_settings import ForUv
from local_connect.runtime.tasks import TaskFailed
from tests.bundles import FILES, manifest_of

pytestmark = pytest.mark.quick

PYTHONS = tuple(
    Python(Version(version), f"/usr/bin/python{version}")
    for version in ("3.13.1", "3.12.9", "3.12.4", "3.9.18")
)


def manifest(version: str = "3.12.4", requires: str | None = None, **parts: Any) -> Manifest:
    document = manifest_of(FILES) | parts
    document["python"]["version"] = version
    if requires is not None:
        document["environment"] = {"python": {"requires": requires}}
    return Manifest.parse(document)


@pytest.mark.parametrize(
    ("version", "requires", "chosen"),
    [
        ("3.12.4", None, "3.12.4"),
        ("3.12.8", None, "3.12.9"),
        ("3.12", None, "3.12.9"),
        ("3.9.1", None, "3.9.18"),
        ("3.12.4", ">=3.12", "3.12.4"),
        ("3.11.2", ">=3.12", "3.13.1"),
        ("3.11.2", "~=3.9.0", "3.9.18"),
        ("3.11.2", "3.12", "3.12.9"),
        ("3.11.2", "3.12.4", "3.12.4"),
        ("3.11.2", None, None),
        ("3.12.4", "<3.9", None),
        ("three", None, None),
        ("3.12.4", "newest", None),
    ],
)
def test_the_python_of_a_bundle(version: str, requires: str | None, chosen: str | None) -> None:
    wanted = manifest(version, requires)
    if chosen:
        assert str(choose_python(wanted, PYTHONS).version) == chosen
    else:
        with pytest.raises(TaskFailed):
            choose_python(wanted, PYTHONS)


def test_asgi_needs_a_newer_python() -> None:
    metadata = {"appmode": "python-fastapi", "entrypoint": "app"}
    with pytest.raises(TaskFailed, match=r"this server has 3\.13\.1, 3\.12\.9, 3\.12\.4\."):
        choose_python(manifest("3.9.18", metadata=metadata), PYTHONS)


def test_which_pythons_of_this_machine_count(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        ("3.9.18", "cpython"),
        ("3.8.20", "cpython"),
        ("3.10.16", "pypy"),
        ("unknown", "cpython"),
        ("3.99.1", "cpython"),
    ]

    async def list_pythons() -> list[dict[str, str]]:
        return [
            {"version": version, "implementation": implementation, "path": "/python"}
            for version, implementation in listed
        ]

    monkeypatch.setattr(environments, "_list_pythons", list_pythons)

    async def found() -> list[str]:
        return [str(python.version) for python in await Pythons().all()]

    newest, _own, oldest = asyncio.run(found())
    assert (newest, oldest) == ("3.99.1", "3.9.18")


def test_a_search_for_pythons_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv, number = tmp_path / "uv", tmp_path / "number"
    uv.write_text(f"#!/bin/sh\necho $$ > {number}.new\nmv {number}.new {number}\nexec sleep 90\n")
    uv.chmod(0o700)
    monkeypatch.setattr(environments, "find_uv_bin", lambda: str(uv))

    async def search() -> None:
        pythons = Pythons()
        asking = asyncio.create_task(pythons.all())
        async with asyncio.timeout(10):
            while not number.exists():
                await asyncio.sleep(0.001)
            # asyncio may be about to hand it over yet
            await asyncio.sleep(0.02)
            await pythons.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(int(number.read_text()), 0)
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(search())


def test_a_build_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def started(*_: str, **__: Any) -> AsyncIterator[Any]:
        # an installer that says nothing and goes on
        yield SimpleNamespace(stdout=asyncio.StreamReader())

    said = []

    async def log(text: str) -> None:
        said.append(text)

    async def build() -> None:
        await Environments(cache, build_seconds=0.01).ensure(manifest(), app, PYTHONS[0], log)

    monkeypatch.setattr(environments, "started", started)
    # a machine where pip is told nothing
    monkeypatch.setattr(pip_settings, "for_uv", lambda *_, **__: ForUv())
    app, cache = tmp_path / "app", tmp_path / "environments"
    for directory in (app, cache):
        directory.mkdir()
    (app / "requirements.txt").write_text("flask")
    with pytest.raises(TaskFailed, match="The environment was not built within 0 seconds"):
        asyncio.run(build())
    (line,) = said
    assert line.startswith("Creating environment: ")


def name(app: Path, text: str, python: Python = PYTHONS[0], **changes: Any) -> str:
    """The name of the environment of a bundle at `app` with these requirements."""
    app.mkdir(exist_ok=True)
    (app / "requirements.txt").write_text(text)
    document = manifest_of(FILES)
    document["python"]["package_manager"] |= changes
    wanted = requirements.read(app, "requirements.txt")
    return environment_name(Manifest.parse(document), wanted, app, python)


def test_bundles_that_share_an_environment(tmp_path: Path) -> None:
    one, other = tmp_path / "1", tmp_path / "2"
    first = name(one, "flask\nclick")
    assert name(other, "# ours\nflask   # pinned\n\nclick\n") == first
    assert name(other, "flask\nclick", allow_uv=True) == first
    assert name(other, "flask\nclick==8") != first
    assert name(other, "flask\nclick", PYTHONS[1]) != first
    assert name(other, "flask\nclick", allow_uv=False) != first


def test_files_that_lead_to_files_are_of_one_bundle(tmp_path: Path) -> None:
    one, other = tmp_path / "1", tmp_path / "2"
    assert name(one, "wheels/x.whl") == name(one, "wheels/x.whl") != name(other, "wheels/x.whl")


def test_files_that_are_included(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("flask")
    before = name(tmp_path, "-r base.txt")
    (tmp_path / "base.txt").write_text("flask==3")
    assert name(tmp_path, "-r base.txt") != before


def test_an_environment_that_is_not_managed_depends_on_the_python_alone(tmp_path: Path) -> None:
    unmanaged = manifest(environment={"environment_management": {"python": False}})
    names = {
        environment_name(unmanaged, None, tmp_path / place, python)
        for place in ("1", "2")
        for python in PYTHONS[:2]
    }
    assert len(names) == 2
