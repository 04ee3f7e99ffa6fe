"""A refresh on request: what it changes, and what it never does."""

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.beside import Services
from tests.examples.celery.conftest import Stack, comes
from tests.examples.celery.source import Source
from tests.targets import ALICE, CREDENTIALS
from tests.targets.process import Process

pytestmark = pytest.mark.services("valkey")

GOOD = {"en": "Good day", "de": "Guten Tag"}


@pytest.fixture(autouse=True)
def good(source: Source, stack: Stack) -> None:
    """Each test finds the good greetings in Redis, and a source that has them."""
    source.reset()
    source.has(GOOD, f"good-{uuid.uuid4()}")
    assert stack.post("refresh?now=1").status_code == 200


def test_changed_and_unchanged(stack: Stack, source: Source) -> None:
    texts = {"en": "Hello", "sw": "هَبَارِ"}
    before = source.etag
    source.has(texts, "2")
    done = stack.refreshed()
    assert done["state"] == "done"
    assert done["result"] == {"result": "changed", "old": before, "new": '"2"'}
    assert stack.texts() == texts
    assert stack.refreshed()["result"] == {"result": "unchanged", "old": '"2"', "new": '"2"'}
    assert source.not_modified == 1
    assert stack.texts() == texts


def test_a_source_without_versions_is_told_by_what_it_sends(stack: Stack, source: Source) -> None:
    source.has({"en": "Hi"}, "")
    assert stack.refreshed()["result"]["result"] == "changed"
    assert stack.refreshed()["result"]["result"] == "unchanged"
    source.has({"en": "Hey"}, "")
    assert stack.refreshed()["result"]["result"] == "changed"
    assert stack.texts() == {"en": "Hey"}


def test_a_greeting_that_the_source_dropped_is_gone(stack: Stack, source: Source) -> None:
    source.has({"de": "Servus"}, "3")
    stack.refreshed()
    assert stack.texts() == {"de": "Servus"}
    assert stack.api.get("greetings/en").status_code == 404


def test_a_request_during_a_refresh_is_told_of_the_same_task(stack: Stack, source: Source) -> None:
    source.pause = 0.7
    source.is_asked.clear()
    task = stack.request()
    assert source.is_asked.wait(20)
    assert stack.task(task)["state"] == "running"
    assert {stack.request() for _ in range(5)} == {task}
    assert stack.ended(task)["state"] == "done"
    source.pause = 0
    # waited for, as the next test would be told of it otherwise
    assert stack.refreshed()["id"] != task.removeprefix("tasks/")


def test_a_task_tells_of_its_progress(stack: Stack, source: Source) -> None:
    """Every state that the task goes through, as Valkey's clients are told of them."""
    source.has({f"x-{number}": "Hello" for number in range(1200)}, "many")
    with stack.redis.pubsub() as told:
        told.psubscribe("celery-task-meta-*")
        told.get_message(timeout=5)
        task = stack.request().removeprefix("tasks/")
        found: list[tuple[str, Any]] = []
        while "SUCCESS" not in [state for state, _ in found]:
            message = told.get_message(timeout=20)
            assert message is not None
            about = json.loads(message["data"])
            assert about["task_id"] == task
            found.append((about["status"], about["result"]))
    progress = [result for state, result in found if state == "PROGRESS"]
    assert progress == [{"done": done, "of": 1200} for done in (500, 1000, 1200)]
    assert found[0] == ("QUEUED", None)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"pause": 30}, "silent for 3 s"),
        ({"gone": True}, "cannot be read"),
        ({"status": 500}, "answers 500"),
        ({"status": 404}, "answers 404"),
        ({"part": 0.5}, "cannot be read"),
        ({"body": b'{"en": "Bad'}, "not JSON"),
        ({"body": '{"es": "Adiós"}'.encode("latin-1")}, "not JSON in UTF-8"),
        ({"body": b'{"en": "\\ud800"}'}, "not JSON in UTF-8"),
        ({"body": b"[" * 100_000}, "not JSON"),
        ({"body": b'["en"]'}, "not a JSON object of texts"),
        ({"body": b'{"en": {"text": "Bad"}}'}, "not a JSON object of texts"),
        ({"body": b"{}"}, "no greetings"),
        ({"body": b" " * 10_000_001}, "more than 10000000 bytes"),
    ],
    ids=[
        *("slow", "gone", "broken", "moved", "half", "cut off", "Latin-1", "half a character"),
        *("deep", "list", "nested", "empty", "huge"),
    ],
)
def test_a_bad_source_replaces_nothing(
    stack: Stack, source: Source, fault: dict[str, object], words: str
) -> None:
    source.etag = '"bad"'
    vars(source).update(fault)
    answer = stack.post("refresh?now=1")
    assert answer.status_code == 502
    assert words in answer.json()["message"]
    assert stack.texts() == GOOD


def test_a_failing_source_is_tried_again_and_then_reported(stack: Stack, source: Source) -> None:
    source.status = 500
    before = source.asked
    task = stack.request()
    waiting = comes(lambda: (it := stack.task(task))["state"] == "waiting" and it)
    assert waiting["message"] == "The source answers 500."
    assert stack.request() == task
    failed = stack.ended(task)
    assert failed["state"] == "failed"
    assert failed["message"] == "The source answers 500. Given up after 5 tries."
    assert source.asked - before == 5
    assert stack.texts() == GOOD

    source.status = 200
    source.has({"en": "Back"}, "back")
    assert stack.refreshed()["state"] == "done"
    assert stack.texts() == {"en": "Back"}


