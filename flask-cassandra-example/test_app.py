"""Tests that need no Cassandra: what the database is asked, and what comes of its answers.

pip install pytest
pytest
"""

import json
from threading import Barrier, Thread
from zipfile import ZipFile

import pytest
from cassandra import (
    ConsistencyLevel,
    InvalidRequest,
    OperationTimedOut,
    ReadTimeout,
    Unavailable,
)
from cassandra.cluster import NoHostAvailable

from app import app
from storage import db_connect, db_io
from storage.once import once

FOX = {
    "genus": "Vulpes",
    "species": "zerda",
    "image_url": None,
    "size_cm": 35.0,
    "sightings": None,
    "taxonomy": ["Mammalia"],
}


class Result:
    """Rows in pages, as the driver gives them; a page that is an error is raised."""

    def __init__(self, *pages):
        self.current_rows, *self.pages = pages

    @property
    def has_more_pages(self):
        return bool(self.pages)

    def fetch_next_page(self):
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        self.current_rows = page

    def all(self):
        return self.current_rows

    def one(self):
        return self.current_rows[0] if self.current_rows else None


class Statement(str):
    is_idempotent = False


class Session:
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.answer = Result([])
        self.asked = []

    def prepare(self, cql):
        if isinstance(self.answer, Exception):
            raise self.answer
        return Statement(cql)

    def execute(self, statement, values):
        self.asked.append((statement, values))
        return self.answer


@pytest.fixture
def session(monkeypatch):
    session = Session()
    monkeypatch.setattr(db_connect, "get_session", lambda: session)
    return session


@pytest.fixture
def client():
    return app.test_client()


def test_animals_of_a_genus(client, session):
    session.answer = Result([FOX])
    assert client.get("/animal/Vulpes").json == [FOX]
    assert session.asked == [(db_io.RETRIEVE_ANIMALS_BY_GENUS, ("Vulpes",))]


def test_one_animal(client, session):
    session.answer = Result([FOX])
    assert client.get("/animal/Vulpes/zerda").json == FOX
    assert session.asked == [(db_io.RETRIEVE_ANIMAL, ("Vulpes", "zerda"))]


@pytest.mark.usefixtures("session")
def test_no_such_animal(client):
    response = client.get("/animal/Vulpes/nix")
    assert response.status_code == 404
    assert response.json == {"message": "There is no animal 'Vulpes nix'."}


def test_a_new_animal(client, session):
    response = client.post("/animal", json=FOX)
    assert response.status_code == 201
    assert response.json == FOX
    assert response.headers["Location"] == "/animal/Vulpes/zerda"
    assert session.asked == [(db_io.STORE_ANIMAL, tuple(FOX.values()))]
    (statement, _) = session.asked[0]
    assert statement.is_idempotent


@pytest.mark.usefixtures("session")
def test_a_new_animal_is_found_below_the_mount(client):
    mount = "https://connect.example.com/content/some-guid"
    response = client.post("/animal", json=FOX, base_url=mount)
    assert response.headers["Location"] == "/content/some-guid/animal/Vulpes/zerda"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("genus", "", "String should match pattern"),
        ("genus", "a/b", "String should match pattern"),
        ("species", "..", "String should match pattern"),
        ("species", 7, "Input should be a valid string"),
        ("sightings", -1, "Input should be greater than or equal to 0"),
        ("sightings", 2**31, "Input should be less than 2147483648"),
        ("size_cm", float("nan"), "Input should be a finite number"),
        ("image_url", "javascript:alert(1)", "String should match pattern"),
        ("colour", "red", "Extra inputs are not permitted"),
    ],
)
def test_a_field_that_is_wrong(client, session, field, value, says):
    response = client.post("/animal", json=FOX | {field: value})
    assert response.status_code == 422
    (error,) = response.json["errors"]
    assert error["loc"] == [field]
    assert error["msg"].startswith(says)
    assert session.asked == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("{}", "text/plain", 415),
        ("{", "application/json", 400),
        ("", "application/json", 400),
        ("[" * 60_000, "application/json", 400),
        (json.dumps(json.dumps(FOX)), "application/json", 400),
        ("[" + " " * 70_000 + "]", "application/json", 413),
        ("[]", "application/json", 422),
        ("null", "application/json", 422),
    ],
)
def test_a_body_that_is_no_animal(client, session, body, content_type, status):
    response = client.post("/animal", data=body, content_type=content_type)
    assert response.status_code == status
    assert response.json["message"]
    assert session.asked == []


