"""What is fetched from git repositories, by which rules, and what git is kept from."""

import asyncio
import gzip
import io
import os
import shutil
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local_connect.errors import ApiError, BadGateway, BadRequest, NotImplementedHere
from local_connect.runtime.git import Git, Place, check_directory, check_ref, check_repository
from tests.repositories import commit, git, new_repository


@pytest.mark.quick
@pytest.mark.parametrize(
    "repository",
    [
        "https://git.example.com/alice/apis.git",
        "http://localhost:3000/alice/apis",
        "file:///home/alice/my apis",
        "/home/alice/apis",
    ],
)
def test_where_repositories_are(repository: str) -> None:
    assert check_repository(repository) == repository


@pytest.mark.quick
@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("", "is not the address of a repository"),
        ("https://git.example.com/a\nb", "is not the address of a repository"),
        ("git@example.com:alice/apis.git", "begins with https://"),
        ("ssh://git@example.com/alice/apis.git", "begins with https://"),
        ("ext::sh -c touch% /tmp/x", "begins with https://"),
        ("--upload-pack=touch /tmp/x", "begins with https://"),
        ("file://host/apis", "begins with https://"),
        ("apis", "begins with https://"),
        ("https:///apis", "begins with https://"),
        ("https://alice:secret@example.com/apis", "no password in it"),
        ("https://token@example.com/apis", "no password in it"),
    ],
)
def test_where_repositories_are_not(repository: str, words: str) -> None:
    with pytest.raises(BadRequest) as refused:
        check_repository(repository)
    assert words in refused.value.error
    assert "secret" not in refused.value.error


@pytest.mark.quick
@pytest.mark.parametrize("ref", ["main", "feature/x-1", "v1.0", "größer", "0123abc"])
def test_names_of_branches(ref: str) -> None:
    assert check_ref(ref) == ref


@pytest.mark.quick
@pytest.mark.parametrize(
    "ref",
    [
        *("", "-main", "--upload-pack=x", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "[a"),
        *("a\\b", "/a", "a/", "a//b", ".a", "a.", "a/.b", "a.lock", "a.lock/b", "@", "a@{1}"),
        "a\nb",
    ],
)
def test_no_names_of_branches(ref: str) -> None:
    with pytest.raises(BadRequest):
        check_ref(ref)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("directory", "path"),
    [(".", "."), ("", "."), ("./", "."), ("a", "a"), ("a/b/", "a/b"), ("./a//b", "a/b")],
)
def test_directories(directory: str, path: str) -> None:
    assert check_directory(directory) == path


@pytest.mark.quick
@pytest.mark.parametrize("directory", ["..", "a/../b", "/a", "-a", "a\nb", "a\0b"])
def test_no_directories(directory: str) -> None:
    with pytest.raises(BadRequest):
        check_directory(directory)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    repository = new_repository(tmp_path / "repository")
    commit(repository, {"api/manifest.json": "{}", "api/app.py": "one"})
    return repository


