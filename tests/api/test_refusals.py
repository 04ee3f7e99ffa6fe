"""What the API refuses in bodies that are JSON and in forms, and in which words."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.test_api import error
from tests.bundles import app, packed
from tests.deployed import Content
from tests.publishing import create
from tests.servers import LocalConnect


@pytest.fixture(scope="module")
def fresh(server: LocalConnect) -> Iterator[Content]:
    """Content of alice's to which nothing has been deployed. No test changes what it is."""
    content = create(server)
    yield content
    server.request("DELETE", content.api)


CONTENT = "content/{content}"
VARIABLES = f"{CONTENT}/environment"
ASSOCIATIONS = f"{CONTENT}/oauth/integrations/associations"
CACHES = "system/caches/runtime"

#: method, path, body, status, words
REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("GET", f"{CONTENT}?include=tags,all", None, 400, "include is not of owner, tags, vanity_url"),
    ("PATCH", CONTENT, {"title": "x" * 1025}, 400, "title is not text of at most 1,024"),
    ("PATCH", CONTENT, {"title": 7}, 400, "title is not text of at most 1,024"),
    ("PATCH", CONTENT, {"title": "\ud800"}, 400, "half of a surrogate pair"),
    ("PATCH", CONTENT, {"description": "x" * 4097}, 400, "description is not text of at most"),
    ("PATCH", CONTENT, {"description": None}, 400, "description is not text of at most"),
    ("PATCH", CONTENT, {"locked_message": "x" * 4097}, 400, "locked_message is not text of"),
    ("PATCH", CONTENT, {"locked_message": 7}, 400, "locked_message is not text of at most"),
    ("PATCH", CONTENT, {"owner_guid": 7}, 400, "owner_guid is not of a user who can come in"),
    ("PATCH", CONTENT, {"owner_guid": None}, 400, "owner_guid is not of a user who can come in"),
    ("PATCH", CONTENT, {"load_factor": 1.5}, 400, "load_factor is not a number from 0 to 1"),
    ("PATCH", CONTENT, {"load_factor": True}, 400, "load_factor is not a number from 0 to 1"),
    ("POST", "content", {"owner_guid": 7}, 400, "New content is of whoever makes it"),
    ("PATCH", VARIABLES, [{"value": "x"}], 400, "An environment variable has no name"),
    ("PATCH", VARIABLES, ["A"], 400, "An environment variable has no name"),
    ("PATCH", VARIABLES, [{"name": "A", "value": 1}], 400, "The value of A is not text"),
    ("PUT", VARIABLES, [{"name": "A", "value": "\0"}], 400, "The value of A is not text"),
    ("POST", f"{CONTENT}/build", {}, 400, "This content has no bundle yet"),
    ("POST", f"{CONTENT}/deploy", {}, 400, "This content has no bundle yet"),
    ("POST", f"{CONTENT}/deploy", {"activate": "no"}, 400, "activate is neither true nor false"),
    ("GET", f"{CONTENT}/lockfile", None, 404, "Nothing has been deployed to this content yet"),
    ("PUT", ASSOCIATIONS, [{}], 400, "An association has no oauth_integration_guid"),
    ("PUT", ASSOCIATIONS, ["x"], 400, "An association has no oauth_integration_guid"),
    ("POST", f"{CONTENT}/tags", {"tag_id": 99999}, 404, "There is no tag 99999"),
    ("POST", "tags", {"name": "x", "parent_id": 99999}, 404, "There is no tag 99999"),
    ("DELETE", CACHES, {"dry_run": "yes"}, 400, "dry_run is neither true nor false"),
    ("POST", "users/{bob}/lock", {"locked": "yes"}, 400, "locked is neither true nor false"),
    ("POST", "users/{bob}/lock", {}, 400, "locked is neither true nor false"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), REFUSED)
def test_what_is_refused(
    fresh: Content, method: str, path: str, body: Any, status: int, words: str
) -> None:
    before = fresh.item
    address = path.format(content=fresh.guid, bob=fresh.server.users["bob"].guid)
    # ASCII with escapes, in which JSON can say what UTF-8 cannot
    sent = {} if body is None else {"content": json.dumps(body)}
    answer = fresh.server.request(method, f"/__api__/v1/{address}", user="admin", **sent)
    assert words in error(answer, status)
    assert fresh.item == before


