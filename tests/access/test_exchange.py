"""Who gets which credentials for a visitor's token: the rules, over records in a directory."""

import base64
import itertools
import json
import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_connect.access.addresses import Addresses
from local_connect.access.exchange import Exchange
from local_connect.access.identity import Identities, Identity
from local_connect.access.integrations import Integrations
from local_connect.access.visitor_tokens import (
    KEY_SECONDS,
    TOKEN_SECONDS,
    EphemeralKeys,
    SessionTokens,
    Visit,
)
from local_connect.errors import ApiError, BadRequest, Conflict, Forbidden, NotFound
from local_connect.records.store import Content, Integration, Store, User

pytestmark = pytest.mark.quick

URN = "urn:posit:connect:"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
AWS = "urn:ietf:params:aws:token-type:credentials"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
KEYS = {"accessKeyId": "id", "secretAccessKey": "secret", "sessionToken": "session"}

PEOPLE = (
    Identity("admin", "administrator", credentials={"Warehouse": "of admin"}),
    Identity(
        "alice",
        "publisher",
        ("staff",),
        credentials={"Warehouse": "of alice", "Robot": "of the robot", "Buckets": KEYS},
    ),
    Identity("bob", "viewer", credentials={"Warehouse": "of bob"}),
    Identity("carol", "viewer"),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A server's records and rules, without the server."""

    def __init__(self, data: Path) -> None:
        self.store = Store(data)
        self.clock = Clock()
        self.jobs: dict[str, str] = {}
        self.identities = Identities(
            self.store, Addresses("127.0.0.1", None), owner_of_job_key=lambda _: None
        )
        self.identities.seed(PEOPLE)
        self.identities.session_tokens = SessionTokens(self.clock)
        self.identities.ephemeral_keys = EphemeralKeys(self.clock)
        self.integrations = Integrations(self.store, self.identities)
        self.exchange = Exchange(
            self.store, self.identities, self.integrations, content_of_token=self.jobs.get
        )

    def user(self, name: str) -> User:
        (user,) = (user for user in self.identities.all() if user.username == name)
        return user

    def content(self, access_type: str = "logged_in", *used: Integration) -> Content:
        content = Content(
            name=secrets.token_hex(8), owner_guid=self.user("alice").guid, access_type=access_type
        )
        with self.store.session() as session:
            session.add(content)
        self.use(content, *used)
        return content

    def use(self, content: Content, *used: Integration) -> None:
        guids = [integration.guid for integration in used]
        self.integrations.associate(self.user("alice"), content, guids)

    def integration(self, template: str, **fields: Any) -> Integration:
        return self.integrations.create(self.user("admin"), {"template": template, **fields})

    def token(self, name: str, content: Content) -> str:
        return self.identities.session_token(self.user(name), content.guid)

    def ask(
        self,
        token: str,
        content: Content | None,
        *,
        by: str = "alice",
        kind: str = "user-session-token",
        **more: str,
    ) -> dict[str, str]:
        """Exchange a token with the key of content, or with the own key of somebody."""
        form = {"grant_type": GRANT, "subject_token_type": URN + kind, "subject_token": token}
        guid = content.guid if content else None
        return self.exchange.credentials(self.user(by), guid, {**form, **more})

    def key(self, answer: dict[str, str]) -> User:
        user = self.identities.from_key({"Authorization": f"Key {answer['access_token']}"})
        assert user is not None
        return user


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data")
    yield world
    world.store.close()


def refusal(status: int, code: int, words: str) -> "pytest.RaisesExc[ApiError]":
    return pytest.raises(
        ApiError,
        match=words,
        check=lambda error: (error.status, error.code) == (status, code),
    )


#: visitor -> the role of a key by an integration of that maximum
ROLES = {
    ("admin", "Administrator"): "administrator",
    ("admin", "Publisher"): "publisher",
    ("admin", "Viewer"): "viewer",
    ("alice", "Administrator"): "publisher",
    ("alice", "Publisher"): "publisher",
    ("alice", "Viewer"): "viewer",
    ("bob", "Administrator"): "viewer",
    ("bob", "Publisher"): "viewer",
    ("bob", "Viewer"): "viewer",
}


@pytest.mark.parametrize(("visitor", "maximum"), ROLES)
@pytest.mark.parametrize("access_type", ["acl", "logged_in"])
def test_a_key_has_the_lower_role(
    world: World, visitor: str, maximum: str, access_type: str
) -> None:
    connect = world.integration("connect", config={"max_role": maximum})
    content = world.content(access_type, connect)
    token = world.token(visitor, content)
    if access_type == "acl" and visitor != "alice":
        with refusal(403, 22, f"{visitor} may not open this content any more"):
            world.ask(token, content)
        return
    answer = world.ask(token, content, requested_token_type=URN + "api-key")
    assert answer["issued_token_type"] == URN + "api-key"
    assert answer["token_type"] == "Key"
    assert world.key(answer).username == visitor
    assert world.key(answer).user_role == ROLES[visitor, maximum]
    assert world.key(answer).groups == world.user(visitor).groups
    # it leads to no key that lasts
    with pytest.raises(Forbidden, match="not enough for this"):
        world.identities.check_lasting({"Authorization": f"Key {answer['access_token']}"})
    world.clock.now += KEY_SECONDS
    with refusal(401, 30, "not valid"):
        world.key(answer)


#: visitor, integration -> what content gets, or status, code and words
GIVEN: dict[tuple[str, str], str | tuple[int, int, str]] = {
    ("admin", "Warehouse"): "of admin",
    ("alice", "Warehouse"): "of alice",
    ("bob", "Warehouse"): "of bob",
    ("carol", "Warehouse"): (403, 22, "carol has no credentials for Warehouse"),
    ("alice", "Robot"): (400, 3, "by Robot"),
    ("bob", "none"): (400, 212, "No integration is associated"),
}


@pytest.mark.parametrize(("visitor", "name"), GIVEN)
def test_each_visitor_gets_their_own(world: World, visitor: str, name: str) -> None:
    made = {
        "Warehouse": world.integration("snowflake", name="Warehouse"),
        "Robot": world.integration(
            "databricks", name="Robot", config={"auth_type": "Service Account"}
        ),
    }
    content = world.content("logged_in", *(made[name] for name in [name] if name in made))
    token = world.token(visitor, content)
    wanted = GIVEN[visitor, name]
    if isinstance(wanted, tuple):
        with refusal(*wanted):
            world.ask(token, content)
    else:
        assert world.ask(token, content) == {
            "access_token": wanted,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
        }
        with refusal(400, 3, "api-key comes of"):
            world.ask(token, content, requested_token_type=URN + "api-key")
        with refusal(400, 3, "not for AWS"):
            world.ask(token, content, requested_token_type=AWS)


def test_a_service_account_is_the_same_for_all(world: World) -> None:
    robot = world.integration("custom", name="Robot", config={"auth_type": "Service Account"})
    content = world.content("all", robot)
    world.jobs["token"] = content.guid
    kind = "content-session-token"
    assert world.ask("token", content, kind=kind)["access_token"] == "of the robot"
    for other in ("", "tokem", world.token("alice", content)):
        with refusal(400, 3, "subject_token is missing|not valid, or its process has ended"):
            world.ask(other, content, kind=kind)
    with refusal(403, 22, "of other content"):
        world.ask("token", world.content("logged_in", robot), kind=kind)
    world.use(content)
    with refusal(400, 212, "No integration"):
        world.ask("token", content, kind=kind)


def test_credentials_for_aws(world: World) -> None:
    buckets = world.integration("aws", name="Buckets")
    content = world.content("logged_in", buckets)
    token = world.token("alice", content)
    answer = world.ask(token, content, requested_token_type=AWS)
    assert answer["issued_token_type"] == AWS
    whole = json.loads(base64.b64decode(answer["access_token"]))
    assert whole.pop("expiration").endswith("Z")
    assert whole == KEYS
    with refusal(400, 3, "is for AWS: request"):
        world.ask(token, content, requested_token_type=ACCESS_TOKEN)


def test_which_of_several_integrations(world: World) -> None:
    (connect,) = world.integrations.all(world.user("alice"))
    warehouse = world.integration("snowflake", name="Warehouse")
    another = world.integration("databricks", name="Another")
    content = world.content("logged_in", connect, warehouse)
    token = world.token("bob", content)
    key = world.ask(token, content, requested_token_type=URN + "api-key")
    assert world.key(key).username == "bob"
    asked = {"requested_token_type": ACCESS_TOKEN}
    assert world.ask(token, content, **asked)["access_token"] == "of bob"
    with refusal(400, 3, "Name one as audience"):
        world.ask(token, content)
    assert world.ask(token, content, audience=warehouse.guid)["access_token"] == "of bob"
    with refusal(400, 212, "audience names is not associated"):
        world.ask(token, content, audience=another.guid)
    with refusal(400, 212, "audience names is not associated"):
        world.ask(token, content, audience="no-such-guid")


def test_those_who_may_change_content_act_for_it(world: World) -> None:
    (connect,) = world.integrations.all(world.user("alice"))
    content = world.content("logged_in", connect)
    token = world.token("bob", content)
    for by in ("alice", "admin"):
        assert world.key(world.ask(token, None, by=by)).username == "bob"
    with refusal(403, 22, "bob is a viewer"):
        world.ask(token, None, by="bob")


def test_a_key_of_a_lower_role_leads_to_no_higher_one(world: World) -> None:
    """Content that is asked by a key of its visitor's is not asked by all that they are."""
    low = world.integration("connect", name="Low", config={"max_role": "Viewer"})
    high = world.integration("connect", name="High", config={"max_role": "Administrator"})
    first, second = world.content("logged_in", low), world.content("logged_in", high)
    alice = world.key(world.ask(world.token("alice", first), first))
    assert alice.user_role == "viewer"
    token = world.identities.session_token(alice, second.guid)
    assert world.key(world.ask(token, second)).user_role == "viewer"
    # her own visit is another
    assert world.key(world.ask(world.token("alice", second), second)).user_role == "publisher"


def test_a_token_is_fresh_and_over_in_minutes(world: World) -> None:
    (connect,) = world.integrations.all(world.user("alice"))
    content = world.content("logged_in", connect)
    first = world.token("alice", content)
    assert world.token("alice", content) == first
    assert world.token("bob", content) != first
    world.clock.now += TOKEN_SECONDS / 2
    second = world.token("alice", content)
    assert second != first
    world.ask(first, content)
    world.clock.now += TOKEN_SECONDS / 2
    with refusal(400, 3, "over: it lasts 10 minutes"):
        world.ask(first, content)
    world.ask(second, content)
    world.clock.now += 7200
    world.token("alice", content)
    with refusal(400, 3, "is not valid"):
        world.ask(first, content)


def test_content_that_is_gone(world: World) -> None:
    (connect,) = world.integrations.all(world.user("alice"))
    content = world.content("logged_in", connect)
    token = world.token("alice", content)
    with world.store.session() as session:
        session.delete(session.get_one(Content, content.id))
    with refusal(404, 4, "The content of this token is gone"):
        world.ask(token, content)


def test_a_visitor_who_is_locked(world: World) -> None:
    (connect,) = world.integrations.all(world.user("alice"))
    content = world.content("logged_in", connect)
    token = world.token("bob", content)
    key = world.ask(token, content)
    world.identities.seed([one for one in PEOPLE if one.username != "bob"])  # type: ignore[arg-type]
    with refusal(403, 22, "may not come in any more"):
        world.ask(token, content)
    with refusal(401, 30, "not valid"):
        world.key(key)


def test_no_token_is_forged_swapped_replayed_or_over(world: World) -> None:
    """Thousands that are not as they should be, among a few that are."""
    dice = random.Random(18)  # noqa: S311 (for a test that can be repeated)
    (connect,) = world.integrations.all(world.user("alice"))
    contents = [world.content("logged_in", connect) for _ in range(5)]
    visitors = ["admin", "alice", "bob", "carol"]
    over = [world.token(*pair) for pair in itertools.product(visitors, contents)]
    world.clock.now += TOKEN_SECONDS
    good = {
        world.token(name, content): content
        for name, content in itertools.product(visitors, contents)
    }
    tried = 0

    def refused(token: str, content: Content | None, **more: str) -> None:
        nonlocal tried
        tried += 1
        with pytest.raises(ApiError) as caught:
            world.ask(token, content, **more)
        assert token not in caught.value.error or not token
        assert world.exchange.last == 0

    for token, content in good.items():
        # swapped: of other content, or handed in as what it is not
        for other in contents:
            if other is not content:
                refused(token, other)
        refused(token, content, kind="content-session-token")
        refused(token, content, kind="api-key")
        refused(token, None, by="bob")
        # forged: near to one that is good
        for _ in range(60):
            place = dice.randrange(len(token))
            letter = dice.choice("abcXYZ019-_=. \0é")
            changed = token[:place] + letter + token[place + 1 :]
            if changed != token:
                refused(changed, content)
        for changed in (token[:-1], token + "=", token.lower(), token[::-1], f" {token}", ""):
            refused(changed, content)
    # replayed after their time, on their own content and on others
    for token, content in itertools.product(over, contents):
        refused(token, content)
    # made up
    for _ in range(800):
        refused(secrets.token_urlsafe(32), dice.choice(contents))
    for user, content in itertools.product(world.identities.all(), contents):
        for known in (user.guid, user.api_key, content.guid, f"{user.guid}.{content.guid}"):
            refused(known, content)
    assert tried >= 2000
    for token, content in good.items():
        assert world.ask(token, content)["access_token"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"grant_type": ""}, "grant_type is not urn:"),
        ({"grant_type": "authorization_code"}, "grant_type is not urn:"),
        ({"subject_token_type": ""}, "subject_token_type is neither"),
        ({"subject_token_type": URN + "api-key"}, "subject_token_type is neither"),
        ({"subject_token": ""}, "subject_token is missing"),
        ({"requested_token_type": "urn:x"}, "requested_token_type is not one of"),
    ],
)
def test_a_form_that_is_not_whole(world: World, fields: dict[str, str], words: str) -> None:
    content = world.content()
    with refusal(400, 3, words):
        world.ask(world.token("alice", content), content, **fields)


