"""The API as Connect mounts it, asked by a visitor and by nobody."""

import pytest

from app import GREETINGS, app

MOUNT = "https://connect.example.com/content/some-guid"
VISITOR = {"RStudio-Connect-Credentials": '{"user": "ada", "groups": ["staff"]}'}
NOBODY = {}


@pytest.fixture(params=[VISITOR, NOBODY], ids=["visitor", "nobody"])
def get(request):
    client = app.test_client()

    def get(path, base_url=MOUNT):
        return client.get(path, base_url=base_url, headers=request.param)

    return get


def test_the_list_is_sorted(get):
    assert get("/greetings/").json == [GREETINGS[lang] for lang in sorted(GREETINGS)]


def test_one_greeting(get):
    assert get("/greetings/en").json == {"lang": "en", "text": "Hello"}


def test_an_unknown_language(get):
    answer = get("/greetings/nix")
    assert answer.status_code == 404
    assert answer.json == {"message": "There is no greeting in 'nix'."}


def test_the_console_finds_the_api_at_each_of_its_addresses(get):
    assert "/content/some-guid/swagger.json" in get("/").text
    assert get("/swagger.json").json["basePath"] == "/content/some-guid"
    vanity = get("/swagger.json", base_url="https://connect.example.com/greetings-api")
    assert vanity.json["basePath"] == "/greetings-api"
