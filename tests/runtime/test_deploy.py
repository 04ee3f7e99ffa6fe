"""`rsconnect deploy` and `write-manifest`: what works."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.deployed import Content, Person, content_at
from tests.repositories import git
from tests.servers import LocalConnect

API = ("api", "--entrypoint", "app:app")


def set_version(app: Path, version: str) -> None:
    (app / "version.txt").write_text(version)


def test_first_time(alice: Person, app: Path) -> None:
    done = alice.rsconnect("deploy", *API, app)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    # in the order and the words of Connect's own log
    steps = (
        r"Building Python API\.\.\.",
        r"Bundle requested Python version \d\S+; using \S+ which has version \d",
        r"Building environment using Python \d",
        r"(Creating|Using cached) environment: \S+",
        r"Packages in the environment: .*flask==3\.1\.",
        r"Creating lockfile: python/requirements\.txt\.lock",
        r"Completed Python build against Python version: '\d",
        r"Launching Python API\.\.\.",
        r"Verifying deployed content\.\.\.\s+\[OK\]",
        r"Activating deployed content\.\.\.\s+\[OK\]",
    )
    assert re.search(".*".join(steps), said, re.DOTALL), said

    match = re.search(r"Direct content URL: (\S+)", said)
    assert match, said
    content = content_at(alice.server, match[1])
    assert content.version == "one"
    item = content.item
    assert item["title"] == app.name
    assert item["app_mode"] == "python-api"
    assert item["access_type"] == "acl"
    assert item["content_url"] == match[1]
    (bundle,) = content.bundles
    assert bundle["active"]
    assert bundle["id"] == item["bundle_id"]


def test_quiet_prints_the_url_alone(alice: Person, app: Path) -> None:
    done = alice.rsconnect("deploy", *API, "--quiet", app)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{re.escape(alice.server.url)}/content/[0-9a-f-]{{36}}/\n", done.stdout)


def test_again_is_the_same_content(alice: Person, app: Path) -> None:
    first = alice.deploy(*API, app)
    set_version(app, "two")
    again = alice.deploy(*API, app)
    assert again == first
    assert again.version == "two"
    newer, older = again.bundles
    assert (newer["active"], older["active"]) == (True, False)
    assert again.item["bundle_id"] == newer["id"]


def test_the_module_alone(alice: Person, app: Path) -> None:
    assert alice.deploy("api", app).version == "one"


def test_new(alice: Person, app: Path) -> None:
    first = alice.deploy(*API, app)
    set_version(app, "two")
    second = alice.deploy(*API, "--new", app)
    assert second.guid != first.guid
    assert second.item["name"] != first.item["name"]
    assert (first.version, second.version) == ("one", "two")


def test_title(alice: Person, app: Path) -> None:
    content = alice.deploy(*API, "--title", "Grüße, 世界 & all", app)
    assert content.item["title"] == "Grüße, 世界 & all"
    assert alice.deploy(*API, app) == content
    assert content.item["title"] == "Grüße, 世界 & all"
    alice.deploy(*API, "--title", "Other", app)
    assert content.item["title"] == "Other"


def test_variables(alice: Person, app: Path) -> None:
    content = alice.deploy(
        *(*API, "-E", "COLOUR=blue = azul, 蓝", "-E", "FROM_HERE", app),
        environment={"FROM_HERE": "inherited"},
    )
    variables = content.echo()["variables"]
    assert variables["COLOUR"] == "blue = azul, 蓝"
    assert variables["FROM_HERE"] == "inherited"

    assert alice.deploy(*API, "-E", "COLOUR=red", app) == content
    variables = content.echo()["variables"]
    assert variables["COLOUR"] == "red"
    assert variables["FROM_HERE"] == "inherited"


def test_variables_reach_content_that_runs(alice: Person, app: Path) -> None:
    content = alice.deploy(*API, app)
    process = content.echo()["variables"]["CONNECT_CONTENT_JOB_KEY"]
    variables = f"{content.api}/environment"
    for value in ("blue", "red", None):
        body = [{"name": "COLOUR", "value": value}]
        names = alice.server.request("PATCH", variables, json=body).raise_for_status().json()
        assert names == (["COLOUR"] if value else [])
        assert content.echo()["variables"].get("COLOUR") == value
    assert content.echo()["variables"]["CONNECT_CONTENT_JOB_KEY"] != process


def test_variables_of_the_server_are_its_own(published: Content) -> None:
    variables = published.echo()["variables"]
    assert variables["CONNECT_CONTENT_GUID"] == published.guid
    assert variables["CONNECT_SERVER"].rstrip("/") == published.server.url
    assert variables["POSIT_PRODUCT"] == variables["RSTUDIO_PRODUCT"] == "CONNECT"
    assert "PYTEST_CURRENT_TEST" not in variables
    assert "VIRTUAL_ENV" not in variables

    # the key that the content gets is its owner's, and not the one that the owner deploys with
    key = variables["CONNECT_API_KEY"]
    assert key not in {user.api_key for user in published.server.users.values()}
    whoami = published.server.get(
        "/__api__/v1/user", user=None, headers={"Authorization": f"Key {key}"}
    )
    assert whoami.json()["username"] == "alice"


def test_draft(alice: Person, app: Path) -> None:
    content = alice.deploy(*API, app)
    content.open_to("all")
    set_version(app, "two")
    done = alice.rsconnect("deploy", *API, "--draft", app)
    assert done.returncode == 0, done.stderr
    assert "Draft content URL" in done.stdout + done.stderr

    draft, active = content.bundles
    assert (draft["active"], active["active"]) == (False, True)
    assert content.version == "one"
    path = f"_bundle{draft['id']}/"
    seen = content.echo(path)
    assert seen["version"] == "two"
    assert seen["environ"]["SCRIPT_NAME"] == f"/content/{content.guid}/_bundle{draft['id']}"
    # the content is open to everyone, its drafts are not
    for user, status in (("admin", 200), ("bob", 404), (None, 404)):
        assert alice.server.get(content.path + path, user=user).status_code == status

    # the same directory, activated
    assert alice.deploy(*API, app) == content
    assert content.version == "two"


def test_a_draft_belongs_to_its_content(alice: Person, app: Path, published: Content) -> None:
    content = alice.deploy(*API, app)
    bundle = published.item["bundle_id"]
    assert alice.server.get(f"{content.path}_bundle{bundle}/").status_code == 404


def test_no_verify(alice: Person, app: Path) -> None:
    # without a look at it, even content that cannot start is activated, as on Connect
    content = alice.deploy(*API, app)
    content.open_to("all")
    (app / "app.py").write_text("raise RuntimeError('No database.')\n")
    done = alice.rsconnect("deploy", *API, "--no-verify", app)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Verifying" not in said
    # its log has why, and its visitors get that it is so
    assert "RuntimeError: No database." in said
    assert "The app did not start: its process ended with status 1." in said
    assert content.bundles[0]["active"]
    page = alice.server.get(content.path, user=None, headers={"Accept": "text/html"})
    assert page.status_code == 502
    assert "The app did not start" in page.text
    assert "No database." not in page.text

    # a draft that nobody has looked at ends well, too, and is not served
    (app / "app.py").write_text("raise RuntimeError('Still none.')\n")
    done = alice.rsconnect("deploy", *API, "--draft", "--no-verify", app)
    assert done.returncode == 0, done.stderr
    draft = content.bundles[0]
    assert not draft["active"]
    assert alice.server.get(f"{content.path}_bundle{draft['id']}/").status_code == 502


@pytest.mark.parametrize("field", ["guid", "id"])
def test_app_id(alice: Person, app: Path, tmp_path: Path, field: str) -> None:
    content = alice.deploy(*API, app)
    elsewhere = app.rename(tmp_path / "a-fresh-checkout")
    for record in (elsewhere / "rsconnect-python").iterdir():
        record.unlink()
    set_version(elsewhere, "two")
    assert alice.deploy(*API, "--app-id", str(content.item[field]), elsewhere) == content
    assert content.version == "two"


def test_write_manifest_and_deploy_manifest(alice: Person, app: Path) -> None:
    done = alice.rsconnect("write-manifest", *API, app)
    assert done.returncode == 0, done.stderr
    manifest = app / "manifest.json"
    assert json.loads(manifest.read_text())["metadata"]["entrypoint"] == "app:app"
    content = alice.deploy("manifest", manifest)
    assert content.version == "one"
    assert content.item["app_mode"] == "python-api"

    set_version(app, "two")
    assert alice.rsconnect("write-manifest", *API, "--overwrite", app).returncode == 0
    assert alice.deploy("manifest", manifest) == content
    assert content.version == "two"


def test_deploy_bundle_that_was_downloaded(
    alice: Person, published: Content, tmp_path: Path
) -> None:
    archive = tmp_path / "copied.tar.gz"
    done = alice.rsconnect(
        "content", "download-bundle", "--guid", published.guid, "--output", archive
    )
    assert done.returncode == 0, done.stderr
    bundle_id = published.item["bundle_id"]
    bundle = published.server.get(f"{published.api}/bundles/{bundle_id}").json()
    data = archive.read_bytes()
    assert len(data) == bundle["size"]
    assert hashlib.sha1(data).hexdigest() == bundle["metadata"]["archive_sha1"]  # noqa: S324
    assert hashlib.md5(data).hexdigest() == bundle["metadata"]["archive_md5"]  # noqa: S324

    copy = alice.deploy("bundle", archive)
    assert copy.guid != published.guid
    assert copy.version == "one"
    assert copy.bundles[0]["metadata"]["archive_sha1"] == bundle["metadata"]["archive_sha1"]


def test_from_a_git_checkout(alice: Person, app: Path) -> None:
    git(app, "init", "--initial-branch", "trunk")
    git(app, "remote", "add", "origin", "https://git.example.com/alice/echo.git")
    git(app, "add", ".")
    git(app, "commit", "--message", "Echo")
    content = alice.deploy(*API, app)
    assert content.version == "one"
    (bundle,) = content.bundles
    metadata = bundle["metadata"]
    assert metadata["source"] == "git"
    assert metadata["source_repo"] == "https://git.example.com/alice/echo.git"
    assert metadata["source_branch"] == "trunk"
    assert metadata["source_commit"].startswith(git(app, "rev-parse", "HEAD"))


def test_metadata_given_by_hand(alice: Person, app: Path) -> None:
    content = alice.deploy(*API, "--metadata", "source_branch=by-hand", app)
    assert content.bundles[0]["metadata"]["source_branch"] == "by-hand"
    assert content.bundles[0]["metadata"]["source_repo"] is None


def test_content_of_two_owners_by_one_name(
    alice: Person, server: LocalConnect, app: Path, tmp_path: Path
) -> None:
    hers = alice.deploy(*API, app)
    (app / "rsconnect-python").rename(tmp_path / "records")
    admin = Person(server, "admin", tmp_path / "admin")
    theirs = admin.deploy(*API, app)
    assert theirs.guid != hers.guid
    assert theirs.item["owner_guid"] == server.users["admin"].guid
