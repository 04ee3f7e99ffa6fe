"""Bundles that must not be unpacked: each is refused in words, and nothing of it stays."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.bundles import FILES, Member, app, listed, manifest_of, member, packed
from tests.deployed import Person, Unharmed, assert_recorded

LINK = tarfile.SYMTYPE
HARD_LINK = tarfile.LNKTYPE

WRONG = "0" * 32


def with_checksums(**checksums: str | None) -> list[Member]:
    """The echoing app with a manifest that says something else of these files, or nothing."""
    manifest = manifest_of(FILES)
    for name, checksum in checksums.items():
        name = name.replace("_", ".")
        if checksum is None:
            del manifest["files"][name]
        else:
            manifest["files"][name] = {"checksum": checksum}
    return app(manifest)


HOSTILE: dict[str, tuple[list[Member], tuple[str, ...]]] = {
    "a wrong checksum": (
        with_checksums(app_py=WRONG),
        ("The checksum of app.py is", f"but the manifest says {WRONG}", "rsconnect write-manifest"),
    ),
    "a file that is not in the manifest": (
        with_checksums(version_txt=None),
        ("version.txt is in the bundle but not in its manifest",),
    ),
    "a file that is only in the manifest": (
        with_checksums(lost_csv=WRONG),
        ("lost.csv is in the manifest but not in the bundle",),
    ),
    "a file above the directory": (
        listed(member("../shared/requirements.txt", b"flask")),
        ("'../shared/requirements.txt' in the bundle leads out of the bundle's directory",),
    ),
    "a way up in the middle": (
        listed(member("data/../../escaped.txt", b"x")),
        ("'data/../../escaped.txt' in the bundle leads out",),
    ),
    "an absolute name": (
        listed(member("/tmp/local-connect-escaped.txt", b"x")),  # noqa: S108
        ("'/tmp/local-connect-escaped.txt' in the bundle leads out",),
    ),
    "a link to an absolute place": (
        listed(member("passwd", type=LINK, linkname="/etc/passwd")),
        ("The link passwd -> /etc/passwd leads out", "Copy the file"),
    ),
    "a link to a place above": (
        listed(member("data/key", type=LINK, linkname="../../../local-connect.db")),
        ("The link data/key -> ../../../local-connect.db leads out",),
    ),
    "a file behind a link": (
        listed(
            member("inside"),
            member("link", type=LINK, linkname="."),
            member("link/inside", b"other"),
        ),
        ("link/inside in the bundle lies behind a symbolic link",),
    ),
    "links that lead out together": (
        # each by itself stays within the directory
        listed(
            member("key", type=LINK, linkname="d/d/d/../../../local-connect.db"),
            member("d", type=LINK, linkname="."),
        ),
        ("The link key leads out of the bundle's directory",),
    ),
    "links in a circle": (
        listed(
            member("one", type=LINK, linkname="other"),
            member("other", type=LINK, linkname="one"),
        ),
        ("in the bundle is a link to nothing in the bundle",),
    ),
    "a link to nothing": (
        listed(member("greetings.json", type=LINK, linkname="shared.json")),
        ("greetings.json in the bundle is a link to nothing in the bundle",),
    ),
    "a hard link": (
        listed(member("database", type=HARD_LINK, linkname="../../../local-connect.db")),
        ("database in the bundle is neither a file, a directory nor a link",),
    ),
    "a hard link within": (
        listed(member("again.py", type=HARD_LINK, linkname="app.py")),
        ("again.py in the bundle is neither a file, a directory nor a link",),
    ),
    "a device": (
        listed(member("zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5)),
        ("zero in the bundle is neither a file",),
    ),
    "a named pipe": (
        listed(member("pipe", type=tarfile.FIFOTYPE)),
        ("pipe in the bundle is neither a file",),
    ),
    "a file twice": (
        [*app(), member("./app.py", b"print('other')\n")],
        ("app.py stands in the bundle twice",),
    ),
    "a name with a null": (
        listed(member("a.txt", b"x"), member("b.txt", b"x", pax_headers={"path": "b\0.txt"})),
        ("leads out",),
    ),
    "another type of content": (
        app({**manifest_of(FILES), "metadata": {"appmode": "python-dash", "entrypoint": "app"}}),
        ("of type python-api and python-fastapi; the bundle is python-dash",),
    ),
    "an entry point that is none": (
        app({**manifest_of(FILES), "metadata": {"appmode": "python-api", "entrypoint": "a b"}}),
        ("The entry point 'a b' is not of the form module or module:object",),
    ),
    "no Python": (
        app({name: part for name, part in manifest_of(FILES).items() if name != "python"}),
        ("The manifest has no object at python",),
    ),
}


BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a whole gzipped tar archive"),
    "not gzip": (b"Hello!" * 100, "not a whole gzipped tar archive"),
    "cut short": (packed(app())[:-20], "Was the upload cut short?"),
    "cut in half": (packed(app())[: len(packed(app())) // 2], "Was the upload cut short?"),
    "no manifest": (packed(app()[1:]), "no manifest.json at its top"),
    "a manifest that is not JSON": (
        packed([member("manifest.json", b'{"version": 1,'), *app()[1:]]),
        "The bundle's manifest.json is not JSON",
    ),
    "a manifest that is not an object": (
        packed([member("manifest.json", b"[]"), *app()[1:]]),
        "The bundle's manifest.json is not a JSON object",
    ),
    "a manifest that is a link": (
        packed([member("manifest.json", type=LINK, linkname="app.py"), *app()[1:]]),
        "no manifest.json at its top",
    ),
}


#: rsconnect would not send the broken ones: it reads the manifest of a bundle itself
UPLOADS = {name: (packed(members), words) for name, (members, words) in HOSTILE.items()} | {
    name: (data, (words,)) for name, (data, words) in BROKEN.items()
}

#: those that a person is likely to make; the words come to them through rsconnect
LIKELY = (
    "a wrong checksum",
    "a file that is not in the manifest",
    "a file that is only in the manifest",
    "a file above the directory",
    "an absolute name",
    "a link to an absolute place",
    "a hard link",
    "a device",
    "another type of content",
)


@pytest.mark.parametrize("name", LIKELY)
def test_deploy_bundle(alice: Person, live: Unharmed, tmp_path: Path, name: str) -> None:
    members, words = HOSTILE[name]
    archive = tmp_path / "hostile.tar.gz"
    archive.write_bytes(packed(members))
    said = live.refused(alice, "bundle", archive)
    for part in words:
        assert part in said, said


@pytest.mark.parametrize("name", UPLOADS)
def test_upload(live: Unharmed, name: str) -> None:
    data, words = UPLOADS[name]
    content = live.content
    before = content.bundles
    answer = content.server.request("POST", f"{content.api}/bundles", content=data)
    assert answer.status_code == (501 if name == "another type of content" else 400)
    assert set(answer.json()) == {"code", "error"}
    for part in words:
        assert part in answer.json()["error"]
    assert content.bundles == before
    assert content.version == "one"
    assert_recorded(content.server)


def test_an_upload_that_is_whole(live: Unharmed) -> None:
    # what the tests above break is sound before they do
    content = live.content
    server = content.server
    answer = server.request("POST", f"{content.api}/bundles", content=packed(listed(member("x"))))
    assert answer.is_success, answer.text
    assert answer.json()["size"] == len(packed(listed(member("x"))))
    assert_recorded(server)


def test_links_within_the_bundle(alice: Person, tmp_path: Path) -> None:
    renamed = [
        (info, content) if info.name != "version.txt" else member("data/v1.txt", content)
        for info, content in app()
    ][1:]
    link = member("version.txt", type=LINK, linkname="data/v1.txt")
    files = {info.name: content for info, content in renamed} | {"version.txt": b"one\n"}
    manifest = app(manifest_of(files))[0]
    archive = tmp_path / "linked.tar.gz"
    archive.write_bytes(packed([manifest, *renamed, link]))
    assert alice.deploy("bundle", archive).version == "one"


def test_a_tampered_download(alice: Person, live: Unharmed, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.gz"
    guid = live.content.guid
    alice.rsconnect("content", "download-bundle", "--guid", guid, "--output", archive)
    directory = tmp_path / "unpacked"
    directory.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", directory], check=True)
    (directory / "version.txt").write_text("tampered")
    names = sorted(path.name for path in directory.iterdir())
    subprocess.run(["tar", "-czf", archive, "-C", directory, *names], check=True)
    said = live.refused(alice, "bundle", archive)
    assert "The checksum of version.txt is" in said
