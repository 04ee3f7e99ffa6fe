"""Which requests a fault on demand befalls, in memory."""

from typing import Any

import pytest

from local_connect.access.visitor_tokens import TOKEN_SECONDS, SessionTokens, Visit
from local_connect.errors import BadRequest, NotFound
from local_connect.gateway.faults import Faults

pytestmark = pytest.mark.quick


def test_for_content_and_path() -> None:
    faults = Faults()
    faults.add({"kind": "cut", "content_guid": "one", "path": "list?page=2"})
    assert list(faults.befall("one", "/content/one/list?page=2")) == ["cut"]
    assert not faults.befall("other", "/content/other/list?page=2")
    assert not faults.befall("one", "/content/one/list")
    faults.add({"kind": "kill"})
    assert list(faults.befall("other", "/")) == ["kill"]
    assert list(faults.befall("one", "/list?page=2")) == ["cut", "kill"]
    assert [fault.count for fault in faults.active] == [2, 2]


def test_the_next_so_many() -> None:
    faults = Faults()
    faults.add({"kind": "status", "status": 503, "next": 2, "path": "x"})
    met = [bool(faults.befall("one", path)) for path in ("/x", "/y", "/x", "/x")]
    assert met == [True, False, True, False]
    assert faults.active == []


def test_a_share() -> None:
    chances = iter([0.0, 0.24, 0.25, 0.99])
    faults = Faults(lambda: next(chances))
    faults.add({"kind": "delay", "seconds": 0, "share": 0.25})
    assert [bool(faults.befall("one", "/")) for _ in range(4)] == [True, True, False, False]


def test_of_a_kind_the_first_that_befalls() -> None:
    faults = Faults()
    first = faults.add({"kind": "status", "status": 500, "next": 1})
    second = faults.add({"kind": "status", "status": 503})
    assert faults.befall("one", "/") == {"status": first}
    assert faults.befall("one", "/") == {"status": second}


def test_they_end() -> None:
    faults = Faults()
    first, second = (faults.add({"kind": "idle"}) for _ in range(2))
    faults.remove(first.number)
    assert faults.active == [second]
    with pytest.raises(NotFound, match=f"no fault {first.number}"):
        faults.remove(first.number)
    faults.reset()
    assert faults.active == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "kind is not one of delay, status, cut, token, kill, idle: None"),
        ({"kind": ["cut"]}, "kind is not one of"),
        ({"kind": "cut", "after": 1}, "A fault has no after, only content_guid, kind"),
        ({"kind": "delay"}, "needs seconds"),
        ({"kind": "cut", "seconds": 1}, "has no seconds"),
        ({"kind": "cut", "status": 500}, "has no status"),
        ({"kind": "delay", "seconds": -1}, "seconds are not from 0"),
        ({"kind": "delay", "seconds": "1"}, "seconds is not a number"),
        ({"kind": "delay", "seconds": float("nan")}, "seconds is not a number"),
        ({"kind": "status", "status": 200}, "status is not one of an error"),
        ({"kind": "status", "status": "503"}, "status is not one of an error"),
        ({"kind": "cut", "share": 0}, "share is not above 0"),
        ({"kind": "cut", "share": 1.1}, "share is not above 0"),
        ({"kind": "cut", "share": True}, "share is not a number"),
        ({"kind": "cut", "next": 0}, "next is not a whole number"),
        ({"kind": "cut", "next": 1.0}, "next is not a whole number"),
        ({"kind": "cut", "path": 1}, "path is not text"),
    ],
)
def test_one_that_is_wrong(fields: dict[str, Any], says: str) -> None:
    faults = Faults()
    with pytest.raises(BadRequest, match=says):
        faults.add(fields)
    assert faults.active == []


def test_a_token_that_is_over() -> None:
    now = 1000.0
    tokens = SessionTokens(lambda: now)
    visit = Visit("alice", "publisher", "one")
    good = tokens.give(visit)
    over = tokens.give_over(visit)
    with pytest.raises(BadRequest, match="is over"):
        tokens.visit(over)
    assert tokens.visit(good) == visit
    assert tokens.give(visit) == good
    now += TOKEN_SECONDS - 1
    assert tokens.visit(good) == visit