def test_integrations_of_visitors_and_content_open_to_everyone(world: World) -> None:
    (connect,) = world.integrations.all(world.user("alice"))
    warehouse = world.integration("snowflake", name="Warehouse")
    robot = world.integration("custom", name="Robot", config={"auth_type": "Service Account"})
    for integration in (connect, warehouse):
        with pytest.raises(Conflict, match=f"{integration.name} is for visitors who are signed in"):
            world.content("all", integration)
        content = world.content("logged_in", integration)
        with pytest.raises(Conflict, match="another access_type"):
            world.integrations.check_access(content, "all")
        world.integrations.check_access(content, "acl")
    world.integrations.check_access(world.content("all", robot), "all")


def test_the_default_is_there_once_and_may_go(world: World) -> None:
    (connect,) = world.integrations.all(world.user("bob"))
    assert (connect.name, connect.template) == ("Connect Visitor API Key", "connect")
    assert connect.config == {"max_role": "Publisher"}
    with pytest.raises(Forbidden):
        world.integrations.delete(world.user("alice"), connect.guid)
    world.integrations.delete(world.user("admin"), connect.guid)
    again = Integrations(world.store, world.identities)
    assert again.all(world.user("admin")) == []


def test_an_integration_for_some(world: World) -> None:
    staff = world.user("alice").groups[0].guid
    bob = {"user_guid": world.user("bob").guid, "group_guid": None}
    some = world.integration("github", permissions=[bob, {"group_guid": staff}])
    for name, may in {"admin": True, "alice": True, "bob": True, "carol": False}.items():
        found = [one.guid for one in world.integrations.all(world.user(name))]
        assert (some.guid in found) == may
    with pytest.raises(NotFound, match="or you may not use it"):
        world.integrations.get(world.user("carol"), some.guid)
    # who uses it already goes on, whoever saves the list
    content = world.content("logged_in", some)
    world.integrations.update(world.user("admin"), some.guid, {"permissions": [bob]})
    world.use(content, some)
    with pytest.raises(NotFound):
        world.content("logged_in", some)