def test_a_body_that_is_too_large(fresh: Content) -> None:
    most = 1 << 20
    for size, status in ((most, 200), (most + 1, 413)):
        body = b"{}".ljust(size)
        answer = fresh.server.request("PATCH", fresh.api, content=body)
        assert answer.status_code == status
    assert "The request's body is larger than 1,048,576 bytes." in error(answer, 413)


def test_fields_that_only_connect_has_may_be_empty(fresh: Content) -> None:
    """As clients send them that send all fields."""
    empty = {"r_version": None, "memory_limit": 0, "run_as_current_user": False}
    changed = fresh.server.request("PATCH", fresh.api, json=empty)
    assert changed.raise_for_status().json() == fresh.server.get(fresh.api).json()
    asked = fresh.server.request("PATCH", fresh.api, json={**empty, "memory_limit": 1})
    assert "local-connect does not implement memory_limit" in error(asked, 501)


def test_a_tag_below_itself(server: LocalConnect) -> None:
    def ask(method: str, path: str, **body: Any) -> Any:
        return server.request(method, f"/__api__/v1/tags{path}", user="admin", json=body)

    top = ask("POST", "", name="a tag below itself").json()
    below = ask("POST", "", name="below", parent_id=top["id"]).json()
    for parent in (top, below):
        answer = ask("PATCH", f"/{top['id']}", parent_id=parent["id"])
        assert "A tag cannot lie below itself." in error(answer, 400)
    assert server.get(f"/__api__/v1/tags/{top['id']}").json() == top
    ask("DELETE", f"/{top['id']}").raise_for_status()


def form(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """A request's form of these parts; each is the end of its header, and what is in it."""
    written = (
        b'--x\r\nContent-Disposition: form-data; name="%b\r\n\r\n%b\r\n' % (head.encode(), content)
        for head, content in parts
    )
    return {
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
        "content": b"".join((*written, b"--x--\r\n")),
    }


ARCHIVE = ('archive"; filename="bundle.tar.gz"', packed(app()))
WITHIN = 'more"\r\nContent-Type: multipart/mixed; boundary=y'

FORMS: dict[str, tuple[list[tuple[str, bytes]], int, str]] = {
    "a form within": ([(WITHIN, b"--y--\r\n"), ARCHIVE], 400, "The form has a form within it."),
    "two archives": ([ARCHIVE, ARCHIVE], 400, "The form has two parts named archive."),
    "no archive": ([('metadata"', b"{}")], 400, "The form has no part named archive."),
    "long metadata": (
        [('metadata"', b"{}".ljust((64 << 10) + 1)), ARCHIVE],
        *(413, "The form's metadata is larger than 65,536 bytes."),
    ),
    "metadata that is a list": (
        [('metadata"', b"[]"), ARCHIVE],
        *(400, "The form's metadata is not a JSON object."),
    ),
    "metadata that is not text": (
        [('metadata"', b'{"source_branch": 7}'), ARCHIVE],
        *(400, "The form's metadata has no text at source_branch."),
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_are_refused(fresh: Content, name: str) -> None:
    parts, status, words = FORMS[name]
    answer = fresh.server.request("POST", f"{fresh.api}/bundles", **form(*parts))
    assert words in error(answer, status)
    assert fresh.bundles == []


def test_parts_of_a_form_that_are_for_nobody(server: LocalConnect) -> None:
    content = create(server)
    parts = (('note"', b"hello"), ('metadata"', b'{"source": "git"}'), ARCHIVE, ('more"', b""))
    made = server.request("POST", f"{content.api}/bundles", **form(*parts)).raise_for_status()
    assert made.json()["metadata"]["source"] == "git"
    archive = server.get(f"{content.api}/bundles/{made.json()['id']}/download")
    assert archive.content == ARCHIVE[1]
    server.request("DELETE", content.api).raise_for_status()