def fetched(
    tmp_path: Path, repository: Path | str, ref: str = "main", directory: str = "api"
) -> tuple[str, dict[str, str]]:
    """The commit and the files that are fetched, links by their targets; nothing else is left."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)

    async def fetch() -> tuple[str, bytes]:
        place = Place(str(repository), ref, directory)
        async with Git(scratch, seconds=30).fetch(place) as found:
            return found.commit, b"".join([chunk async for chunk in found.archive])

    try:
        at, archive = asyncio.run(fetch())
    finally:
        assert list(scratch.iterdir()) == []
    files = {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as tar:
        for member in tar:
            if content := tar.extractfile(member) if member.isfile() else None:
                files[member.name] = content.read().decode()
            elif member.issym():
                files[member.name] = member.linkname
    return at, files


def refusal(tmp_path: Path, *arguments: str | Path) -> str:
    with pytest.raises(ApiError) as refused:
        fetched(tmp_path, *arguments)  # type: ignore[arg-type]
    return refused.value.error


def test_branches_tags_and_commits(tmp_path: Path, repository: Path) -> None:
    one = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "light")
    git(repository, "tag", "--annotate", "heavy", "--message", "With words")
    two = commit(repository, {"api/app.py": "two", "manifest.json": "{}"})
    # a branch comes before a tag of its name
    git(repository, "tag", "main", one)
    for ref in ("heavy", one):
        assert fetched(tmp_path, repository, ref) == (one, {"manifest.json": "{}", "app.py": "one"})
    assert fetched(tmp_path, f"file://{repository}", directory=".") == (
        two,
        {"manifest.json": "{}", "api/manifest.json": "{}", "api/app.py": "two"},
    )
    newest = Git(tmp_path / "scratch", seconds=30).newest
    assert asyncio.run(newest(str(repository), "main")) == two
    for tag in ("light", "heavy"):
        assert asyncio.run(newest(str(repository), tag)) == one


def test_what_cannot_be_fetched(tmp_path: Path, repository: Path) -> None:
    at = git(repository, "rev-parse", "HEAD")
    assert "has no branch or tag nothing." in refusal(tmp_path, repository, "nothing")
    # whoever means a commit may have left out its end
    assert "by its whole hash" in refusal(tmp_path, repository, at[:8])
    assert "not our ref" in refusal(tmp_path, repository, "0" * 40)
    missing = refusal(tmp_path, repository, "main", "lost")
    assert f"main has no manifest.json in the directory lost (commit {at[:10]})" in missing
    assert "at the top of the repository" in refusal(tmp_path, repository, "main", ".")
    nowhere = refusal(tmp_path, tmp_path / "nowhere")
    assert nowhere == f"git: '{tmp_path}/nowhere' does not appear to be a git repository"


def test_files_come_as_they_were_committed(tmp_path: Path, repository: Path) -> None:
    outside = new_repository(tmp_path / "outside")
    commit(outside, {"secret": "of another"})
    (repository / "api" / "link").symlink_to("app.py")
    commit(
        repository,
        {
            "api/.gitattributes": "app.py export-ignore\nfrozen export-subst\n* filter=lfs text\n",
            "api/frozen": "$Format:%H$",
        },
    )
    git(repository, "update-index", "--add", "--cacheinfo", "160000", "1" * 40, "api/submodule")
    modules = '[submodule "api/submodule"]\n\tpath = api/submodule\n\turl = ' + str(outside)
    (repository / ".gitmodules").write_text(modules)
    git(repository, "add", ".gitmodules")
    git(repository, "commit", "--quiet", "--message", "A submodule")
    _, files = fetched(tmp_path, repository)
    assert files.pop(".gitattributes")
    assert files == {
        "manifest.json": "{}",
        "app.py": "one",
        "frozen": "$Format:%H$",
        "link": "app.py",
    }


def test_nobodys_settings_are_used(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither those of whoever runs the server, nor those of the directory that it runs in."""
    ran = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "askpass"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
        (hooks / name).chmod(0o755)
    settings = (
        f'[core]\n\thooksPath = {hooks}\n[filter "evil"]\n\tsmudge = echo smudge >> {ran}\n'
        f'[url "{tmp_path}/other"]\n\tinsteadOf = {repository}\n'
        f"[credential]\n\thelper = !echo helper >> {ran}\n"
    )
    commit(repository, {"api/.gitattributes": "* filter=evil\n"})
    home = tmp_path / "home"
    (home / "git").mkdir(parents=True)
    for path in (home / ".gitconfig", home / "git" / "config", home / "settings"):
        path.write_text(settings)
    here = new_repository(tmp_path / "here")
    (here / ".git" / "config").write_text(settings)
    monkeypatch.chdir(here)
    for name, value in {
        "HOME": home,
        "XDG_CONFIG_HOME": home,
        "GIT_CONFIG_GLOBAL": home / "settings",
        "GIT_CONFIG_SYSTEM": home / "settings",
        "GIT_DIR": here / ".git",
        "GIT_TEMPLATE_DIR": hooks.parent,
        "GIT_ASKPASS": hooks / "askpass",
        "SSH_ASKPASS": hooks / "askpass",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path}/other.insteadOf",
        "GIT_CONFIG_VALUE_0": repository,
    }.items():
        monkeypatch.setenv(name, str(value))
    assert fetched(tmp_path, repository)[1]["app.py"] == "one"
    # what would have to ask somebody fails instead
    with wanting_a_password() as address:
        said = refusal(tmp_path, f"{address}/private")
    assert "There is no such repository, or it wants a password" in said
    assert not ran.exists()
    assert [path for path in here.iterdir() if path.name != ".git"] == []


@contextmanager
def wanting_a_password() -> Iterator[str]:
    """The address of a server that wants to know who asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=private")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_an_archive_that_breaks_off(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a git that does not come to its end."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(
        "#!/bin/sh\n"
        'case "$*" in *" archive "*) echo "fatal: unable to read it" >&2; echo half; exit 1; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    (programs / "git").chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert refusal(tmp_path, repository) == "git: unable to read it"


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/apis"
        with pytest.raises(BadGateway, match=r"git ls-remote was not done within 0\.5 seconds"):
            asyncio.run(Git(tmp_path, seconds=0.5).newest(address, "main"))
    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    without = Git(tmp_path, seconds=1)
    assert not without.available
    with pytest.raises(NotImplementedHere, match="Install git"):
        asyncio.run(without.newest("/apis", "main"))