def test_plants_page_by_page(client, session):
    plants = [{"genus": "Rosa", "species": f"sp. {n}", "sightings": n} for n in range(5)]
    session.answer = Result(plants[:2], [], plants[2:])
    response = client.get("/plant/Rosa", buffered=False)
    assert response.mimetype == "application/json"
    pages = list(response.iter_encoded())
    assert len(pages) == 3
    assert json.loads(b"".join(pages)) == plants


@pytest.mark.parametrize("pages", [([],), ([], [])])
def test_no_plants(client, session, pages):
    session.answer = Result(*pages)
    assert client.get("/plant/Rosa").text == "[]"


def test_an_answer_that_breaks_off_does_not_look_complete(client, session):
    session.answer = Result([{"genus": "Rosa"}], OperationTimedOut())
    pages = client.get("/plant/Rosa", buffered=False).iter_encoded()
    text = next(pages)
    with pytest.raises(OperationTimedOut):
        next(pages)
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


@pytest.mark.parametrize(
    "error",
    [
        NoHostAvailable("nobody", {}),
        OperationTimedOut(),
        ReadTimeout("late"),
        Unavailable("too few"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_is_away(client, session, error):
    session.answer = error
    response = client.get("/animal/Vulpes")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "nobody" not in response.json["message"]

    session.answer = Result([FOX])
    assert client.get("/animal/Vulpes").status_code == 200


def test_tables_that_are_not_there(client, session):
    session.answer = InvalidRequest("unconfigured table animal")
    response = client.get("/animal/Vulpes")
    assert response.status_code == 503
    assert "storage.db_initialize" in response.json["message"]


def test_the_console_and_the_specification_need_no_database(client):
    assert "swagger-ui" in client.get("/").text
    assert client.get("/openapi.json").json["openapi"] == "3.1.0"


def in_threads(number, function):
    """What comes of calling it in that many threads at once, or the errors."""
    found = []
    barrier = Barrier(number)

    def call():
        barrier.wait()
        try:
            found.append(function())
        except ValueError as error:
            found.append(error)

    threads = [Thread(target=call) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_threads_ask_for_at_once_is_made_once():
    made = []

    @once
    def make(name):
        made.append(name)
        return object()

    found = in_threads(20, lambda: make("this"))
    assert made == ["this"]
    assert len(set(found)) == 1
    assert make("that") not in found


def test_what_fails_is_tried_again_by_whoever_asks_next():
    answers = [ValueError("away"), "here"]

    @once
    def make():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ValueError, match="away"):
        make()
    assert in_threads(5, make) == ["here"] * 5


@pytest.fixture
def environment(monkeypatch):
    """Sets these variables of the environment and no others of this API's."""

    def become(**variables):
        for name in vars(db_connect).values():
            if isinstance(name, str) and name.startswith(("CASSANDRA_", "ASTRA_")):
                monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return become


POINTS = {"CASSANDRA_CONTACT_POINTS": "127.0.0.1"}
ASTRA = {"ASTRA_DB_SECURE_BUNDLE_PATH": "x.zip", "ASTRA_DB_APPLICATION_TOKEN": "AstraCS:x"}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (POINTS | ASTRA, {"CASSANDRA_CONTACT_POINTS", "ASTRA_DB_SECURE_BUNDLE_PATH"}),
        ({"ASTRA_DB_SECURE_BUNDLE_PATH": "x.zip"}, set(ASTRA)),
        ({"ASTRA_DB_APPLICATION_TOKEN": "AstraCS:x"}, set(ASTRA)),
        (ASTRA | {"ASTRA_DB_SECURE_BUNDLE_PATH": "no.zip"}, {"ASTRA_DB_SECURE_BUNDLE_PATH"}),
        (ASTRA | {"ASTRA_DB_SECURE_BUNDLE_PATH": __file__}, {"ASTRA_DB_SECURE_BUNDLE_PATH"}),
        ({"CASSANDRA_PORT": "9042"}, {"CASSANDRA_PORT", "CASSANDRA_CONTACT_POINTS"}),
        (
            POINTS | {"CASSANDRA_USERNAME": "me"},
            {"CASSANDRA_USERNAME", "CASSANDRA_PASSWORD"},
        ),
        (POINTS | {"CASSANDRA_PORT": "many"}, {"CASSANDRA_PORT"}),
        (POINTS | {"CASSANDRA_PORT": "65536"}, {"CASSANDRA_PORT"}),
        (POINTS | {"CASSANDRA_KEYSPACE": "a; DROP"}, {"CASSANDRA_KEYSPACE"}),
    ],
)
def test_settings_that_cannot_be_meant(environment, variables, named):
    environment(**variables)
    problem = db_connect.problem()
    assert named <= set(problem.replace(",", " ").replace(";", " ").replace(":", " ").split())
    assert "AstraCS" not in problem


@pytest.mark.parametrize("variables", [{}, POINTS, POINTS | {"CASSANDRA_PORT": ""}])
def test_settings_that_will_do(environment, variables):
    environment(**variables)
    assert db_connect.problem() is None


def asked_of_the_driver(monkeypatch):
    """With what the driver's cluster is made."""
    asked = {}
    monkeypatch.setattr(
        db_connect, "Cluster", lambda *points, **options: asked.update(options, points=points)
    )
    db_connect.make_cluster()
    return asked


def test_what_is_asked_of_the_driver_for_cassandra(environment, monkeypatch):
    environment(
        CASSANDRA_CONTACT_POINTS="10.0.0.1, 10.0.0.2",
        CASSANDRA_DATACENTER="here",
        CASSANDRA_USERNAME="me",
        CASSANDRA_PASSWORD="secret",
    )
    asked = asked_of_the_driver(monkeypatch)
    assert asked["points"] == (["10.0.0.1", "10.0.0.2"],)
    assert asked["port"] == 9042
    assert (asked["auth_provider"].username, asked["auth_provider"].password) == ("me", "secret")
    (profile,) = asked["execution_profiles"].values()
    assert profile.request_timeout == db_connect.TIMEOUT
    assert profile.consistency_level == ConsistencyLevel.LOCAL_QUORUM


def test_what_is_asked_of_the_driver_for_astra(environment, monkeypatch, tmp_path):
    bundle = tmp_path / "secure-connect.zip"
    ZipFile(bundle, "w").close()
    environment(ASTRA_DB_SECURE_BUNDLE_PATH=str(bundle), ASTRA_DB_APPLICATION_TOKEN="AstraCS:x")
    assert db_connect.problem() is None
    asked = asked_of_the_driver(monkeypatch)
    assert asked["points"] == ()
    assert asked["cloud"] == {"secure_connect_bundle": str(bundle), "use_default_tempdir": True}
    login = asked["auth_provider"]
    assert (login.username, login.password) == ("token", "AstraCS:x")


class Cluster:
    """Stands for the driver's: its session is in a keyspace, unless that is not there."""

    def __init__(self, *_, **__):
        self.made.append(self)
        self.closed = False
        self.cluster = self

    def connect(self):
        return self

    def set_keyspace(self, name):
        if name == "missing":
            raise InvalidRequest("Keyspace 'missing' does not exist")
        self.keyspace = name

    def shutdown(self):
        self.closed = True


def test_the_session_is_closed_when_the_process_ends(environment, monkeypatch):
    at_exit = []
    monkeypatch.setattr(db_connect, "Cluster", Cluster)
    monkeypatch.setattr(db_connect.atexit, "register", at_exit.append)
    monkeypatch.setattr(Cluster, "made", [], raising=False)
    # as it is for a process that has none yet
    get_session = once(db_connect.get_session.__wrapped__)

    environment(**POINTS, CASSANDRA_KEYSPACE="missing")
    with pytest.raises(InvalidRequest):
        get_session()
    (failed,) = Cluster.made
    assert failed.closed
    assert at_exit == []

    environment(**POINTS)
    sessions = in_threads(10, get_session)
    assert len(Cluster.made) == 2
    assert set(sessions) == {Cluster.made[1]}
    assert sessions[0].keyspace == "wildlife"
    assert not sessions[0].closed
    (end,) = at_exit
    end()
    assert sessions[0].closed


def test_without_a_database_it_says_which_variables_to_set(client, environment):
    environment()
    response = client.get("/animal/Vulpes")
    assert response.status_code == 503
    assert "CASSANDRA_CONTACT_POINTS" in response.json["message"]
