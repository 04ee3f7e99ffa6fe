"""Writes tar archives byte by byte, so that a header can say what no library would write."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.site import PROBE, manifest

BLOCK = 512

#: a directory that an absolute name can lead to; it must stay as it is
CANARY = bytes(Path(tempfile.gettempdir(), f"local-connect-canary-{os.getpid()}"))

FILE, OLD_FILE, HARD_LINK, LINK, CHARACTERS, BLOCKS, DIRECTORY, PIPE = (
    *(b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6"),
)
SPARSE, PAX, GLOBAL_PAX, LONG_NAME, LONG_LINK = b"S", b"x", b"g", b"L", b"K"

#: headers that speak of the members behind them
AHEAD = (PAX, GLOBAL_PAX, b"X", LONG_NAME, LONG_LINK)


def number(value: int, width: int) -> bytes:
    """In octal, or in base 256 where that cannot be."""
    octal = b"%0*o\0" % (width - 1, value) if value >= 0 else b""
    if octal and len(octal) <= width:
        return octal
    most: int = 256 ** (width - 1)
    sign, rest = (0xFF, most + value) if value < 0 else (0x80, value)
    return bytes([sign]) + max(0, min(rest, most - 1)).to_bytes(width - 1, "big")


@dataclass(frozen=True)
class Entry:
    """One member of an archive, or a header that speaks of the next."""

    name: bytes
    data: bytes = b""
    type: bytes = FILE
    link: bytes = b""
    #: what the header says; the size of the data by default
    size: int | None = None
    mode: int = 0o644
    mtime: int = 0
    magic: bytes = b"ustar\x0000"
    prefix: bytes = b""

    def header(self) -> bytes:
        size = len(self.data) if self.size is None else self.size
        fields = (
            self.name[:100].ljust(100, b"\0"),
            number(self.mode, 8),
            *(number(0, 8), number(0, 8)),
            number(size, 12),
            number(self.mtime, 12),
            b" " * 8,
            self.type,
            self.link[:100].ljust(100, b"\0"),
            self.magic.ljust(8, b"\0"),
            b"\0" * 80,
            self.prefix[:155].ljust(155, b"\0"),
        )
        block = b"".join(fields).ljust(BLOCK, b"\0")
        return block[:148] + b"%06o\0 " % sum(block) + block[156:]

    def pack(self) -> bytes:
        return self.header() + padded(self.data)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % BLOCK)


def pax(*records: tuple[bytes, bytes], kind: bytes = PAX, size: int | None = None) -> Entry:
    return Entry(b"pax", b"".join(_record(*record) for record in records), kind, size=size)


def _record(keyword: bytes, value: bytes) -> bytes:
    body = b" %s=%s\n" % (keyword, value)
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def archive(entries: list[Entry]) -> bytes:
    return b"".join(entry.pack() for entry in entries) + b"\0" * 2 * BLOCK


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def below(directory: bytes, entry: Entry) -> Entry:
    """The same member in a directory; headers that speak of it stay as they are."""
    return entry if entry.type in AHEAD else replace(entry, name=directory + entry.name)


def as_on_windows(entry: Entry) -> Entry:
    """The same member with backslashes for slashes, in what it leads to as well."""
    return replace(
        entry, name=entry.name.replace(b"/", b"\\"), link=entry.link.replace(b"/", b"\\")
    )


@dataclass(frozen=True)
class Bundle:
    """A bundle that would be sound without its flaws."""

    #: each with the names that the manifest has it under, with its data
    extras: list[tuple[tuple[Entry, ...], dict[str, bytes]]] = field(default_factory=list)
    place: int = 0
    change: Callable[[dict[str, Any]], Any] = lambda document: document
    text: Callable[[bytes], bytes] = lambda text: text
    #: a directory around everything, with a slash at its end, or nothing
    around: bytes = b""
    windows: bool = False

    def entries(self) -> list[Entry]:
        entries = [below(self.around, entry) for entry in self._entries()]
        return [*map(as_on_windows, entries)] if self.windows else entries

    def _entries(self) -> list[Entry]:
        document = manifest()
        for _, files in self.extras:
            document["files"] |= {name: {"checksum": md5(data)} for name, data in files.items()}
        text = self.text(json.dumps(self.change(document)).encode())
        entries = [Entry(b"manifest.json", text)]
        entries += [Entry(name.encode(), data) for name, data in PROBE.items()]
        place = self.place % (len(entries) + 1)
        extras = [entry for group, _ in self.extras for entry in group]
        return [*entries[:place], *extras, *entries[place:]]

    def tar(self) -> bytes:
        return archive(self.entries())


GOOD_NAMES = (b"x", b"data/x", b"data/more/y", b"link", "\u00e9".encode(), b"a/b/c/s")

NAMES = (
    *(b"x", b"data/x", b"data/x/y", b"./x", b"data/./x", b"data//x", b"data/x/", b"x/", b"."),
    *(b"", b"/", b"..", b"../x", b"data/..", b"data/../x", b"data/../../x", b"x/..", b"..."),
    *(b"../../x", b"../../../x", b"../bundle.tar.gz", b"../../canary/x", b"../../../../canary/x"),
    *(b"/tmp/local-connect-fuzz", CANARY, CANARY + b"/x", b"//x", b"./../x", b"\\..\\x", b"C:\\x"),
    *(b"x\0y", b"x\ny", b"x\ry", b"\x01\x1b[2J", b" ", b"x ", b"~", b"~/x", b"$HOME", b"-rf", b"*"),
    *(
        b"\xff",
        b"\xed\xa0\x80",
        b"e\xcc\x81",
        b"\xc3\xa9",
        b"\xe2\x80\xae",
        b"\xc0\xaf",
        b"%2e%2e/x",
    ),
    *(b"data\\x", b".\\x", b"data\\..\\x", b"data\\..\\..\\x", b"..\\x", b"..\\..\\canary\\x"),
    *(b"\\x", b"\\\\server\\share\\x", b"c:\\x", b"C:x", b"data/\\x", b"x\\", b"\\", b"link\\x"),
    *(
        b"DATA/x",
        b"Data\\X",
        b"LINK/x",
        b"Link",
        b"X",
        b"\xef\xbc\xb8",
        b"probe.py\\x",
        b"a\\b\\c\\s",
    ),
    *(b"manifest.json", b"./manifest.json", b"MANIFEST.JSON", b"manifest.json/x", b"app", b"home"),
    *(b"probe.py", b"probe.py/x", b"requirements.txt", b"data", b"link", b"link/x", b"a/b/c/s"),
    *(
        b"n" * 99,
        b"n" * 100,
        b"n" * 255,
        b"n" * 256,
        b"n/" * 49,
        b"n" * 5_000,
        b"d/" * 3_000 + b"x",
    ),
)

TYPES = (
    *(FILE,) * 12,
    *(LINK,) * 4,
    *(HARD_LINK,) * 2,
    *(DIRECTORY,) * 2,
    *(
        OLD_FILE,
        CHARACTERS,
        BLOCKS,
        PIPE,
        SPARSE,
        b"7",
        b"D",
        b"M",
        b"N",
        b"V",
        b"X",
        b"A",
        b"\xff",
    ),
)

LINKS = (
    *(b"..\\x", b"data\\x", b"..\\..\\..\\canary\\secret", b"C:\\x", b"\\", b"\\etc\\hostname"),
    # inside while it lies in a directory that is around everything, and out of the bundle after
    *(b"../bundle.tar.gz", b"../app/probe.py", b"../../canary/secret", b"../w", b"../w/probe.py"),
    *(b"probe.py", b"./probe.py", b"x", b"link", b"data/x", b"manifest.json", b".", b"", b"/"),
    *(
        b"..",
        b"../x",
        b"../../../../canary/secret",
        b"../../../../../canary/secret",
        CANARY,
        CANARY + b"/secret",
        b"/etc/hostname",
    ),
    *(b"../bundle.tar.gz", b"../../../local-connect.db", b"data/../probe.py", b"data/../.."),
    *(
        b"a/b/c/s/../../..",
        b"a/b/c/s/../../../../canary/secret",
        b"../../..",
        b"l" * 99,
        b"\xff",
        b"\0",
    ),
)

SIZES = (None,) * 12 + (
    0,
    1,
    511,
    513,
    10 << 30,
    1 << 40,
    1 << 62,
    (1 << 64) - 1,
    -1,
    -512,
    -(10**18),
)

TIMES = (0,) * 8 + (-1, 1 << 31, 1 << 33, 1 << 62, (1 << 80), -(1 << 70))

#: what a pax header may say of the next member
PAX_RECORDS = (
    *((b"path", name) for name in NAMES),
    *((b"linkpath", name) for name in LINKS),
    *(
        (b"size", size)
        for size in (b"0", b"-1", b"-512", b"9" * 30, b"1e3", b"", b"x", b"9" * 5_000)
    ),
    *((b"mtime", time) for time in (b"1e300", b"-1e300", b"nan", b"inf", b"1.5", b"x", b"9" * 400)),
    *((b"uid", b"-1"), (b"gid", b"9" * 30), (b"uname", b"\xff"), (b"", b""), (b"\xff", b"\xff")),
    *((b"hdrcharset", b"BINARY"), (b"hdrcharset", b"\xff"), (b"charset", b"x"), (b"comment", b"x")),
    *((b"GNU.sparse.size", b"9" * 20), (b"GNU.sparse.map", b"0,1,9,9"), (b"GNU.sparse.map", b"x")),
    *((b"GNU.sparse.name", b"../x"), (b"GNU.sparse.realsize", b"x"), (b"GNU.sparse.offset", b"1")),
)

#: bytes of headers that lie about themselves
BAD_PAX = (
    *(
        b"0 path=x\n",
        b"5 path=x\n",
        b"99999 path=x\n",
        b"9" * 30 + b" path=x\n",
        b"path=x\n",
        b"\xff",
    ),
    *(b"12 path=../x\n" * 50, b"1" * 2_000, b"11 a=b", b"30 hdrcharset=\xff\xfe\n"),
    b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n",
)


def _ahead() -> st.SearchStrategy[tuple[Entry, ...]]:
    """Headers before a member."""
    records = st.lists(st.sampled_from(PAX_RECORDS), min_size=1, max_size=3)
    sizes = st.sampled_from((None,) * 9 + (0, 8 << 30, -1, 1 << 63))
    said = st.builds(
        lambda records, kind, size: pax(*records, kind=kind, size=size),
        *(records, st.sampled_from((PAX, PAX, PAX, GLOBAL_PAX, b"X")), sizes),
    )
    bad = st.sampled_from(BAD_PAX).map(lambda data: Entry(b"pax", data, PAX))
    long = st.builds(
        lambda kind, name, size: Entry(b"././@LongLink", name + b"\0", kind, size=size),
        *(st.sampled_from((LONG_NAME, LONG_LINK)), st.sampled_from(NAMES + LINKS), sizes),
    )
    return st.one_of(
        st.just(()), st.just(()), st.lists(st.one_of(said, long, bad), max_size=3).map(tuple)
    )


def _groups() -> st.SearchStrategy[tuple[tuple[Entry, ...], dict[str, bytes]]]:
    names, links, good = st.sampled_from(NAMES), st.sampled_from(LINKS), st.sampled_from(GOOD_NAMES)
    # one thing wrong at a time gets furthest, and everything at once where nobody thought of it
    misplaced = st.builds(Entry, st.one_of(names, names, st.binary(max_size=12)), st.just(b"x"))
    leading = st.builds(lambda name, link: Entry(name, type=LINK, link=link), good, links)
    strange = st.builds(lambda name, kind: Entry(name, type=kind), good, st.sampled_from(TYPES))
    everything = st.builds(
        Entry,
        name=names,
        data=st.sampled_from((b"", b"x", b"x" * 600)),
        type=st.sampled_from(TYPES),
        link=links,
        size=st.sampled_from(SIZES),
        mode=st.sampled_from((0o644, 0, 0o4777, 0o7777, 0o20000644)),
        mtime=st.sampled_from(TIMES),
        magic=st.sampled_from((b"ustar\x0000",) * 6 + (b"ustar  ", b"", b"\xff" * 8)),
        prefix=st.sampled_from((b"",) * 8 + (b"..", b"/", b"data", b"\xff")),
    )
    timed = st.builds(lambda name, time: Entry(name, mtime=time), good, st.sampled_from(TIMES))
    return st.one_of(
        st.builds(_listed, st.just(()), misplaced),
        st.builds(_listed, st.just(()), misplaced, st.integers(0, 4)),
        st.builds(_listed, st.just(()), leading),
        st.builds(_listed, st.just(()), st.one_of(strange, timed)),
        st.builds(_listed, _ahead(), good.map(Entry)),
        st.builds(_listed, _ahead(), everything, st.integers(0, 4)),
    )


#: what a link leads to, so that a manifest can be right about it
_LED_TO = {b"probe.py": PROBE["probe.py"], b"secret": b"untouched"}


def _listed(
    ahead: tuple[Entry, ...], entry: Entry, how: int = 2
) -> tuple[tuple[Entry, ...], dict[str, bytes]]:
    """The member with the headers before it, and as the manifest has it: mostly rightly."""
    files = {entry.name.decode("utf-8", "surrogateescape"): entry.data}
    if entry.type == LINK:
        files = dict.fromkeys(files, _LED_TO.get(entry.link.rpartition(b"/")[2], b""))
    if how == 0 or entry.type == DIRECTORY:
        files = {}
    elif how == 1:
        files |= {"link": b"", "x": b"x"}
    return (*ahead, entry), files


_WRONG: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        (
            *(None, True, 0, -1, 1e308, 10**400, "", "x", "\0", "\ud800", [], {}, [[]], {"": ""}),
            *(
                "../x",
                "/etc/hostname",
                "a" * 10_000,
                "python-dash",
                "probe:app",
                "probe.py",
                "src\\probe.py:app",
                "../probe.py",
                False,
                "probe;x",
                "x:y()",
            ),
            *(float("nan"), float("inf"), ">=3", "3.11", "manifest.json", "requirements.txt"),
        )
    ),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)

_PLACES = (
    *(("version",), ("locale",), ("metadata",), ("metadata", "appmode")),
    *(("metadata", "entrypoint"), ("python",), ("python", "version"), ("files",)),
    *(("python", "package_manager"), ("python", "package_manager", "package_file")),
    *(("environment",), ("environment", "python"), ("environment", "python", "requires")),
    *(("files", "probe.py"), ("files", "probe.py", "checksum"), ("files", "x"), ("extra",)),
    *(("files", "requirements.txt", "checksum"), ("files", "\0"), ("files", "manifest.json")),
    *(("python", "package_manager", "allow_uv"), ("environment", "environment_management")),
    *(
        ("environment", "environment_management", "python"),
        ("files", "..\\x"),
        ("files", "data\\x"),
    ),
)


def changes() -> st.SearchStrategy[Callable[[dict[str, Any]], Any]]:
    """What is done to a manifest: a value put somewhere, or taken away, or the whole replaced."""

    def putting(places: list[tuple[tuple[str, ...], Any]]) -> Callable[[dict[str, Any]], Any]:
        def change(document: dict[str, Any]) -> Any:
            for place, value in places:
                # of its own, as the next may be put into it
                _put(document, place, deepcopy(value))
            return document

        return change

    values = st.lists(st.tuples(st.sampled_from(_PLACES), _WRONG), min_size=1, max_size=2)
    return st.one_of(
        values.map(putting), values.map(putting), _WRONG.map(lambda whole: lambda _: whole)
    )


def _put(document: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *parents, last = place
    for parent in parents:
        inner = document.setdefault(parent, {})
        if not isinstance(inner, dict):
            inner = document[parent] = {}
        document = inner
    document[last] = value


def _deep(opening: bytes, closing: bytes, depth: int) -> Callable[[bytes], bytes]:
    return lambda text: text[:-1] + b', "deep": ' + opening * depth + b"1" + closing * depth + b"}"


#: what is done to the text of a manifest
TEXTS: tuple[Callable[[bytes], bytes], ...] = (
    *(_deep(b"[", b"]", depth) for depth in (10, 400, 900, 950, 980, 990, 5_000, 200_000)),
    *(_deep(b'{"a":', b"}", depth) for depth in (10, 400, 900, 950, 980, 990, 5_000)),
    lambda text: text[:-1],
    lambda text: text + b"x",
    lambda text: text * 2,
    lambda text: text[:0],
    lambda text: b"\xef\xbb\xbf" + text,
    lambda text: text.decode().encode("utf-16"),
    lambda text: text.decode().encode("utf-32"),
    lambda text: text.replace(b"1", b"9" * 5_000, 1),
    lambda text: text.replace(b"1", b"1e999999", 1),
    lambda text: text.replace(b'"version"', b'"\\ud800"', 1),
    lambda text: text.replace(b"probe", b"\xff", 1),
    lambda text: b"[" * 100_000 + text,
    lambda text: text[:-1] + b', "files": {}}',
)


def untidy() -> st.SearchStrategy[Callable[[dict[str, Any]], Any]]:
    """What is done to the files of a manifest, which is taken with a warning."""
    odd = st.sampled_from((*NAMES, *GOOD_NAMES)).map(
        lambda name: name.decode("utf-8", "surrogateescape")
    )
    entry = st.sampled_from(({"checksum": "0" * 32}, {"checksum": None}, {"checksum": ""}, {}))

    def change(
        document: dict[str, Any], named: dict[str, Any], dropped: list[str], none: bool
    ) -> Any:
        document["files"] |= named
        for name in dropped:
            document["files"].pop(name, None)
        return {key: value for key, value in document.items() if key != "files" or not none}

    return st.builds(
        lambda named, dropped, none: lambda document: change(document, named, dropped, none),
        st.dictionaries(odd, entry, max_size=3),
        st.lists(st.sampled_from((*PROBE, "x", "data/x")), max_size=2),
        st.sampled_from((False, False, False, True)),
    )


#: directories around everything, with a slash at their end
AROUND = (b"", b"", b"", b"w/", b"./w/", b"w/v/", b"app/", b"w//./v/", b"data/", b"w\\", b"../w/")


def bundles() -> st.SearchStrategy[Bundle]:
    place = st.integers(0, 4)
    groups = st.lists(_groups(), min_size=1, max_size=3)
    lenient = st.builds(
        Bundle,
        st.lists(_groups(), max_size=2),
        place,
        change=st.one_of(st.just(lambda document: document), untidy()),
        around=st.sampled_from(AROUND),
        windows=st.booleans(),
    )
    return st.one_of(
        st.builds(Bundle, groups, place),
        st.builds(Bundle, groups, place),
        lenient,
        lenient,
        st.builds(lambda change: Bundle(change=change), changes()),
        st.builds(lambda change: Bundle(change=change), changes()),
        st.builds(lambda text: Bundle(text=text), st.sampled_from(TEXTS)),
        st.just(Bundle()),
    )
