"""Where the greetings come from: a URL, or the file beside this one."""

import hashlib
import json
import time
from pathlib import Path

import httpx

import settings

FILE = Path(__file__).with_name("greetings.json")
NAME = settings.GREETINGS_SOURCE or FILE.name

#: made once, because it reads the certificates of this machine; it keeps no connection
http = httpx.Client(
    timeout=settings.SOURCE_SECONDS,
    follow_redirects=True,
    limits=httpx.Limits(max_keepalive_connections=0),
)

#: bytes of the largest source
LIMIT = 10_000_000


class SourceError(Exception):
    """The source cannot be used; the message says why."""


def fetch(known=None):
    """The version of the source, and its texts by their languages; None if it is the known one."""
    data, version = read_url(known) if settings.GREETINGS_SOURCE else read_file()
    if version == known:
        return None
    return version, parse(data)


def read_file():
    try:
        data = FILE.read_bytes()
    except OSError as error:
        raise SourceError(f"{NAME} cannot be read: {error.strerror}.") from None
    return data, digest(data)


def read_url(known):
    """What is there, and its ETag; a source without one is told by what it sends."""
    headers = {"If-None-Match": known} if known and '"' in known else {}
    deadline = time.monotonic() + settings.SOURCE_SECONDS
    data = bytearray()
    try:
        with http.stream("GET", NAME, headers=headers) as response:
            if response.status_code == 304 and headers:
                return b"", known
            if response.status_code != 200:
                raise SourceError(f"The source answers {response.status_code}.")
            for part in response.iter_bytes():
                data += part
                if len(data) > LIMIT:
                    raise SourceError(f"The source sends more than {LIMIT} bytes.")
                if time.monotonic() > deadline:
                    raise SourceError(f"The source takes more than {settings.SOURCE_SECONDS:g} s.")
    except httpx.TimeoutException:
        raise SourceError(f"The source is silent for {settings.SOURCE_SECONDS:g} s.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(f"The source cannot be read: {error}") from None
    return bytes(data), response.headers.get("ETag") or digest(data)


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()[:16]}"


def parse(data):
    """The texts by their languages, if that is what it is."""
    try:
        texts = json.loads(data.decode("utf-8"))
        # JSON can name halves of characters, which are no text
        json.dumps(texts, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{NAME} is not JSON in UTF-8: {error}") from None
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise SourceError(f"{NAME} is not a JSON object of texts.")
    if not texts:
        raise SourceError(f"{NAME} has no greetings.")
    return texts
