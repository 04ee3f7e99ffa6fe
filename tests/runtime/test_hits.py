"""The record of hits: what is kept of a request, in which order it is found, and for how long."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from local_connect.records.store import Content, Store
from local_connect.runtime import hits as module
from local_connect.runtime.hits import Hits

pytestmark = pytest.mark.quick

BROWSER = {"User-Agent": "Firefox", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}


def paths(hits: Hits, **conditions: object) -> list[str]:
    return [hit.path for hit in hits.find(**conditions)]  # type: ignore[arg-type]


def test_what_is_kept_of_a_request(store: Store, guids: tuple[str, str]) -> None:
    hits = Hits(store)
    hits.add(guids[0], 7, "somebody", "/a?b=c?d", BROWSER)
    hits.add(guids[0], 7, None, "/" + "x" * 1000, {"User-Agent": "not UTF-8: \udcff"})
    first, second = hits.find()
    assert (first.bundle_id, first.user_guid, first.path, first.query) == (
        *(7, "somebody"),
        *("/a", "b=c?d"),
    )
    assert (first.user_agent, first.sec_fetch_dest, first.sec_fetch_site) == (
        *("Firefox", "document"),
        "none",
    )
    assert (len(second.path), second.query, second.user_guid) == (500, None, None)
    assert second.user_agent == "not UTF-8: ?"


def test_hits_outlive_the_server(tmp_path: Path, store: Store, guids: tuple[str, str]) -> None:
    hits = Hits(store)
    hits.add(guids[0], 1, None, "/", {})
    hits.write()
    with closing(sqlite3.connect(tmp_path / "data" / "local-connect.db")) as database:
        assert database.execute("SELECT content_guid FROM hits").fetchall() == [(guids[0],)]
    # what it has counted since it started is another's
    assert Hits(store).total(guids[0]) == 1
    assert Hits(store).counts == {}


def test_hits_are_written_as_time_goes_by_and_at_the_end(
    tmp_path: Path, store: Store, guids: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.001)

    def written() -> int:
        with closing(sqlite3.connect(tmp_path / "data" / "local-connect.db")) as database:
            return int(database.execute("SELECT count(*) FROM hits").fetchone()[0])

    async def counting() -> None:
        hits = Hits(store)
        hits.run()
        hits.add(guids[0], 1, None, "/", {})
        async with asyncio.timeout(10):
            while not written():
                await asyncio.sleep(0.001)
        hits.add(guids[0], 1, None, "/last", {})
        await hits.stop()

    asyncio.run(counting())
    assert written() == 2


def test_the_oldest_of_each_content_go(
    store: Store, guids: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    hits = Hits(store)
    hits.add(guids[1], 1, None, "/other", {})
    for number in range(5):
        hits.add(guids[0], 1, None, f"/{number}", {})
        if number % 2:
            hits.write()
    assert paths(hits) == ["/other", "/2", "/3", "/4"]
    assert (hits.total(guids[0]), hits.total(guids[1])) == (3, 1)
    assert hits.counts[guids[0]] == 5


def test_what_is_asked_for(store: Store, guids: tuple[str, str]) -> None:
    hits = Hits(store)
    for number, at in enumerate((0, 60, 60, 3600)):
        hits.add(guids[number % 2], 1, None, f"/{number}", {"User-Agent": f"agent {number}"})
        hits._waiting[-1]["timestamp"] = at
    assert paths(hits, contents=[guids[0]]) == ["/0", "/2"]
    assert paths(hits, contents=[]) == []
    # both ends are included
    start, end = "1970-01-01T00:01:00Z", "1970-01-01T01:00:00Z"
    assert paths(hits, start=start, end=end) == ["/1", "/2", "/3"]
    assert paths(hits, end=start) == ["/0", "/1", "/2"]
    assert paths(hits, user_agent="agent 3") == ["/3"]


def test_pages_in_both_orders(store: Store, guids: tuple[str, str]) -> None:
    hits = Hits(store)
    for number in range(5):
        hits.add(guids[0], 1, None, f"/{number}", {})
    ids = [hit.id for hit in hits.find()]
    assert paths(hits, limit=2) == ["/0", "/1"]
    assert paths(hits, limit=2, after=ids[1]) == ["/2", "/3"]
    assert paths(hits, limit=2, before=ids[4]) == ["/2", "/3"]
    assert paths(hits, limit=2, newest_first=True) == ["/4", "/3"]
    assert paths(hits, limit=2, after=ids[3], newest_first=True) == ["/2", "/1"]
    assert paths(hits, limit=2, before=ids[0], newest_first=True) == ["/2", "/1"]


def test_hits_of_deleted_content_are_nobodys(store: Store, guids: tuple[str, str]) -> None:
    hits = Hits(store)
    hits.add(guids[0], 1, None, "/on record", {})
    hits.write()
    for guid in guids:
        hits.add(guid, 1, None, "/about to be", {})
    with store.session() as session:
        session.delete(session.query(Content).filter_by(guid=guids[0]).one())
    assert [hit.content_guid for hit in hits.find()] == [guids[1]]


def test_a_database_that_takes_no_hits_is_said_and_stops_nothing(
    store: Store, guids: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    hits = Hits(store)
    with store.session() as session:
        session.execute(text("ALTER TABLE hits RENAME TO away"))
    hits.add(guids[0], 1, None, "/lost", {})
    hits.write()
    assert capsys.readouterr().err == "1 hits could not be recorded: no such table: hits\n"
    with store.session() as session:
        session.execute(text("ALTER TABLE away RENAME TO hits"))
    hits.add(guids[0], 1, None, "/kept", {})
    assert paths(hits) == ["/kept"]
