"""What is kept of a request, and what is shown of it, in memory."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from multidict import CIMultiDict

from local_connect.errors import BadRequest, NotFound
from local_connect.gateway.headers import place
from local_connect.gateway.inspection import HIDDEN, Inspector
from local_connect.gateway.recorder import BODY_BYTES, KEPT, Recorder, Recording
from local_connect.records.store import User

pytestmark = pytest.mark.quick

KEY = "0123456789abcdef0123456789abcdef"
SESSION = "local-connect-session-3939=abcdefghijkl"


class Secrets:
    """Stands for the identities and the processes of a server."""

    def secrets(self) -> list[str]:
        return [KEY]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def inspector(recorder: Recorder) -> Inspector:
    return Inspector(recorder, cast(Any, Secrets()), cast(Any, Secrets()))


def record(
    recorder: Recorder, path: str = "/x", *, user: str = "", status: int = 200, **headers: str
) -> Recording:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    one = recorder.begin("guid", "/mount", "GET", f"/mount{path}", CIMultiDict(names))
    one.viewer = User(username=user, user_role="viewer") if user else None
    one.status = status
    one.end()
    return one


def test_the_last_are_kept(recorder: Recorder, inspector: Inspector) -> None:
    first = record(recorder)
    for _ in range(KEPT):
        record(recorder)
    assert len(inspector.find()) == KEPT
    with pytest.raises(NotFound, match="no such request any more"):
        inspector.get(first.number)


def test_they_are_found_by_status_path_and_visitor(
    recorder: Recorder, inspector: Inspector
) -> None:
    one = record(recorder, "/a?b=c", user="alice", status=404)
    other = record(recorder, "/b", status=201)
    assert inspector.find() == [other, one]
    assert inspector.find(status="404") == inspector.find(status="4xx") == [one]
    assert inspector.find(status="2xx") == [other]
    assert inspector.find(path="?b") == inspector.find(visitor="alice") == [one]
    assert inspector.find(visitor="-") == [other]
    assert inspector.find("another") == []
    for wrong in ("4", "4x", "x", "600", "40x"):
        with pytest.raises(BadRequest, match="status"):
            inspector.find(status=wrong)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", f"Key {KEY}", f"Key {HIDDEN}"),
        ("Authorization", f"Key={KEY}", HIDDEN),
        ("Authorization", "Bearer of-the-app", f"Bearer {HIDDEN}"),
        ("X-RSC-Authorization", f"Key {KEY}", f"Key {HIDDEN}"),
        ("X_RSC_Authorization", f"Key {KEY}", f"Key {HIDDEN}"),
        ("X-Auth-Signature", "abc", HIDDEN),
        ("Cookie", f"a=b; {SESSION}; c=d", f"a=b; local-connect-session-3939={HIDDEN}; c=d"),
        ("X-Mine", f"it is {KEY}", f"it is {HIDDEN}"),
    ],
)
def test_no_secret_of_a_header_is_shown(
    recorder: Recorder, inspector: Inspector, name: str, value: str, shown: str
) -> None:
    one = recorder.begin("guid", "/mount", "GET", "/mount/", CIMultiDict({name: value}))
    described = inspector.describe(one)
    assert described["sent"] == [(name, shown)]
    assert KEY not in str(described)


def test_no_secret_is_shown_wherever_it_stands(recorder: Recorder, inspector: Inspector) -> None:
    one = record(
        recorder, f"/{KEY}/the-apps-own", Authorization="Bearer the-apps-own", Cookie=SESSION
    )
    one.answer(200, CIMultiDict({"Location": f"/{KEY}", "Set-Cookie": f"{SESSION}; Path=/"}))
    one.keep_body(f"{KEY} the-apps-own abcdefghijkl".encode())
    one.keep_answer(f'{{"key": "{KEY}"}}'.encode())
    described = inspector.describe(one)
    assert described["body"] == f"{HIDDEN} {HIDDEN} {HIDDEN}"
    for secret in (KEY, "the-apps-own", "abcdefghijkl"):
        assert secret not in str(described)
        assert secret not in str(inspector.summaries([one]))


def test_half_a_secret_is_not_shown_where_a_body_is_cut(
    recorder: Recorder, inspector: Inspector
) -> None:
    one = record(recorder)
    one.keep_answer(b"x" * (BODY_BYTES - 20) + KEY.encode())
    one.keep_answer(b"and more")
    assert len(one.kept_answer) == BODY_BYTES
    described = inspector.describe(one)
    assert KEY[:4] not in described["answer_body"]
    assert described["answer_note"] == "This is its beginning."
    assert described["answer_bytes"] == BODY_BYTES + 20


def test_a_body_that_is_no_text(recorder: Recorder, inspector: Inspector) -> None:
    for body in (b"a\x00b", b"\xff\xfe"):
        one = record(recorder)
        one.keep_body(body)
        assert inspector.describe(one)["body"] is None
        assert inspector.describe(one)["body_note"] == "It is not text."
    one = record(recorder)
    # cut within a character
    one.keep_body(b"e")
    one.keep_body("é".encode() * BODY_BYTES)
    described = inspector.describe(one)
    assert set(described["body"]) == {"e", "é"}
    assert described["request_bytes"] == 1 + 2 * BODY_BYTES


@pytest.mark.parametrize(
    ("mode", "mount"),
    [
        ("python-api", {"served by": "WSGI", "SCRIPT_NAME": "/mount", "PATH_INFO": "/a b"}),
        ("python-fastapi", {"served by": "ASGI", "root_path": "/mount", "client": "10.0.0.1:5"}),
    ],
)
def test_where_the_app_is_told_to_be(
    recorder: Recorder, inspector: Inspector, mode: str, mount: dict[str, str]
) -> None:
    one = record(recorder, "/a%20b?c")
    assert inspector.describe(one)["mount"] == {}
    one.headers = list(place("http://here", "guid", "/mount", "10.0.0.1", "5"))
    one.ask(cast(Any, SimpleNamespace(is_asgi=mode == "python-fastapi", bundle_id=1)))
    told = inspector.describe(one)["mount"]
    assert told.items() >= mount.items()
    assert "X-Local-Connect-Environ" not in dict(inspector.describe(one)["received"])


def test_a_cookie_below_the_mount_is_not_said_to_be_changed(
    recorder: Recorder, inspector: Inspector
) -> None:
    one = record(recorder)
    one.answer(200, CIMultiDict({"Set-Cookie": "a=b; Path=/mount/below"}))
    described = inspector.describe(one)
    assert described["answer_headers"] == [("Set-Cookie", "a=b; Path=/mount/below")]
    assert described["answer_dropped"] == []


def test_why_a_header_is_dropped_or_kept_back(recorder: Recorder, inspector: Inspector) -> None:
    one = record(
        recorder,
        Accept="*/*",
        X_Forwarded_Proto="https",
        Connection="X-Hop, keep-alive",
        X_Hop="1",
        Authorization=f"Key {KEY}",
    )
    one.answer(200, CIMultiDict({"Clear-Site-Data": "*", "Set-Cookie": "a=b; Path=/", "ETag": "1"}))
    described = inspector.describe(one)
    assert {each["name"]: each["why"] for each in described["dropped"]} == {
        "X-Forwarded-Proto": "only the server says this",
        "Connection": "of this connection only",
        "X-Hop": "of this connection only, as Connection says",
        "Authorization": "the visitor's API key is for the server",
    }
    assert described["answer_headers"] == [("Set-Cookie", "a=b; Path=/mount/"), ("ETag", "1")]
    assert {each["name"]: each["why"] for each in described["answer_dropped"]} == {
        "Clear-Site-Data": "would reach beyond the content's own pages",
        "Set-Cookie": "confined to the content's own path",
    }
