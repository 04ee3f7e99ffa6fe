"""No bundle makes the server fail, reach out of its directory or leave anything behind."""

import gzip
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import archives
from tests.fuzz.profiles import JUDGED, max_examples
from tests.fuzz.site import Site
from tests.fuzz.uploads import Uploads


def _flip(place: int) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        if not data:
            return data
        at = place % len(data)
        return data[:at] + bytes([data[at] ^ 1 << place % 8]) + data[at + 1 :]

    return flip


def _cut(place: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: place % (len(data) + 1)]


#: what is done to a whole archive
WRAPPINGS: tuple[Callable[[bytes], bytes], ...] = (
    lambda tar: tar,
    lambda tar: tar[:-1024],
    lambda tar: tar[:-513],
    lambda tar: tar[:700],
    lambda tar: tar + b"\0" * 20_000,
    lambda tar: tar + b"x" * 20_000,
    lambda tar: b"\0" * 512 + tar,
    lambda tar: tar[:0],
    lambda tar: tar * 2,
)

COMPRESSIONS: tuple[Callable[[bytes], bytes], ...] = (
    *(lambda tar: gzip.compress(tar, 1, mtime=0),) * 6,
    lambda tar: tar,
    lambda tar: gzip.compress(gzip.compress(tar, 1)),
    lambda tar: gzip.compress(tar[:700], 1) + gzip.compress(tar[700:], 1),
    lambda tar: gzip.compress(b"") * 50 + gzip.compress(tar, 1),
    lambda tar: gzip.compress(tar, 1) + b"\0" * 100,
    lambda tar: gzip.compress(tar, 1) + b"x" * 100,
    lambda tar: gzip.compress(tar, 1) + b"\x1f\x8b\x08",
    lambda tar: gzip.compress(tar, 1)[:-4],
    lambda tar: gzip.compress(tar, 1)[:-8],
    lambda tar: gzip.compress(tar, 1)[:-8] + b"\0" * 8,
    lambda tar: b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * 50_000 + tar,
    lambda tar: b"\x1f\x8b\x09" + gzip.compress(tar, 1)[3:],
    lambda tar: tar[:0],
)


def outsides() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """What is done to the compressed bundle."""
    place = st.integers(0, 1 << 16)
    return st.one_of(place.map(_cut), place.map(_flip))


@max_examples(420)
@given(bundle=archives.bundles())
def test_members_and_manifests(site: Site, uploads: Uploads, bundle: archives.Bundle) -> None:
    sent = gzip.compress(bundle.tar(), 1)
    JUDGED["members and manifests"] += 1
    uploads.judge(uploads.upload(sent), sent)
    assert site.server.running


@max_examples(150)
@given(
    wrap=st.sampled_from(WRAPPINGS),
    compress=st.sampled_from(COMPRESSIONS),
    outside=st.one_of(st.just(bytes), outsides()),
)
def test_archives(
    uploads: Uploads,
    wrap: Callable[[bytes], bytes],
    compress: Callable[[bytes], bytes],
    outside: Callable[[bytes], bytes],
) -> None:
    sent = outside(compress(wrap(archives.Bundle().tar())))
    JUDGED["archives"] += 1
    uploads.judge(uploads.upload(sent), sent)


def _form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


def _part(headers: bytes, body: bytes) -> bytes:
    return headers + b"\r\n\r\n" + body


_ARCHIVE = b'Content-Disposition: form-data; name="archive"; filename="x"'
_METADATA = b'Content-Disposition: form-data; name="metadata"'

CONTENT_TYPES = (
    *("multipart/form-data; boundary=b",) * 12,
    *("multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="'),
    *("multipart/form-data; boundary=" + "b" * 71, "multipart/mixed; boundary=b", "multipart/"),
    *("multipart/form-data; boundary=\xe9", "multipart/form-data; boundary=c", "multipart"),
    *(
        "application/x-www-form-urlencoded",
        "text/plain; charset=mallory",
        "multipart/x; boundary=b",
    ),
)

PART_HEADERS = (
    *(_ARCHIVE,) * 6,
    *(_METADATA,) * 6,
    *(b"", b"X: y", b"no colon", b"\0", b": x", b" folded", b"X: " + b"x" * 9_000, b"\xff: \xff"),
    *(b"Content-Disposition: form-data", b"Content-Disposition: form-data; name=archive; name=x"),
    *(
        b'Content-Disposition: form-data; name="_charset_"',
        b"Content-Disposition: ;;;=",
        b"X:\r\n" * 300,
    ),
    *(_ARCHIVE + b"\r\nContent-Length: 5", _ARCHIVE + b"\r\nContent-Length: -1"),
    *(_ARCHIVE + b"\r\nContent-Length: 99999999", _ARCHIVE + b"\r\nContent-Encoding: gzip"),
    *(_ARCHIVE + b"\r\nContent-Transfer-Encoding: base64", _ARCHIVE + b"\r\nContent-Encoding: x"),
    *(
        _ARCHIVE + b"\r\nContent-Type: multipart/mixed; boundary=b",
        b"Content-Type: multipart/mixed",
    ),
    *(
        _ARCHIVE + b"\r\nContent-Type: multipart/mixed; boundary=c",
        _METADATA + b"\r\nContent-Length: x",
    ),
)

METADATA = (
    *(b"{}", b'{"source": "git"}', b'{"source": {}, "source_repo": [[1]], "source_branch": null}'),
    *(
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 5_000,
        b'{"source": ' + b"[" * 900 + b"]" * 900 + b"}",
        b"NaN",
    ),
    *(b'{"source": "\\ud800"}', b'{"source": 1e999}', b'{"source": ' + b"9" * 5_000 + b"}", b'"x"'),
    *(
        b'{"source_commit": "' + b"x" * 100_000 + b'"}',
        b"{}\r\n--b\r\n",
        b"--b--",
        b"\r\n--b--\r\n",
    ),
)


@max_examples(200)
@given(
    content_type=st.sampled_from(CONTENT_TYPES),
    parts=st.lists(
        st.tuples(st.sampled_from(PART_HEADERS), st.sampled_from((None, None, *METADATA))),
        max_size=4,
    ),
    end=st.sampled_from(
        (b"--b--\r\n",) * 6 + (b"", b"--b--", b"--b", b"--b\r\n", b"\r\n", b"--b--x")
    ),
)
def test_forms(
    uploads: Uploads, content_type: str, parts: list[tuple[bytes, bytes | None]], end: bytes
) -> None:
    bundle = gzip.compress(archives.Bundle().tar(), 1)
    sent = _form(
        *(_part(headers, bundle if body is None else body) for headers, body in parts), end=end
    )
    JUDGED["forms"] += 1
    answer = uploads.upload(sent, content_type.encode("latin-1"))
    if answer.status_code == 200:
        sent = (uploads.bundles / answer.json()["id"] / "bundle.tar.gz").read_bytes()
        assert sent.startswith(bundle)
    uploads.judge(answer, sent)
