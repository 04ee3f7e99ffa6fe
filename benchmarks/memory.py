"""What the server holds in memory: while a large bundle comes in, and a long answer goes out."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measure import Curves, Family, Figure, Scale, Target, seconds
from benchmarks.servers import APPS
from local_connect.log import progress
from tests.bundles import manifest_of
from tests.deployed import Content
from tests.publishing import create, publish
from tests.servers import LocalConnect, running_server

MIB = 1 << 20

NOT_HERE = "Memory and processor time are read from /proc, which only Linux has."

HOW = """
Resident memory of a server that has done nothing else: its peak while the bundle comes in or the
answer goes out, less what it held just before. The bundle is one file that does not compress, sent
in pieces as rsconnect sends it. The long answer is made by the app as it is sent, and read through
the gateway as fast as it comes.
"""

#: bytes of a piece of an upload, and of what is read at a time
_PIECE = 1 << 16


def can_measure() -> bool:
    return Path("/proc/self/clear_refs").exists()


def resident(pid: int) -> int:
    """Bytes that a process holds now."""
    return _status(pid, "VmRSS")


def peak_after(pid: int) -> int:
    """Bytes that it has held at most since `reset_peak`."""
    return _status(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def processor_seconds(pid: int) -> float:
    """What a process has had of the processor since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc says nothing of {name}.")


def measure(scale: Scale, work: Path, _shared: LocalConnect) -> Family:
    if not can_measure():
        return Family("Large uploads and long answers", HOW, (), (NOT_HERE,))
    archives = {size: work / f"{size}.tar.gz" for size in scale.uploads}
    for size, archive in archives.items():
        progress(f"memory: writing a bundle of {size} bytes")
        _write_bundle(archive, size)
    with running_server(work / "memory") as server:
        content = create(server)
        streaming = publish(server, (APPS / "stream.py").read_text("utf-8"))
        uploads = {
            size: _watched(scale, server, f"upload of {size}", partial(_upload, content, archive))
            for size, archive in archives.items()
        }
        answers = {
            size: _watched(
                scale,
                server,
                f"answer of {size}",
                partial(_read, server, f"{streaming.path}{size}", size),
            )
            for size in scale.streams
        }
    largest, longest = scale.uploads[-1], scale.streams[-1]
    figures = tuple(
        Figure(what, "MiB", tuple(held for _, held in measured), Target("≤", 16))
        for what, measured in (
            (f"a bundle of {largest // MIB} MiB: memory above idle", uploads[largest]),
            (f"an answer of {longest // MIB} MiB: memory above idle", answers[longest]),
        )
    )
    curves = tuple(
        Curves(
            name,
            title,
            f"MiB of {across}",
            "seconds",
            {line: {size / MIB: tuple(t for t, _ in each) for size, each in measured.items()}},
        )
        for name, title, across, line, measured in (
            ("bundles", "As bundles become larger", "a bundle", "upload", uploads),
            ("answers", "As answers become longer", "an answer", "to its last byte", answers),
        )
    )
    return Family("Large uploads and long answers", HOW, figures, (), curves)


def _watched(
    scale: Scale, server: LocalConnect, what: str, work: Callable[[], None]
) -> list[tuple[float, float]]:
    """Seconds that the work takes each time, and MiB that the server then holds more at most."""
    found = []
    rounds = min(scale.rounds, 3)
    for number in range(rounds):
        progress(f"memory: {what} bytes, {number + 1} of {rounds}")
        reset_peak(server.process.pid)
        idle = resident(server.process.pid)
        took = seconds(work)
        found.append((took, (peak_after(server.process.pid) - idle) / MIB))
    return found


def _write_bundle(archive: Path, size: int) -> None:
    """A bundle with one large file that does not compress."""
    large = os.urandom(size)
    files = {"requirements.txt": b"", "app.py": b""}
    manifest = manifest_of(files)
    checksum = hashlib.md5(large, usedforsecurity=False).hexdigest()
    manifest["files"]["data.bin"] = {"checksum": checksum}
    files = {"manifest.json": json.dumps(manifest).encode(), **files, "data.bin": large}
    with (
        gzip.open(archive, "wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _upload(content: Content, archive: Path) -> None:
    with archive.open("rb") as file:
        sent = content.server.request(
            "POST", f"{content.api}/bundles", content=iter(lambda: file.read(_PIECE), b"")
        )
    sent.raise_for_status()


def _read(server: LocalConnect, path: str, size: int) -> None:
    """Read an answer to its end, on a connection of its own, and count it."""
    where = (str(server.client.base_url.host), server.client.base_url.port or 80)
    request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
    count = 0
    with socket.create_connection(where) as client:
        client.sendall(request.encode())
        while piece := client.recv(_PIECE):
            count += len(piece)
    if not size <= count <= size + _PIECE:
        raise RuntimeError(f"The answer has {count} bytes, and should have {size} and a head.")