def test_what_an_integration_is_not(world: World) -> None:
    connect = world.integration("connect")
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"template": "smoke"}, "template is not one of aws"),
        ({"template": "custom", "config": [1]}, "config is not an object"),
        ({"template": "custom", "config": {"auth_type": "Boss"}}, "auth_type is neither"),
        ({"template": "connect", "config": {"max_role": "Boss"}}, "max_role is not one of"),
        ({"template": "custom", "name": "two\nlines"}, "name is not text on one line"),
        ({"template": "custom", "description": "x" * 256}, "description is not text of at most"),
        ({"template": "custom", "colour": "red"}, "has no colour"),
        ({"template": "custom", "permissions": {}}, "permissions is not a list"),
        ({"template": "custom", "permissions": [{}]}, "names a user_guid or a group_guid"),
    ]
    for fields, words in mistakes:
        with pytest.raises(BadRequest, match=words):
            world.integrations.create(world.user("admin"), fields)
    with pytest.raises(Forbidden):
        world.integrations.create(world.user("alice"), {"template": "custom"})
    with pytest.raises(BadRequest, match="template of an integration cannot"):
        world.integrations.update(world.user("admin"), connect.guid, {"template": "custom"})
    custom = world.integration("custom", config={"client_id": "x", "client_secret": "hidden"})
    assert custom.config == {"client_id": "x", "auth_type": "Viewer"}
    with pytest.raises(BadRequest, match="auth_type of an integration cannot"):
        world.integrations.update(
            world.user("admin"), custom.guid, {"config": {"auth_type": "Service Account"}}
        )


