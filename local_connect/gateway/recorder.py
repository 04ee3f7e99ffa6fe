"""The last requests that came in for content, in memory.

While a request is under way only references are kept, so that it costs little: what is shown of one
is made when somebody looks; see `inspection`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import count

from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

from local_connect.records.store import User
from local_connect.runtime.processes import Launch

#: requests that are kept
KEPT = 500

#: bytes that are kept of each body
BODY_BYTES = 1 << 14

_NONE: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())


class Recording:
    """One request, as far as it has got."""

    __slots__ = (
        "answer_bytes",
        "answer_headers",
        "answered",
        "asked",
        "began",
        "body",
        "body_bytes",
        "ended",
        "error",
        "faults",
        "guid",
        "headers",
        "kept_answer",
        "launch",
        "length",
        "method",
        "mount",
        "number",
        "path",
        "sent",
        "signed",
        "status",
        "time",
        "viewer",
    )

    def __init__(
        self, number: int, guid: str, mount: str, method: str, path: str, sent: MultiMapping[str]
    ) -> None:
        self.number = number
        self.guid = guid
        self.mount = mount
        self.method = method
        #: as it stood in the request line, with its query
        self.path = path
        #: the visitor's headers
        self.sent = sent
        #: seconds since the epoch
        self.time = time.time()
        #: seconds of a clock that only goes forward: the request came, a process was asked, its
        #: answer began, it was over
        self.began = time.monotonic()
        self.asked = self.answered = self.ended = 0.0
        self.viewer: User | None = None
        #: whether it is signed, in place of a key
        self.signed = False
        #: what the process got
        self.headers: list[tuple[str, str]] = []
        self.length: int | None = None
        #: how the process was started, once one was asked
        self.launch: Launch | None = None
        #: what the visitor got; 0 until that is known
        self.status = 0
        #: why there is no answer of the app's, or no whole one
        self.error = ""
        #: the names of the faults on demand that befell it
        self.faults = ""
        #: those of the app's answer
        self.answer_headers: MultiMapping[str] = _NONE
        self.body = self.kept_answer = b""
        self.body_bytes = self.answer_bytes = 0

    def ask(self, launch: Launch) -> None:
        """A process gets the request now."""
        self.launch = launch
        self.asked = time.monotonic()

    def answer(self, status: int, headers: MultiMapping[str]) -> None:
        """The process answers."""
        self.status = status
        self.answer_headers = headers
        self.answered = time.monotonic()

    def keep_body(self, piece: bytes) -> None:
        """Another piece of the visitor's body has come."""
        if (room := BODY_BYTES - len(self.body)) > 0:
            self.body += piece[:room]
        self.body_bytes += len(piece)

    def keep_answer(self, piece: bytes) -> None:
        """Another piece of the app's answer has come."""
        if (room := BODY_BYTES - len(self.kept_answer)) > 0:
            self.kept_answer += piece[:room]
        self.answer_bytes += len(piece)

    def end(self) -> None:
        """The request is over."""
        self.ended = time.monotonic()


class Recorder:
    """The last requests of one server."""

    def __init__(self) -> None:
        self._recordings: deque[Recording] = deque(maxlen=KEPT)
        self._numbers = count(1)

    def begin(
        self, guid: str, mount: str, method: str, path: str, sent: MultiMapping[str]
    ) -> Recording:
        """Record a request from now on."""
        recording = Recording(next(self._numbers), guid, mount, method, path, sent)
        self._recordings.append(recording)
        return recording

    def newest_first(self) -> Iterator[Recording]:
        return reversed(self._recordings)

    def find(self, number: int) -> Recording | None:
        """The request of that number, if it is still kept."""
        return next((one for one in self._recordings if one.number == number), None)