def test_a_source_that_comes_back_meanwhile(stack: Stack, source: Source) -> None:
    source.gone = True
    task = stack.request()
    comes(lambda: stack.task(task)["state"] == "waiting")
    source.has({"en": "Here again"}, "again")
    source.gone = False
    assert stack.ended(task)["state"] == "done"
    assert stack.texts() == {"en": "Here again"}


def test_no_reader_sees_a_mixture_of_two_versions(stack: Stack, source: Source) -> None:
    """50 readers during 200 swaps or more: whoever reads, reads one version whole."""
    # they are written in two batches
    languages = [f"x-{number}" for number in range(501)]
    ended = threading.Event()
    mixtures: list[object] = []
    seen: set[str] = set()
    answers = 0
    lock = threading.Lock()

    def read(pause: float) -> None:
        nonlocal answers
        # not all at once, or the swaps would wait for them
        while not ended.wait(pause):
            pause = 3
            answer = stack.api.get("greetings/")
            found = {item["text"] for item in answer.json()} if answer.is_success else set()
            with lock:
                answers += 1
                if len(found) != 1 or len(answer.json()) != len(languages):
                    mixtures.append(found or answer.text)
                else:
                    seen.update(found)

    source.has(dict.fromkeys(languages, "first"), "first")
    assert stack.post("refresh?now=1").is_success
    readers = [threading.Thread(target=read, args=(3 * number / 50,)) for number in range(50)]
    for reader in readers:
        reader.start()
    try:
        swaps = 0
        # and on until enough was read, however quick the swaps are
        while swaps < 200 or answers <= 100 or len(seen) <= 20:
            swaps += 1
            source.has(dict.fromkeys(languages, f"text {swaps}"), f"swap-{swaps}")
            answer = stack.post("refresh?now=1")
            assert answer.json()["result"]["result"] == "changed", answer.text
            assert mixtures == []
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert mixtures == []


def test_two_at_once_and_the_newer_one_stays(stack: Stack, source: Source) -> None:
    """One fetched the old greetings, and is slow; another replaces them meanwhile."""
    source.has({"en": "old"}, "old")
    source.pause = 0.6
    source.is_asked.clear()
    slow = threading.Thread(target=stack.post, args=("refresh?now=1",))
    slow.start()
    assert source.is_asked.wait(20)
    source.pause = 0
    source.has({"en": "new"}, "new")
    assert stack.post("refresh?now=1").json()["result"]["new"] == '"new"'
    slow.join()
    assert stack.texts() == {"en": "new"}


def test_only_who_is_signed_in(stack: Stack, source: Source) -> None:
    before = source.asked
    for value in (None, b"", b"{}", b"null", b'{"user": null}', b'{"user": ""}', b"[" * 20_000):
        headers = [] if value is None else [(CREDENTIALS, value)]
        for path in ("refresh", "refresh?now=1"):
            answer = stack.api.request("POST", path, user=None, headers=headers)
            assert answer.status_code == 401, value
            assert list(answer.json()) == ["message"]
    assert source.asked == before
    assert not stack.redis.exists("greetings:running")
    assert stack.api.request("POST", "refresh?now=maybe", user=ALICE).status_code == 422


def test_an_id_that_was_never_given_is_not_there(stack: Stack) -> None:
    never = str(uuid.uuid4())
    answer = stack.api.get(f"tasks/{never}")
    assert answer.status_code == 404
    assert never in answer.json()["message"]


HOSTILE = [
    *("*", "greetings", "greetings:about", "%0D%0AFLUSHALL%0D%0A", "%00", "a%20b", "$1%0D%0Ax"),
    *("..%2F..%2Fetc", "celery-task-meta-x", "{x}", "%F0%9F%91%8B", "%FF%FE", "x" * 3000),
]


@pytest.fixture
def alone(newest: Process, services: Services, source: Source, tmp_path: Path) -> Iterator[Stack]:
    """An API whose database nobody else asks."""
    stack = Stack(newest, source, tmp_path, services.variables("valkey")["REDIS_URL"])
    yield stack
    stack.close()


def test_names_and_ids_from_outside_reach_no_key_and_no_command(alone: Stack) -> None:
    alone.texts()
    redis = alone.redis
    database = redis.connection_pool.connection_kwargs["db"]
    before = set(redis.scan_iter())
    commands = []
    with redis.monitor() as monitor:
        for name in HOSTILE:
            for path in (f"greetings/{name}", f"tasks/{name}"):
                assert alone.api.get(path).status_code == 404, path
        redis.echo("that was all")
        while (told := monitor.next_command())["command"] != "ECHO that was all":
            if told["db"] == database:
                commands.append(told["command"].split(" ")[:2])
    # what a connection says of itself when it is new
    greeting = ("CLIENT", "SELECT")
    assert {(name, key) for name, key, *_ in commands if name not in greeting} == {
        ("EXISTS", "greetings"),
        ("HGET", "greetings"),
    }
    assert set(redis.scan_iter()) == before