@pytest.mark.parametrize("principal", ["user", "group"])
@pytest.mark.parametrize("guid", ["nobody", ["nobody"]])
def test_an_integration_for_nobody_there_is(world: World, principal: str, guid: Any) -> None:
    with pytest.raises(NotFound, match=f"There is no {principal} .*nobody"):
        world.integration("custom", permissions=[{f"{principal}_guid": guid}])


def test_what_is_null_stays_as_it_is(world: World) -> None:
    custom = world.integration("custom", name=None, description="ours")
    assert custom.name == "Custom"
    nulls = {"name": None, "description": None, "permissions": None}
    changed = world.integrations.update(world.user("admin"), custom.guid, nulls)
    assert (changed.name, changed.description, changed.permissions) == ("Custom", "ours", [])


def test_the_acts_are_remembered(world: World) -> None:
    (connect,) = world.integrations.all(world.user("alice"))
    content = world.content("logged_in", connect)
    world.ask(world.token("bob", content), content)
    since = world.exchange.last
    world.ask(world.token("alice", content), content)
    (act,) = world.exchange.acts(content.guid, since)
    assert (act.user_guid, act.user_role) == (world.user("alice").guid, "publisher")
    assert act.integration == "Connect Visitor API Key"


def test_tokens_say_nothing(world: World) -> None:
    content = world.content()
    visit = Visit(world.user("bob").guid, "viewer", content.guid)
    token = world.identities.session_tokens.give(visit)
    assert len(token) == 43
    assert len({SessionTokens().give(visit) for _ in range(200)}) == 200
