"""Animals: written and read, on each target; and what nobody should send."""

import json
import uuid
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.targets import Content

#: for an address, and for fields that take any text
HOSTILE = [
    "'; DROP TABLE animal; --",
    "' OR '1'='1",
    "?",
    ":genus",
    "%s%n{0}",
    "$$",
    "\x00",
    "a\nb",
    "\u202efox",
    "🦊" * 20,
    "\u00e9",
    "e\u0301",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "x" * 80,
]

WHOLE = {
    "image_url": "https://example.org/fox.jpg",
    "size_cm": 0.1,
    "sightings": 2**31 - 1,
    "taxonomy": ["Mammalia", "", "日本"],
}
NOTHING: dict[str, Any] = {"image_url": None, "size_cm": None, "sightings": None, "taxonomy": None}


def genus() -> str:
    """One that no other test has."""
    return f"Genus {uuid.uuid4().hex}"


def post(live: Content, body: Any) -> httpx.Response:
    headers = [*live.identify(live.viewer), (b"Content-Type", b"application/json")]
    return live.client.post(live.url + "animal", headers=headers, content=json.dumps(body))


def path_of(*names: str) -> str:
    return "/".join(("animal", *(quote(name, safe="") for name in names)))


def test_an_animal_is_written_found_and_replaced(live: Content) -> None:
    name = genus()
    whole = {"genus": name, "species": "b", **WHOLE}
    made = post(live, whole)
    assert made.status_code == 201
    assert made.json() == whole
    where = made.request.url.join(made.headers["Location"])
    assert str(where) == live.url + path_of(name, "b")
    assert live.get(path_of(name, "b")).json() == whole

    first = {"genus": name, "species": "a", **NOTHING, "taxonomy": []}
    assert post(live, first).status_code == 201
    assert live.get(path_of(name)).json() == [first, whole]

    nothing = {"genus": name, "species": "b"}
    assert post(live, nothing).status_code == 201
    assert live.get(path_of(name, "b")).json() == {**nothing, **NOTHING}


def test_what_is_not_there(live: Content) -> None:
    assert live.get(path_of("Nothing")).json() == []
    assert live.get("plant/Nothing").json() == []
    missing = live.get(path_of("Vulpes", "nothing"))
    assert missing.status_code == 404
    assert missing.json() == {"message": "There is no animal 'Vulpes nothing'."}


def test_sample_rows_are_in_the_order_of_their_species(live: Content) -> None:
    # the specification's own example is a fox, so Schemathesis adds foxes on the same node
    cats = live.get(path_of("Panthera")).json()
    assert [cat["species"] for cat in cats] == ["leo", "pardus", "tigris"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_text_is_only_ever_a_value(live: Content, text: str) -> None:
    """In an address it is looked for, in a field it is kept or refused by name; nothing breaks."""
    found = live.get(path_of(text))
    # no server hands on a slash of a name as one, so there is no such address
    assert found.status_code == (404 if "/" in text else 200)
    missing = live.get(path_of(text, f"{text}!"[:80]))
    assert missing.status_code == 404
    assert list(missing.json()) == ["message"]

    for field in ("genus", "species"):
        made = post(live, {"genus": genus(), "species": "a", field: text})
        if made.status_code == 422:
            assert [error["loc"] for error in made.json()["errors"]] == [[field]]
        else:
            assert made.json()[field] == text
            assert live.get(path_of(made.json()["genus"], made.json()["species"])).json()
    animal = {"genus": genus(), "species": "hostile", **NOTHING, "taxonomy": [text]}
    assert post(live, animal).status_code == 201
    assert live.get(path_of(animal["genus"], "hostile")).json() == animal
    assert live.get(path_of("Vulpes")).json()


@pytest.mark.parametrize("length", [81, 4000])
def test_an_address_that_no_row_can_have(live: Content, length: int) -> None:
    for path in (path_of("x" * length), path_of("x", "y" * length), f"plant/{'x' * length}"):
        refused = live.get(path)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["msg"] == "String should have at most 80 characters"
