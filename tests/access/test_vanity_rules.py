"""Which paths can be vanity URLs, and which content has one: the rules, over a database."""

from collections.abc import Iterator

import pytest

from local_connect.access.vanities import Vanities
from local_connect.errors import BadRequest, Conflict
from local_connect.records.store import Content, Store, User

pytestmark = pytest.mark.quick

CONTENTS = ("one", "two")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two content items of one owner."""
    store = Store(tmp_path_factory.mktemp("vanities") / "data")
    owner = User(username="alice", user_role="publisher")
    with store.session() as session:
        session.add(owner)
        session.flush()
        session.add_all(Content(name=name, guid=name, owner_guid=owner.guid) for name in CONTENTS)
    yield store
    store.close()


@pytest.fixture
def vanities(store: Store) -> Vanities:
    vanities = Vanities(store)
    for guid in CONTENTS:
        vanities.remove(guid)
    return vanities


def paths(vanities: Vanities) -> dict[str, str]:
    return {vanity.content_guid: vanity.path for vanity in vanities.all()}


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("name", "/name/"),
        ("/name", "/name/"),
        ("name/", "/name/"),
        ("//name//", "/name/"),
        ("name/one/two", "/name/one/two/"),
        ("/name/A-b_9/", "/name/A-b_9/"),
        ("x" * 254, f"/{'x' * 254}/"),
    ],
)
def test_a_path_is_written_with_or_without_slashes_around_it(
    vanities: Vanities, written: str, path: str
) -> None:
    assert vanities.set("one", written, force=False).path == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "a//b",
        ".",
        "..",
        "a/../b",
        "a/./b",
        "a.b",
        "a b",
        "a%20b",
        "a\\b",
        "a?b",
        "a#b",
        "a\n",
        "a\r\nb",
        "\x00",
        "größe",
        "路",
        "x" * 255,
    ],
    ids=ascii,
)
def test_what_cannot_be_a_path(vanities: Vanities, path: str) -> None:
    with pytest.raises(BadRequest, match="cannot be a path: it takes letters"):
        vanities.set("one", path, force=True)
    assert paths(vanities) == {}


@pytest.mark.parametrize(
    "first",
    [
        *("connect", "content", "apps", "users", "groups", "setpassword", "user-completion"),
        *("confirm", "recent", "reports", "plots", "unpublished", "settings", "metrics", "tokens"),
        *("help", "login", "welcome", "register", "resetpassword"),
        *("__api__", "__login__", "__local__", "__anything"),
    ],
)
def test_paths_that_are_reserved(vanities: Vanities, first: str) -> None:
    for path in (f"/{first}/", f"/{first}/below/", first.upper(), first.title()):
        with pytest.raises(BadRequest, match=f"Connect keeps /{first} for itself"):
            vanities.set("one", path, force=True)
    # but not what only begins so
    assert vanities.set("one", f"/{first.strip('_')}-more/", force=False)


@pytest.mark.parametrize("force", [False, True])
def test_paths_do_not_nest(vanities: Vanities, force: bool) -> None:
    vanities.set("one", "/outer/", force=False)
    with pytest.raises(Conflict, match="/outer/ exists"):
        vanities.set("two", "/outer/inner/", force=force)
    # content's own path is no obstacle to its next
    vanities.set("one", "/outer/inner/", force=False)
    with pytest.raises(Conflict, match="/outer/inner/ exists"):
        vanities.set("two", "/outer/", force=force)
    # a longer name is not a path below
    vanities.set("two", "/outer-more/", force=False)
    assert paths(vanities) == {"one": "/outer/inner/", "two": "/outer-more/"}


def test_a_path_that_is_taken(vanities: Vanities) -> None:
    vanities.set("one", "/mine/", force=False)
    assert vanities.set("one", "mine", force=False).path == "/mine/"
    for written in ("/mine/", "mine"):
        with pytest.raises(Conflict, match="taken by other content"):
            vanities.set("two", written, force=False)
    assert vanities.find("/mine/") == ("/mine/", "one")
    vanities.set("two", "mine", force=True)
    assert paths(vanities) == {"two": "/mine/"}
    assert vanities.find("/mine/") == ("/mine/", "two")


def test_a_path_that_changes_and_goes(vanities: Vanities) -> None:
    vanities.set("one", "/first/", force=False)
    vanities.set("one", "/second/", force=False)
    assert vanities.find("/first/") is None
    assert vanities.remove("one")
    assert vanities.find("/second/") is None
    assert vanities.get("one") is None
    assert not vanities.remove("one")
    assert vanities.set("two", "/second/", force=False)


@pytest.mark.parametrize("path", ["/my/api/", "/my/api", "/my/api/greetings", "/my/api/a//b"])
def test_requests_that_it_is_found_for(store: Store, vanities: Vanities, path: str) -> None:
    vanities.set("one", "/my/api/", force=False)
    # and by another instance, as after a restart
    for found in (vanities, Vanities(store)):
        assert found.find(path) == ("/my/api/", "one")


@pytest.mark.parametrize(
    "path", ["/", "/my/", "/my", "/My/api/", "/my/apis/", "/x/my/api/", "//my/api"]
)
def test_requests_that_it_is_not_found_for(vanities: Vanities, path: str) -> None:
    vanities.set("one", "/my/api/", force=False)
    assert vanities.find(path) is None
