"""The API as Connect mounts it, asked by a visitor and by nobody."""

import pytest

from app import GREETINGS, app

MOUNT = "https://connect.example.com/content/some-guid"
VISITOR = {"RStudio-Connect-Credentials": '{"user": "ada", "groups": ["staff"]}'}
NOBODY = {}


@pytest.fixture(params=[VISITOR, NOBODY], ids=["visitor", "nobody"])
def get(request):
    client = app.test_client()

    def get(path, accept="application/json"):
        return client.get(path, base_url=MOUNT, headers={"Accept": accept, **request.param})

    return get


def test_the_list_is_sorted(get):
    assert get("/").json == [GREETINGS[lang] for lang in sorted(GREETINGS)]


def test_one_greeting(get):
    assert get("/en").json == {"lang": "en", "text": "Hello"}


def test_an_unknown_language(get):
    answer = get("/nix")
    assert answer.status_code == 404
    assert answer.json == {"message": "There is no greeting in 'nix'."}


def test_a_browser_gets_a_page_whose_links_stay_below_the_mount(get):
    page = get("/en", accept="text/html")
    assert page.mimetype == "text/html"
    assert 'href="/content/some-guid/' in page.text
    assert 'href="/en' not in page.text
