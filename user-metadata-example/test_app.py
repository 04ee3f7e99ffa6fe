"""The API as Connect mounts it, asked by a visitor and by nobody."""

import json

import pytest

from app import app

MOUNT = "https://connect.example.com/content/some-guid"
NOBODY = {}


def visitor(user, groups):
    """The header that Connect sends; WSGI reads its UTF-8 as Latin-1."""
    said = json.dumps({"user": user, "groups": groups}, ensure_ascii=False)
    return {"RStudio-Connect-Credentials": said.encode("utf-8").decode("latin-1")}


@pytest.fixture
def get():
    client = app.test_client()
    return lambda path, headers: client.get(path, base_url=MOUNT, headers=headers)


@pytest.mark.parametrize("user", ["ada", "José"])
def test_a_visitor_is_greeted_by_name(get, user):
    answer = get("/hello", visitor(user, ["staff"]))
    assert answer.json == {"message": f"So nice to see you, {user}."}
    assert get("/groups", visitor(user, ["staff"])).json == {"groups": ["staff"]}


def test_nobody_is_a_stranger(get):
    assert get("/hello", NOBODY).json == {"message": "Howdy, stranger."}
    assert get("/groups", NOBODY).json == {"groups": []}


def test_a_header_that_is_not_json(get):
    answer = get("/hello", {"RStudio-Connect-Credentials": "{"})
    assert answer.status_code == 400
    assert answer.json == {"message": "RStudio-Connect-Credentials is not JSON in UTF-8."}


def test_the_root_leads_to_the_greeting_below_the_mount(get):
    assert get("/", NOBODY).headers["Location"] == "/content/some-guid/hello"
