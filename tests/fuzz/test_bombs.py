"""Bundles that would take all the memory, disk or time there is."""

import gzip
import json
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import chain

import pytest
from hypothesis import settings

from tests.fuzz import archives
from tests.fuzz.archives import DIRECTORY, GLOBAL_PAX, LONG_NAME, PAX, SPARSE, Bundle, Entry
from tests.fuzz.site import manifest
from tests.fuzz.uploads import Uploads

GIB = 1 << 30

#: seconds after which a bomb has done harm
LONGEST = 120

#: seconds after which nothing comes any more
_QUIET = 1.0


def squeezed(tar: Iterator[bytes]) -> bytes:
    """One member of gzip, whose parts need not be in memory at the same time."""
    packer = zlib.compressobj(1, wbits=31)
    packed = b"".join(map(packer.compress, tar))
    return packed + packer.flush()


def zeros(size: int) -> Iterator[bytes]:
    """As members of gzip: each is small, and a whole when it is unpacked."""
    piece = 64 << 20
    assert size % piece == 0
    packed = gzip.compress(bytes(piece))
    return (packed for _ in range(size // piece))


def saying(entry: Entry, behind: Iterator[bytes]) -> bytes:
    """A bundle that begins well, then has a header, and whatever is behind that."""
    begin = b"".join(entry.pack() for entry in Bundle().entries())
    return gzip.compress(begin + entry.header()) + b"".join(behind)


def members(count: int, entry: Callable[[int], Entry]) -> bytes:
    head = (entry.pack() for entry in Bundle().entries())
    return squeezed(chain(head, (entry(number).pack() for number in range(count))))


def a_million(entry: Entry) -> bytes:
    """The same a million times; each thousand is a member of gzip."""
    begin = b"".join(entry.pack() for entry in Bundle().entries())
    return gzip.compress(begin) + gzip.compress(entry.pack() * 1_000) * 1_000


def a_million_files() -> bytes:
    """None like another, as far as a server may be expected to read."""
    return (
        members(101_000, lambda number: Entry(b"f%d" % number))
        + gzip.compress(Entry(b"d", type=DIRECTORY).pack() * 1_000) * 900
    )


def a_global_header_for_every_member() -> bytes:
    fields = [(b"k%d" % number, b"v") for number in range(1_000)]
    headers = (
        archives.pax(*((b"%d%s" % (number, key), value) for key, value in fields), kind=GLOBAL_PAX)
        for number in range(1_000)
    )
    files = (Entry(b"f%d" % number) for number in range(1_000))
    both = (entry.pack() for pair in zip(headers, files, strict=True) for entry in pair)
    return squeezed(chain((entry.pack() for entry in Bundle().entries()), both))


def manifest_of_empty_objects() -> bytes:
    document = manifest() | {"extra": [{}] * 3_900_000}
    return gzip.compress(archives.archive([Entry(b"manifest.json", json.dumps(document).encode())]))


def a_number_of_one_million_digits() -> bytes:
    text = json.dumps(manifest()).encode().replace(b"1", b"9" * 1_000_000, 1)
    return gzip.compress(archives.archive([Entry(b"manifest.json", text)]))


BOMBS: dict[str, Callable[[], bytes]] = {
    "a file of 10 GiB of zeros": lambda: saying(Entry(b"zero", size=10 * GIB), zeros(10 * GIB)),
    "a file of 10 GiB that is not there": lambda: saying(Entry(b"zero", size=10 * GIB), zeros(0)),
    "10 GiB of zeros behind the archive": lambda: (
        gzip.compress(Bundle().tar()) + b"".join(zeros(10 * GIB))
    ),
    "10 GiB of zeros and nothing else": lambda: b"".join(zeros(10 * GIB)),
    "a pax header of 8 GiB": lambda: saying(Entry(b"pax", type=PAX, size=8 * GIB), zeros(8 * GIB)),
    "a pax header for all of 8 GiB": lambda: saying(
        Entry(b"pax", type=GLOBAL_PAX, size=8 * GIB), zeros(8 * GIB)
    ),
    "a name of 8 GiB": lambda: saying(
        Entry(b"././@LongLink", type=LONG_NAME, size=8 * GIB), zeros(8 * GIB)
    ),
    "a sparse file of 8 EiB": lambda: saying(Entry(b"s", type=SPARSE, size=1 << 63), zeros(GIB)),
    "a directory a million times": lambda: a_million(Entry(b"d", type=DIRECTORY)),
    "a million pax headers": lambda: a_million(archives.pax((b"path", b"x"))),
    "a million names of the next": lambda: a_million(Entry(b"././@LongLink", b"x\0", LONG_NAME)),
    "a global header for every member": a_global_header_for_every_member,
    "directories without end": lambda: members(
        2_000,
        lambda number: (
            Entry(b"L", b"%d/" % number + b"d/" * 1_900 + b"\0", LONG_NAME)
            if number % 2 == 0
            else Entry(b"x")
        ),
    ),
    "a header of digits": lambda: members(
        50, lambda number: Entry(b"pax", b"1" * 10_000, PAX) if number % 2 == 0 else Entry(b"x")
    ),
    "a manifest of empty objects": manifest_of_empty_objects,
    "a number of a million digits": a_number_of_one_million_digits,
    "a manifest of 64 MiB": lambda: gzip.compress(
        archives.archive([Entry(b"manifest.json", b" " * (64 << 20))])
    ),
    "200,000 members of gzip": lambda: gzip.compress(b"") * 200_000,
    "a name in gzip of 10 MiB": lambda: (
        b"\x1f\x8b\x08\x08" + struct.pack("<IBB", 0, 0, 255) + b"n" * (10 << 20)
    ),
}

if settings.get_current_profile_name() == "long":
    # it is unpacked as far as it may be, which takes its time
    BOMBS["a million files"] = a_million_files

#: not refused for what they cost, the second where tarfile takes such a header for none
TAKEN = ("a manifest of empty objects", "a header of digits")


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(uploads: Uploads, name: str) -> None:
    bomb = BOMBS[name]()
    begun = time.monotonic()
    answer = uploads.upload(bomb)
    took = time.monotonic() - begun
    assert name in TAKEN or answer.status_code in (400, 413), answer.text
    uploads.judge(answer, bomb)
    uploads.assert_memory()
    assert took < LONGEST
    said = answer.json().get("error", "")
    print(f"{name}: {len(bomb):,} bytes, {took:.1f} s, {answer.status_code} {said}")


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_uploader_that_goes_away(uploads: Uploads, part: float, seconds: float) -> None:
    """In the middle of an upload, or while what was sent is unpacked; nothing of it stays."""
    bundle = members(3_000, lambda number: Entry(b"f%d" % number, b"x" * 100))
    head = (
        f"POST {uploads.api}/bundles HTTP/1.1\r\nHost: {uploads.site.netloc}\r\n"
        f"Authorization: Key {uploads.site.key('alice')}\r\nContent-Length: {len(bundle)}\r\n\r\n"
    )
    connection = uploads.site.connect()
    connection.send(head.encode() + bundle[: int(part * len(bundle))])
    time.sleep(seconds)
    connection.close()
    until = time.monotonic() + LONGEST
    quiet = time.monotonic()
    # it may not have begun yet, and must not go on after it has ended
    while time.monotonic() - quiet < _QUIET and time.monotonic() < until:
        time.sleep(0.05)
        if uploads.unrecorded:
            quiet = time.monotonic()
    uploads.assert_nothing_else()
