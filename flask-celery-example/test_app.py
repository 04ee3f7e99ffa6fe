"""The API and its task, with a broker in memory and fakeredis in the place of Redis."""

import json

import fakeredis
import pytest

import app as greetings
import source
import store
import tasks

ALICE = {"RStudio-Connect-Credentials": json.dumps({"user": "alice", "groups": None})}


@pytest.fixture(scope="session", autouse=True)
def celery():
    """Tasks and their results stay in this process."""
    tasks.celery.conf.update(
        broker_url="memory://",
        broker_transport_options={},
        result_backend="cache+memory://",
        task_store_eager_result=True,
    )
    return tasks.celery


@pytest.fixture(autouse=True)
def redis(monkeypatch):
    redis = fakeredis.FakeRedis(decode_responses=True)
    monkeypatch.setattr(store, "client", redis)
    return redis


@pytest.fixture
def client():
    return greetings.app.test_client()


@pytest.fixture
def file(monkeypatch, tmp_path):
    """A source of the test's own."""
    file = tmp_path / "greetings.json"
    file.write_text('{"en": "Hi", "de": "Hallo"}', encoding="utf-8")
    monkeypatch.setattr(source, "FILE", file)
    return file


def work(task_id):
    """What a worker would do with the task."""
    return tasks.refresh.apply(task_id=task_id)


@pytest.mark.usefixtures("file")
def test_list_is_sorted_and_comes_from_redis(client, redis):
    assert client.get("/greetings/").json == [
        {"lang": "de", "text": "Hallo"},
        {"lang": "en", "text": "Hi"},
    ]
    redis.hset(store.GREETINGS, "en", "Hello from Redis")
    assert client.get("/greetings/en").json == {"lang": "en", "text": "Hello from Redis"}


def test_unknown_language(client):
    answer = client.get("/greetings/xx")
    assert answer.status_code == 404
    assert answer.json == {"message": "There is no greeting in 'xx'."}


def test_refresh_in_the_background(client, file):
    client.get("/greetings/")
    file.write_text('{"en": "Howdy"}', encoding="utf-8")
    asked = client.post("/refresh", headers=ALICE)
    assert asked.status_code == 202
    assert client.post("/refresh", headers=ALICE).json == asked.json
    address = f"/{asked.headers['Location']}"
    assert client.get(address).json == {"id": asked.json["id"], "state": "queued"}
    assert client.get("/greetings/en").json["text"] == "Hi"

    work(asked.json["id"])
    done = client.get(address).json
    assert done["state"] == "done"
    assert done["result"]["result"] == "changed"
    assert client.get("/greetings/").json == [{"lang": "en", "text": "Howdy"}]
    assert client.post("/refresh", headers=ALICE).json["id"] != asked.json["id"]


@pytest.mark.usefixtures("file")
def test_refresh_now(client):
    first = client.post("/refresh?now=1", headers=ALICE)
    assert first.status_code == 200
    assert first.json["result"]["result"] == "changed"
    assert first.json["result"]["old"] is None
    again = client.post("/refresh?now=1", headers=ALICE).json["result"]
    assert again == {
        "result": "unchanged",
        "old": first.json["result"]["new"],
        "new": first.json["result"]["new"],
    }


@pytest.mark.parametrize("damage", ["", "[", "[]", "{}", '{"en": 1}', '{"en": "\\ud800"}'])
def test_a_broken_source_replaces_nothing(client, file, damage):
    before = client.get("/greetings/").json
    file.write_text(damage, encoding="utf-8")
    answer = client.post("/refresh?now=1", headers=ALICE)
    assert answer.status_code == 502
    assert "greetings.json" in answer.json["message"]
    assert client.get("/greetings/").json == before


@pytest.mark.parametrize("headers", [{}, {"RStudio-Connect-Credentials": '{"user": null}'}])
def test_only_who_is_signed_in(client, headers):
    assert client.post("/refresh", headers=headers).status_code == 401
    assert client.post("/refresh?now=1", headers=headers).status_code == 401


def test_a_task_that_was_never_asked_for(client):
    assert client.get("/tasks/4a4a1d5e-6a39-4bd3-a31f-f24adb6a5a25").status_code == 404
    assert client.get("/tasks/greetings").status_code == 404


def test_the_console_finds_the_api_wherever_it_is_mounted(client):
    mount = {"base_url": "https://connect.example.com/content/some-guid"}
    assert "/content/some-guid/openapi.json" in client.get("/", **mount).text
    assert client.get("/openapi.json", **mount).json["servers"] == [{"url": "."}]


def test_redis_is_away(client, monkeypatch):
    server = fakeredis.FakeServer()
    server.connected = False
    monkeypatch.setattr(store, "client", fakeredis.FakeRedis(server=server))
    for answer in (client.get("/greetings/"), client.post("/refresh", headers=ALICE)):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert list(answer.json) == ["message"]
    assert client.get("/").status_code == 200


def test_the_schedule_runs_the_task(celery):
    (entry,) = celery.conf.beat_schedule.values()
    assert entry["task"] == tasks.refresh.name
    assert entry["task"] in celery.tasks
