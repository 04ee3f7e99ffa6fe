"""The list, the items, and how they refuse."""

from urllib.parse import quote

import pytest

from tests.catalogue import GREETINGS
from tests.targets import Content

UNKNOWN_LANGUAGES = [
    "xx",
    "EN",
    "en-GB",
    "e",
    "en ",
    "👋🏽",
    "日本語",
    "<script>alert(1)</script>".replace("/", ""),
    "it's",
    'say "hello"',
    "back\\slash",
    "tab\there",
    "%65n",
    "{lang}",
    "x" * 4000,
]


def list_path(content: Content) -> str:
    assert content.example.list is not None
    return content.example.list


def item_path(content: Content, lang: str) -> str:
    assert content.example.item is not None
    return content.example.item.format(lang=quote(lang, safe=""))


@pytest.mark.needs("list")
def test_list_is_sorted_by_locale(content: Content) -> None:
    response = content.get(list_path(content))
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json() == [
        {"lang": lang, "text": GREETINGS[lang]} for lang in sorted(GREETINGS)
    ]


@pytest.mark.needs("item")
@pytest.mark.one_viewer
def test_item(content: Content) -> None:
    for lang, text in GREETINGS.items():
        response = content.get(item_path(content, lang))
        assert response.status_code == 200, lang
        assert response.headers["Content-Type"].startswith("application/json"), lang
        assert response.json() == {"lang": lang, "text": text}


@pytest.mark.needs("item")
@pytest.mark.one_viewer
def test_unknown_language_is_named(content: Content) -> None:
    for lang in UNKNOWN_LANGUAGES:
        response = content.get(item_path(content, lang))
        assert response.status_code == 404, lang
        assert response.headers["Content-Type"].startswith("application/json"), lang
        assert list(response.json()) == ["message"], lang
        assert lang in response.json()["message"]


@pytest.mark.needs("item")
def test_refusal_mentions_no_path(content: Content) -> None:
    # a path that leaves out the mount would be wrong, and one that has it is of no help
    assert "/" not in content.get(item_path(content, "xx")).json()["message"]
