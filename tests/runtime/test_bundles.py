"""Bundles as they are unpacked: what is taken, with which warning, and what is refused."""

import asyncio
import gzip
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local_connect.config import Limits
from local_connect.errors import ApiError, BadRequest, TooLarge
from local_connect.records.store import Store
from local_connect.runtime import bundles
from local_connect.runtime.bundles import Unpacked, unpack
from tests.bundles import FILES, Member, app, listed, manifest_of, member, packed

pytestmark = pytest.mark.quick

LINK = tarfile.SYMTYPE
HARD_LINK = tarfile.LNKTYPE

WRONG = "0" * 32


def unpacked(tmp_path: Path, members: list[Member] | bytes, **limits: Any) -> Unpacked:
    """Unpack these members, or an archive, into the directory `app`."""
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(members if isinstance(members, bytes) else packed(members))
    return unpack(archive, tmp_path / "app", Limits(**limits))


def in_app(tmp_path: Path) -> dict[str, bytes]:
    """What lies in the directory, but for the manifest; links followed."""
    directory = tmp_path / "app"
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def with_files(**files: dict[str, Any] | None) -> list[Member]:
    """The echoing app with a manifest that says something else of these files, or nothing."""
    manifest = manifest_of(FILES)
    for name, entry in files.items():
        manifest["files"].pop(name.replace("_", "."), None)
        if entry is not None:
            manifest["files"][name.replace("_", ".")] = entry
    return app(manifest)


def without_files(manifest: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in manifest.items() if name != "files"}


def below(directory: str, members: list[Member]) -> list[Member]:
    return [(_renamed(info, f"{directory}/{info.name}"), content) for info, content in members]


def windows(members: list[Member]) -> list[Member]:
    return [(_renamed(info, info.name.replace("/", "\\")), content) for info, content in members]


