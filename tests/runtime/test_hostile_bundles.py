"""Bundles that must not be unpacked, over HTTP and over rsconnect: nothing of them stays.

What is refused, and in which words, is in `test_bundles`.
"""

from pathlib import Path

import pytest

from tests.bundles import listed, member, packed
from tests.deployed import Person, Unharmed, assert_recorded
from tests.runtime.test_bundles import HOSTILE, REFUSED


def test_uploads(live: Unharmed) -> None:
    content = live.content
    before = content.bundles
    for name, (data, words) in REFUSED.items():
        answer = content.server.request("POST", f"{content.api}/bundles", content=data)
        status = 501 if name == "another type of content" else 400
        assert answer.status_code == status, (name, answer.text)
        assert set(answer.json()) == {"code", "error"}
        assert words in answer.json()["error"]
    assert content.bundles == before
    assert content.version == "one"
    assert_recorded(content.server)


def test_an_upload_that_is_whole(live: Unharmed) -> None:
    # what the tests above break is sound before they do
    content = live.content
    server = content.server
    answer = server.request("POST", f"{content.api}/bundles", content=packed(listed(member("x"))))
    assert answer.is_success, answer.text
    assert answer.json()["size"] == len(packed(listed(member("x"))))
    assert_recorded(server)


@pytest.mark.parametrize("name", ["a file above the directory", "a hard link within"])
def test_rsconnect_says_why(alice: Person, live: Unharmed, tmp_path: Path, name: str) -> None:
    members, words = HOSTILE[name]
    archive = tmp_path / "hostile.tar.gz"
    archive.write_bytes(packed(members))
    assert words in live.refused(alice, "bundle", archive)
