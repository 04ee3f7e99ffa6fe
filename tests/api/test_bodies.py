"""Bodies of requests to the API and to pages that do not come, or turn out to be no HTTP."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local_connect.access.identity import Identities
from local_connect.config import SchedulingDefaults, Settings
from local_connect.server import Server

FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="archive"\r\n\r\nhalf of it'
METADATA = b'--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{'


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[Server]:
    """A server in this process, with less patience than any other has."""
    scheduling = SchedulingDefaults(read_timeout=1)
    server = Server(Settings(data=data, port=0, scheduling=scheduling))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def answered(server: Server, request: str, *body: bytes) -> bytes:
    """All that comes back on a connection, until the server ends it."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    key = server.administrator.api_key
    lines = (request, f"Host: {host}:{port}", f"Authorization: Key {key}", "", "")
    writer.write("\r\n".join(lines).encode())
    for piece in body:
        await asyncio.sleep(0.1)
        writer.write(piece)
    answer = await reader.read()
    writer.close()
    return answer


#: a request, the type of its body, and the beginning of one
BEGUN = [
    ("POST /__api__/v1/content", "application/json", b'{"name"'),
    ("POST {bundles}", "application/gzip", b"\x1f\x8b"),
    ("POST {bundles}", FORM, PART),
    ("POST {bundles}", FORM, METADATA),
    ("POST {bundles}", FORM, b"--x\r\nContent-"),
    ("POST /__login__", FORM, b"--x\r\n"),
    ("POST /__login__", "application/x-www-form-urlencoded", b"a="),
]


def test_bodies_that_stop_coming(tmp_path: Path) -> None:
    """All at once, as each takes the time that a client is given."""

    async def test() -> None:
        async with serving(tmp_path / "data") as server, asyncio.timeout(8):
            made = await answered(
                server,
                "POST /__api__/v1/content HTTP/1.1\r\nContent-Length: 15\r\nConnection: close",
                b'{"name": "abc"}',
            )
            (guid,) = re.findall(r'"guid": "([^"]+)"', made.decode())
            bundles = f"/__api__/v1/content/{guid}/bundles"
            heads = [
                f"{line.format(bundles=bundles)} HTTP/1.1\r\nContent-Type: {kind}\r\n"
                for line, kind, _ in BEGUN
            ]
            silent = (
                answered(server, f"{head}Content-Length: 999", sent)
                for head, (_, _, sent) in zip(heads, BEGUN, strict=True)
            )
            broken = (
                answered(server, f"{head}Transfer-Encoding: chunked", b"1\r\n-\r\n", b"no size\r\n")
                for head in heads
            )
            for answer in await asyncio.gather(*silent, *broken):
                assert answer.startswith(b"HTTP/1.1 408 "), answer
                assert b"for 1 seconds" in answer

    asyncio.run(test())


def test_a_fault_of_the_server_is_told_on_its_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(Identities, "everyone", fail)

    async def test() -> bytes:
        async with serving(tmp_path / "data") as server, asyncio.timeout(8):
            return await answered(server, "GET /__api__/v1/users HTTP/1.1\r\nConnection: close")

    answer = asyncio.run(test())
    assert answer.startswith(b"HTTP/1.1 500 ")
    said = "local-connect failed; its terminal shows the details."
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"code": 0, "error": said}
    assert "ZeroDivisionError: by nothing" in "".join(capsys.readouterr())


def test_bodies_that_are_not_forms(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path / "data") as server, asyncio.timeout(8):
            for kind, body in (
                ("multipart/form-data", b"--x--\r\n"),
                (FORM, b"no boundary\r\n"),
                (FORM, b"--x\r\nno colon\r\n\r\n\r\n--x--\r\n"),
                (FORM, b"--x\r\n" + b"X: y\r\n" * 1000 + b"\r\n\r\n--x--\r\n"),
                ("application/x-www-form-urlencoded; charset=none", b"a=b"),
            ):
                request = (
                    f"POST /__login__ HTTP/1.1\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close"
                )
                answer = await answered(server, request, body)
                assert answer.startswith(b"HTTP/1.1 400 "), answer

    asyncio.run(test())