def _renamed(info: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    info.name = name
    return info


def test_a_bundle_of_rsconnect_has_no_warnings(tmp_path: Path) -> None:
    assert unpacked(tmp_path, app()) == Unpacked(manifest_of(FILES), [])
    assert in_app(tmp_path) == FILES


def test_a_manifest_without_checksums_has_no_warnings(tmp_path: Path) -> None:
    manifest = {**manifest_of(FILES), "files": {name: {} for name in FILES}}
    assert unpacked(tmp_path, app(manifest)).warnings == []


NESTED = {**FILES, "data/x.csv": b"1,2"}

#: what Connect takes, and the one warning that a deployment then shows
UNTIDY: dict[str, tuple[list[Member], str]] = {
    "no files in the manifest": (
        app(without_files(manifest_of(FILES))),
        "The manifest names no files; all of the bundle's are taken: "
        "app.py, requirements.txt, version.txt.",
    ),
    "a stale checksum": (
        with_files(app_py={"checksum": WRONG}),
        "The manifest has other checksums than the files have: app.py.",
    ),
    "a file that the manifest does not name": (
        with_files(version_txt=None),
        "Not in the manifest, but in the bundle, so taken: version.txt.",
    ),
    "a file that only the manifest names": (
        with_files(lost_csv={"checksum": WRONG}),
        "In the manifest, but not in the bundle: lost.csv.",
    ),
    "names from Windows": (
        windows([*app(manifest_of(NESTED)), member("data/x.csv", b"1,2")]),
        r"Backslashes in names are taken for slashes: data\x.csv.",
    ),
    "a manifest from Windows": (
        app(
            {
                **manifest_of(FILES),
                "files": {
                    **manifest_of(FILES)["files"],
                    ".\\app.py": manifest_of(FILES)["files"]["app.py"],
                },
            }
        ),
        r"Backslashes in names are taken for slashes: .\app.py.",
    ),
    "one directory around everything": (
        below("my-app", app()),
        "All of the bundle lies in one directory: my-app.",
    ),
    "directories around it": (
        [member("my-app", type=tarfile.DIRTYPE), *below("./my-app/bundle", app())],
        "All of the bundle lies in one directory: my-app/bundle.",
    ),
}


@pytest.mark.parametrize("name", UNTIDY)
def test_what_is_untidy_is_taken_with_a_warning(tmp_path: Path, name: str) -> None:
    members, warning = UNTIDY[name]
    assert unpacked(tmp_path, members).warnings == [warning]
    files = NESTED if name == "names from Windows" else FILES
    assert in_app(tmp_path) == files
    assert {path.name for path in tmp_path.iterdir()} == {"app", "bundle.tar.gz"}


def test_everything_untidy_at_once(tmp_path: Path) -> None:
    manifest = manifest_of({f"old{number}.csv": b"" for number in range(8)} | FILES)
    manifest["files"]["app.py"]["checksum"] = WRONG
    members = [*app(manifest), *(member(f"new\n{number}.csv") for number in range(6))]
    warnings = unpacked(tmp_path, below("pkg", members)).warnings
    assert warnings == [
        "All of the bundle lies in one directory: pkg.",
        "The manifest has other checksums than the files have: app.py.",
        "Not in the manifest, but in the bundle, so taken: "
        + ", ".join(repr(f"new\n{number}.csv") for number in range(5))
        + " and 1 more.",
        "In the manifest, but not in the bundle: "
        "old0.csv, old1.csv, old2.csv, old3.csv, old4.csv and 3 more.",
    ]


def test_a_directory_beside_another_file_stays(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match=r"no manifest\.json at its top"):
        unpacked(tmp_path, [*below("my-app", app()), member("README.md")])


def test_nothing_is_read_of_what_will_not_be_installed(tmp_path: Path) -> None:
    manifest = manifest_of({"app.py": FILES["app.py"]})
    manifest["environment"] = {"environment_management": {"python": False}}
    text = packed([app(manifest)[0], member("app.py", FILES["app.py"])])
    assert unpacked(tmp_path, text).warnings == []


def test_links_within_the_bundle(tmp_path: Path) -> None:
    members = listed(
        member("data/v1.txt", b"one"),
        member("data/current.txt", type=LINK, linkname="v1.txt"),
        member("latest.txt", type=LINK, linkname="data\\current.txt"),
    )
    members.append(member("all", type=LINK, linkname="data"))
    warnings = unpacked(tmp_path, below("pkg", members)).warnings
    assert "Not in the manifest, but in the bundle, so taken: all." in warnings
    found = in_app(tmp_path)
    assert found["latest.txt"] == found["data/current.txt"] == b"one"
    assert (tmp_path / "app" / "all" / "v1.txt").is_file()


def test_modes_and_times(tmp_path: Path) -> None:
    script = member("run.sh", b"#!", mode=0o4755, mtime=86_400)
    secret = member("key.pem", b"k", mode=0o600, mtime=7)
    unpacked(tmp_path, listed(script, secret))
    for name, mode, mtime in (("run.sh", 0o100755, 86_400), ("key.pem", 0o100644, 7)):
        status = (tmp_path / "app" / name).stat()
        assert (status.st_mode, status.st_mtime) == (mode, mtime)


HOSTILE: dict[str, tuple[list[Member], str]] = {
    "a file above the directory": (
        listed(member("../shared/requirements.txt", b"flask")),
        "'../shared/requirements.txt' in the bundle leads out of the bundle's directory",
    ),
    "a way up in the middle": (
        listed(member("data/../../escaped.txt", b"x")),
        "'data/../../escaped.txt' in the bundle leads out",
    ),
    "an absolute name": (
        listed(member("/tmp/local-connect-escaped.txt", b"x")),  # noqa: S108
        "'/tmp/local-connect-escaped.txt' in the bundle leads out",
    ),
    "a way up from Windows": (
        listed(member("data\\..\\..\\escaped.txt", b"x")),
        r"'data\\..\\..\\escaped.txt' in the bundle leads out",
    ),
    "an absolute name from Windows": (
        listed(member("C:\\escaped.txt", b"x")),
        r"'C:\\escaped.txt' in the bundle leads out",
    ),
    "a share of Windows": (
        listed(member("\\\\server\\escaped.txt", b"x")),
        r"'\\\\server\\escaped.txt' in the bundle leads out",
    ),
    "a way out of one directory around everything": (
        [*below("my-app", app()), member("my-app/../../escaped.txt", b"x")],
        "leads out of the bundle's directory",
    ),
    "a link to an absolute place": (
        listed(member("passwd", type=LINK, linkname="/etc/passwd")),
        "The link passwd -> /etc/passwd leads out of the bundle's directory. Copy the file",
    ),
    "a link to a place above": (
        listed(member("data/key", type=LINK, linkname="../../../local-connect.db")),
        "The link data/key -> ../../../local-connect.db leads out",
    ),
    "a link to a place above from Windows": (
        listed(member("data/key", type=LINK, linkname="..\\..\\..\\local-connect.db")),
        "leads out of the bundle's directory",
    ),
    "a link that leads out of what is lifted": (
        # the archive lies where `app` and it leads, once its one directory is taken for the top
        below("my-app", listed(member("key", type=LINK, linkname="../bundle.tar.gz"))),
        "The link key leads out of the bundle's directory",
    ),
    "a link that leads nowhere once lifted": (
        below("my-app", listed(member("key", type=LINK, linkname="../my-app/app.py"))),
        "key in the bundle is a link to nothing in the bundle",
    ),
    "a file behind a link": (
        listed(
            member("inside"),
            member("link", type=LINK, linkname="."),
            member("link/inside", b"other"),
        ),
        "link/inside in the bundle lies behind a symbolic link",
    ),
    "a file behind a link from Windows": (
        listed(member("link", type=LINK, linkname="."), member("link\\inside", b"other")),
        "link/inside in the bundle lies behind a symbolic link",
    ),
    "links that lead out together": (
        # each by itself stays within the directory
        listed(
            member("key", type=LINK, linkname="d/d/d/../bundle.tar.gz"),
            member("d", type=LINK, linkname="."),
        ),
        "The link key leads out of the bundle's directory",
    ),
    "a directory that leads out, in no manifest": (
        [
            *app(),
            member("up", type=LINK, linkname="d/d/.."),
            member("d", type=LINK, linkname="."),
        ],
        "The link up leads out of the bundle's directory",
    ),
    "links in a circle": (
        listed(
            member("one", type=LINK, linkname="other"),
            member("other", type=LINK, linkname="one"),
        ),
        "in the bundle is a link to nothing in the bundle",
    ),
    "a link to nothing": (
        listed(member("greetings.json", type=LINK, linkname="shared.json")),
        "greetings.json in the bundle is a link to nothing in the bundle",
    ),
    "an empty link": (
        listed(member("greetings.json", type=LINK, linkname="")),
        "greetings.json in the bundle is a link to nothing in the bundle",
    ),
    "a link by way of a file": (
        listed(member("greetings.json", type=LINK, linkname="app.py/../app.py")),
        "greetings.json in the bundle is a link to nothing in the bundle",
    ),
    "a hard link": (
        listed(member("database", type=HARD_LINK, linkname="../../../local-connect.db")),
        "database in the bundle is a hard link to ../../../local-connect.db. Put a copy",
    ),
    "a hard link within": (
        listed(member("again.py", type=HARD_LINK, linkname="app.py")),
        "again.py in the bundle is a hard link to app.py. Put a copy of the file there instead.",
    ),
    "a character device": (
        listed(member("zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5)),
        "zero in the bundle is a character device. Leave it out.",
    ),
    "a block device": (
        listed(member("disk", type=tarfile.BLKTYPE, devmajor=8)),
        "disk in the bundle is a block device. Leave it out.",
    ),
    "a named pipe": (
        listed(member("pipe", type=tarfile.FIFOTYPE)),
        "pipe in the bundle is a named pipe. Leave it out.",
    ),
    "something that tar does not have": (
        listed(member("odd", type=b"Z")),
        "odd in the bundle is a member of a type that is not known (b'Z'). Leave it out.",
    ),
    "a file twice": (
        [*app(), member("./app.py", b"print('other')\n")],
        "app.py stands in the bundle twice",
    ),
    "a file twice by its slashes": (
        listed(member("data/x", b"1"), member("data\\x", b"2")),
        "data/x stands in the bundle twice",
    ),
    "a file and a directory by its slashes": (
        listed(member("data", b"1"), member("data\\x", b"2")),
        "data/x stands in the bundle twice",
    ),
    "a directory that is a file too": (
        listed(member("data/x", b"1"), member("data", b"2")),
        "data stands in the bundle twice",
    ),
    "a name with a null": (
        listed(member("a.txt", b"x"), member("b.txt", b"x", pax_headers={"path": "b\0.txt"})),
        "leads out",
    ),
    "no requirements": (
        [(info, content) for info, content in app() if info.name != "requirements.txt"],
        "The bundle has no requirements.txt, which its manifest names as the file of its",
    ),
    "requirements that are a directory": (
        [
            *(one for one in app() if one[0].name != "requirements.txt"),
            member("deps/x"),
            member("requirements.txt", type=LINK, linkname="deps"),
        ],
        "The bundle has no requirements.txt",
    ),
    "another type of content": (
        app({**manifest_of(FILES), "metadata": {"appmode": "python-dash", "entrypoint": "app"}}),
        "of type python-api and python-fastapi; the bundle is python-dash",
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
    "a link to all there is": (
        packed([member("all", type=LINK, linkname=".")]),
        "no manifest.json at its top",
    ),
    "a manifest that is a link": (
        packed([member("manifest.json", type=LINK, linkname="app.py"), *app()[1:]]),
        "no manifest.json at its top",
    ),
}

REFUSED = {name: (packed(members), words) for name, (members, words) in HOSTILE.items()} | BROKEN


def test_a_member_of_less_than_nothing_is_refused(tmp_path: Path) -> None:
    """By later Pythons' tarfile in words of its own."""
    (tmp_path / "incoming").mkdir()
    archive = gzip.compress(member("odd", size=-1)[0].tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(BadRequest, match=r"odd in .* smaller than nothing|invalid offset"):
        unpacked(tmp_path / "incoming", archive)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_dangerous_or_broken_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "incoming").mkdir()
    archive, words = REFUSED[name]
    with pytest.raises(ApiError) as refusal:
        unpacked(tmp_path / "incoming", archive)
    assert words in refusal.value.error
    # whatever was written is below the directory that is then removed
    assert [path.name for path in tmp_path.iterdir()] == ["incoming"]
    assert not (tmp_path / "incoming" / "app").is_symlink()
    assert not Path("/tmp/local-connect-escaped.txt").exists()  # noqa: S108


def test_links_are_made_when_all_files_are_there(tmp_path: Path) -> None:
    """So that no file is written through one, whatever the file system takes for the same name."""
    unpacked(
        tmp_path,
        listed(member("Data", type=LINK, linkname="real"), member("data/x"), member("real/y")),
    )
    assert (tmp_path / "app" / "data" / "x").is_file()
    assert not (tmp_path / "app" / "real" / "x").exists()


def test_a_link_is_not_made_behind_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # as where `Data` and `data` are the same: the tree does not see it, so the disk must
    monkeypatch.setattr(bundles._Tree, "add", _add_without_looking)
    members = listed(
        member("real/y"),
        member("data", type=LINK, linkname="real"),
        member("data/x", type=LINK, linkname="y"),
    )
    with pytest.raises(ApiError, match="data/x in the bundle lies behind a symbolic link"):
        unpacked(tmp_path, members)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, LINK])
def test_two_names_for_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(bundles._Tree, "add", _add_without_looking)
    members = listed(member("x"), member("x", type=kind, linkname="app.py"))
    with pytest.raises(ApiError, match="x stands in the bundle twice"):
        unpacked(tmp_path, members)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, LINK])
