"""What is read in a manifest, and what is said of one that cannot be understood."""

import copy
from typing import Any

import pytest

from local_connect.errors import ApiError, BadRequest, NotImplementedHere
from local_connect.runtime.manifests import Manifest
from tests.bundles import FILES, manifest_of

pytestmark = pytest.mark.quick


def changed(place: str, value: Any) -> dict[str, Any]:
    """The echoing app's manifest with a value put somewhere, or taken away where it is None."""
    document = copy.deepcopy(manifest_of(FILES))
    *parents, last = place.split(".")
    inner = document
    for parent in parents:
        inner = inner.setdefault(parent, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return document


def test_what_rsconnect_writes() -> None:
    manifest = Manifest.parse(manifest_of({"requirements.txt": b"", "data/x.csv": b"x"}))
    assert (manifest.app_mode, manifest.entrypoint) == ("python-api", "app:app")
    assert manifest.package_file == "requirements.txt"
    assert manifest.checksums == {
        "requirements.txt": "d41d8cd98f00b204e9800998ecf8427e",
        "data/x.csv": "9dd4e461268c8034f5c8564e155c67a6",
    }
    assert manifest.python_requires is None
    assert manifest.allow_uv is None
    assert manifest.manages_environment


@pytest.mark.parametrize(
    "entrypoint",
    [
        *("app", "app:app", "pkg.mod:make_app()", "app:api.wsgi", "my-app:app", "ünï:app"),
        *("app.py", "app.py:app", "fastapi-main.py", "fastapi-main.py:api", "src/main.py"),
        *("src/main.py:app.wsgi", "src/web/1st.py:create_app()", "my app.py", "a..b/c.py"),
    ],
)
def test_entry_points(entrypoint: str) -> None:
    """They are passed on as they are, for the content process to make sense of."""
    assert Manifest.parse(changed("metadata.entrypoint", entrypoint)).entrypoint == entrypoint


def test_an_entry_point_from_windows() -> None:
    manifest = Manifest.parse(changed("metadata.entrypoint", "src\\main.py:app"))
    assert manifest.entrypoint == "src/main.py:app"


@pytest.mark.parametrize(
    "entrypoint",
    [
        *("a b", "app:", ":app", "app:a b", "app;x", "--help", "-x.py", "app:app:app", ".app"),
        *("../main.py", "src/../../main.py", "..\\main.py", "/etc/main.py", "main.py:x y"),
        *("a\nb.py", "\ud800.py", "\0.py", "1app:app"),
    ],
)
def test_entry_points_that_are_none(entrypoint: str) -> None:
    with pytest.raises(BadRequest, match=r"is not of the form module, module:object, file\.py or"):
        Manifest.parse(changed("metadata.entrypoint", entrypoint))


@pytest.mark.parametrize("files", [None, {}])
def test_no_files(files: dict[str, Any] | None) -> None:
    assert Manifest.parse(changed("files", files)).checksums == {}


def test_files_without_checksums() -> None:
    files = {"app.py": {}, "x.csv": {"checksum": None}, "y.csv": {"checksum": ""}}
    manifest = Manifest.parse(changed("files", files))
    assert manifest.checksums == {"app.py": None, "x.csv": None, "y.csv": None}


def test_names_of_files_from_windows() -> None:
    document = changed("files", {"data\\x.csv": {"checksum": "AB"}, ".\\app.py": {}})
    document["python"]["package_manager"]["package_file"] = "deps\\requirements.txt"
    manifest = Manifest.parse(document)
    assert manifest.checksums == {"data/x.csv": "ab", "app.py": None}
    assert manifest.package_file == "deps/requirements.txt"


def test_an_environment_that_is_not_managed() -> None:
    document = changed("environment.environment_management", {"python": False, "r": True})
    manifest = Manifest.parse(document)
    assert (manifest.manages_environment, manifest.package_file) == (False, None)
    del document["python"]["package_manager"]
    assert not Manifest.parse(document).manages_environment
    document["environment"]["environment_management"]["python"] = None
    with pytest.raises(BadRequest, match=r"no object at python\.package_manager\."):
        Manifest.parse(document)


@pytest.mark.parametrize("allowed", [True, False])
def test_the_installer(allowed: bool) -> None:
    assert Manifest.parse(changed("python.package_manager.allow_uv", allowed)).allow_uv is allowed


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("metadata", None, "no object at metadata."),
        ("metadata.entrypoint", None, "no text at metadata.entrypoint."),
        ("python", None, "no object at python."),
        ("python.version", 3, "no text at python.version."),
        ("python.package_manager.package_file", None, "no text at python.package_manager."),
        ("python.package_manager.allow_uv", "no", "neither true nor false at python.package"),
        ("environment", [], "no object at environment."),
        ("environment.environment_management", "x", "no object at environment.environment_man"),
        ("environment.environment_management.python", 0, "neither true nor false at environment."),
        ("environment.python.requires", 3, "no text at environment.python.requires."),
        ("files", ["app.py"], "no object at files."),
        ("files", {"app.py": "ab"}, "no object at files['app.py']."),
        ("files", {"app.py": {"checksum": 5}}, "no text at files['app.py'].checksum."),
        ("metadata.appmode", "python-dash", "the bundle is python-dash."),
    ],
)
def test_what_cannot_be_understood(place: str, value: Any, words: str) -> None:
    with pytest.raises(ApiError) as refusal:
        Manifest.parse(changed(place, value))
    assert words in refusal.value.error
    assert isinstance(refusal.value, NotImplementedHere) == (place == "metadata.appmode")
