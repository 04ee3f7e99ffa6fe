"""Content to upload bundles to, and checks of all that could come of one."""

import gzip
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from hypothesis import currently_in_test_context, event

from tests.fuzz.archives import CANARY
from tests.fuzz.site import Site

#: bytes that the server may hold at its worst; what the bombs declare would need far more
MEMORY = 512 << 20


@dataclass
class Uploads:
    """A content item to upload to, and all that the server has taken for it so far."""

    site: Site
    guid: str
    #: directories that no bundle may reach: beside that of the data, and at an absolute name
    canaries: tuple[Path, Path]
    recorded: set[str]
    #: what was beside the bundles before them
    around: set[str]

    @property
    def bundles(self) -> Path:
        return self.site.server.data / "bundles"

    @property
    def api(self) -> str:
        return f"/__api__/v1/content/{self.guid}"

    def upload(
        self, body: bytes | Iterable[bytes], content_type: bytes = b"application/gzip"
    ) -> httpx.Response:
        return self.site.server.request(
            "POST",
            f"{self.api}/bundles",
            content=body,
            headers=[(b"Content-Type", content_type)],
            timeout=300,
        )

    def judge(self, answer: httpx.Response, sent: bytes) -> None:
        """It was refused and nothing is left, or it was taken and is there, whole."""
        if currently_in_test_context():
            event(f"status {answer.status_code}")
        if answer.status_code == 200:
            bundle_id = answer.json()["id"]
            assert bundle_id not in self.recorded
            self.recorded.add(bundle_id)
            assert_unpacked(self.bundles / bundle_id, sent)
        else:
            assert_refused(answer)
        self.assert_nothing_else()

    def assert_memory(self) -> None:
        """The server has not held more than it may since it started; where that can be known."""
        status = Path(f"/proc/{self.site.server.process.pid}/status")
        if status.exists():
            (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            assert int(line.split()[1]) << 10 < MEMORY, line

    @property
    def unrecorded(self) -> set[str]:
        """What lies among the bundles and is none."""
        return {path.name for path in self.bundles.iterdir()} - self.recorded

    def assert_nothing_else(self) -> None:
        assert not self.unrecorded
        assert around(self.site) == self.around
        for canary in self.canaries:
            assert [(path.name, path.read_text()) for path in canary.iterdir()] == [
                ("secret", "untouched")
            ]


def around(site: Site) -> set[str]:
    """The names in the data directory and beside it; of the database's files, one."""
    data = site.server.data
    return {path.name.partition(".db")[0] for path in (*data.iterdir(), *data.parent.iterdir())}


def assert_refused(answer: httpx.Response) -> None:
    refusal = answer.json()
    assert isinstance(refusal["code"], int), answer
    assert isinstance(refusal["error"], str), answer
    assert 400 <= answer.status_code < 500 or (
        # said of sound bundles that this server has no runtime for
        answer.status_code == 501 and "runs content of type python-api" in refusal["error"]
    ), (answer.status_code, refusal)


def assert_unpacked(directory: Path, sent: bytes) -> None:
    """The directory holds what was sent and what that unpacks to, of which nothing leads out."""
    assert {path.name for path in directory.iterdir()} == {"bundle.tar.gz", "app"}
    assert (directory / "bundle.tar.gz").read_bytes() == sent
    # what was cut short or damaged on the way is not what was sent
    gzip.decompress(sent)
    app = directory / "app"
    for path in walk(app):
        assert Path(os.path.realpath(path, strict=True)).is_relative_to(app.resolve()), path
        assert path.is_file() or path.is_dir(), path
        assert "\\" not in path.name, path
    top = list(app.iterdir())
    assert len(top) > 1 or not top[0].is_dir() or top[0].is_symlink()
    assert not (app / "manifest.json").is_symlink()
    manifest = json.loads((app / "manifest.json").read_bytes())
    managed = manifest.get("environment") or {}
    if (managed.get("environment_management") or {}).get("python") is not False:
        wanted = manifest["python"]["package_manager"]["package_file"]
        assert (app / wanted.replace("\\", "/")).is_file()


def walk(directory: Path) -> Iterator[Path]:
    """All that is below, links not followed."""
    for path in directory.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)


@contextmanager
def uploads_to(site: Site) -> Iterator[Uploads]:
    """New content of the site's to upload to, deleted at the end with all that was uploaded."""
    server = site.server
    probes = {site.open.bundle_id, site.closed.bundle_id}
    guid = server.request("POST", "/__api__/v1/content", json={"name": "uploads"}).json()["guid"]
    with canary(server.data.parent / "canary") as beside, canary(Path(os.fsdecode(CANARY))) as far:
        uploads = Uploads(site, guid, (beside, far), {*probes}, around(site))
        yield uploads
        # all that was taken is recorded, and goes with its content
        listed = server.get(f"{uploads.api}/bundles").raise_for_status().json()
        assert {bundle["id"] for bundle in listed} == uploads.recorded - probes
        server.request("DELETE", uploads.api).raise_for_status()
        uploads.recorded = probes
        uploads.assert_nothing_else()
        uploads.assert_memory()


@contextmanager
def canary(directory: Path) -> Iterator[Path]:
    directory.mkdir()
    try:
        (directory / "secret").write_text("untouched")
        yield directory
    finally:
        shutil.rmtree(directory)