def test_a_directory_is_no_file_before_the_disk_is_asked(kind: bytes) -> None:
    tree = bundles._Tree()
    for name in ("data/x", "data/y/z"):
        tree.add(name, tarfile.TarInfo(name))
    for name in ("data", "data/y"):
        with pytest.raises(BadRequest, match=f"{name} stands in the bundle twice"):
            tree.add(name, member(name, type=kind, linkname="x")[0])


def _add_without_looking(tree: Any, name: str, info: tarfile.TarInfo) -> None:
    tree.files.add(name)
    if info.issym():
        tree.links[name] = info.linkname


def test_links_are_bounded_by_what_they_lead_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # they are kept until all files are there
    monkeypatch.setattr(bundles, "_MANIFEST_BYTES", 10_000)
    links = [member(f"l{number}", type=LINK, linkname="d/" * 500 + "x") for number in range(20)]
    with pytest.raises(TooLarge, match="names in the bundle are longer"):
        unpacked(tmp_path, [*app(), *links])


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"bundle_members": 3}, "more than 3 members"),
        ({"unpacked_bytes": 100}, "unpacks to more than 100 bytes"),
    ],
)
def test_limits(tmp_path: Path, limits: dict[str, int], words: str) -> None:
    with pytest.raises(TooLarge, match=words):
        unpacked(tmp_path, app(), **limits)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    name = "n" * (os.pathconf(tmp_path, "PC_NAME_MAX") + 1)
    with pytest.raises(OSError, match="name too long"):
        unpacked(tmp_path, listed(member(name)))


def received(tmp_path: Path, archive: bytes, **limits: Any) -> None:
    """Take an upload in by two pieces, for content that is of no interest here."""

    async def pieces() -> AsyncIterator[bytes]:
        yield archive[:50]
        yield archive[50:]

    store = Store(tmp_path / "data")
    try:
        taken = bundles.receive(
            pieces(), store=store, limits=Limits(**limits), content_guid="", created_by=""
        )
        asyncio.run(taken)
    finally:
        # nothing is kept of what is refused
        assert list(store.bundles.iterdir()) == []
        store.close()


def test_an_upload_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="The bundle is larger than 60 bytes"):
        received(tmp_path, packed(app()), bundle_bytes=60)


def test_an_upload_of_what_the_disk_does_not_take(tmp_path: Path) -> None:
    name = "n" * (os.pathconf(tmp_path, "PC_NAME_MAX") + 1)
    with pytest.raises(BadRequest, match=r"The bundle cannot be unpacked: File name too long\."):
        received(tmp_path, packed(listed(member(name))))
