"""Who may do what: each request, and each person, held to what the API answers.

`test_rights.py` holds the rule itself: the role of every kind of user by every access type. Here
every action is tried by one person of each kind, which shows that its route asks for the right
role; and everyone tries three of them by every access type, which shows that their role is told
by their own records, groups and access list.
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.access.conftest import ECHO, create, deploy, permit, refusal, share, upload
from tests.access.people import ROLES
from tests.catalogue import api_routes
from tests.deployed import Content

ACCESS_TYPES = ("all", "logged_in", "acl")

Request = Callable[[Content, str | None], httpx.Response]


def request(method: str, path: str, *, api: bool = True, **options: Any) -> Request:
    """Sends one request to content; `{bundle}` in the path is its active bundle."""

    def attempt(content: Content, user: str | None) -> httpx.Response:
        start = content.api if api else content.path
        filled = path
        if "{bundle}" in path:
            filled = path.format(bundle=content.item["bundle_id"])
        return content.server.request(method, start + filled, user=user, **options)

    return attempt


@dataclass(frozen=True)
class Action:
    """A request, and what it is answered from each kind of visitor in turn:
    anonymous (the content is open to all), stranger, outsider, viewer, editor, manager."""

    attempt: Request
    answers: tuple[int, int, int, int, int, int]
    #: it leaves shared content as it was
    harmless: bool = False


KINDS = ("anonymous", "stranger", "outsider", "viewer", "editor", "manager")

# an outsider does not learn from the API that the content exists
READ = (401, 401, 404, 200, 200, 200)
EDIT = (401, 401, 404, 403, 200, 200)

ACTIONS = {
    "open": Action(request("GET", "", api=False), (200, 401, 403, 200, 200, 403), harmless=True),
    "post": Action(
        request("POST", "form", api=False), (200, 401, 403, 200, 200, 403), harmless=True
    ),
    "open a draft": Action(
        request("GET", "_bundle{bundle}/", api=False), (404, 401, 403, 404, 200, 403), harmless=True
    ),
    "see": Action(request("GET", ""), READ, harmless=True),
    "see who may": Action(request("GET", "/permissions"), READ, harmless=True),
    "see the versions": Action(request("GET", "/lockfile"), READ, harmless=True),
    "see the names of variables": Action(request("GET", "/environment"), EDIT, harmless=True),
    "list bundles": Action(request("GET", "/bundles"), EDIT, harmless=True),
    "see a bundle": Action(request("GET", "/bundles/{bundle}"), EDIT, harmless=True),
    "download a bundle": Action(request("GET", "/bundles/{bundle}/download"), EDIT, harmless=True),
    "deploy": Action(
        request("POST", "/deploy", json={"activate": False}),
        (401, 401, 404, 403, 202, 202),
        harmless=True,
    ),
    "upload": Action(request("POST", "/bundles", content=ECHO), EDIT),
    "change": Action(request("PATCH", "", json={"title": "Mine"}), EDIT),
    "open to all": Action(request("PATCH", "", json={"access_type": "all"}), EDIT),
    "set a variable": Action(
        request("PATCH", "/environment", json=[{"name": "A", "value": "1"}]), EDIT
    ),
    "replace variables": Action(request("PUT", "/environment", json=[]), EDIT),
    # there is none
    "see its repository": Action(
        request("GET", "/repository"), (401, 401, 404, 403, 404, 404), harmless=True
    ),
    "set its repository": Action(
        request("PUT", "/repository", json={"repository": "/apis", "polling": False}), EDIT
    ),
    "make a bundle of a repository": Action(
        request("POST", "/repository/bundle", json={"repository": "/nowhere"}),
        (401, 401, 404, 403, 202, 202),
    ),
    "set a vanity path": Action(
        lambda content, user: content.server.request(
            "PUT", f"{content.api}/vanity", user=user, json={"path": f"/p-{uuid.uuid4().hex}/"}
        ),
        EDIT,
    ),
    "let someone in": Action(
        lambda content, user: content.server.request(
            "POST",
            f"{content.api}/permissions",
            user=user,
            json={
                "principal_guid": content.server.users["bob"].guid,
                "principal_type": "user",
                "role": "viewer",
            },
        ),
        EDIT,
    ),
    "delete": Action(request("DELETE", ""), (401, 401, 404, 403, 204, 204)),
}


#: one person of each kind, and the access type that makes them one; of outsiders and editors two,
#: as one may publish and the other not, and one owns the content and the other does not
ONE_OF_EACH = (
    *(("nobody", "all"), ("nobody", "logged_in"), ("bob", "acl"), ("erin", "acl")),
    *(("carol", "acl"), ("frank", "acl"), ("alice", "acl"), ("admin", "acl")),
)

#: a visit, what whoever may see the content can do, and what needs a collaborator
ONE_OF_EACH_RULE = ("open", "see", "list bundles")


@pytest.mark.parametrize(("who", "access_type"), ONE_OF_EACH)
@pytest.mark.parametrize("name", ACTIONS)
def test_each_action(shared: dict[str, Content], name: str, who: str, access_type: str) -> None:
    check(shared[access_type], name, who, access_type)


@pytest.mark.parametrize("who", ROLES)
def test_each_person(shared: dict[str, Content], who: str) -> None:
    for access_type in ACCESS_TYPES:
        for name in ONE_OF_EACH_RULE:
            check(shared[access_type], name, who, access_type)


def check(content: Content, name: str, who: str, access_type: str) -> None:
    """Let someone do it, and see that it is answered as it is to their kind."""
    action = ACTIONS[name]
    kind = ROLES[who][ACCESS_TYPES.index(access_type)]
    expected = action.answers[KINDS.index(kind)]
    if not action.harmless:
        content = share(create(content.server, access_type=access_type))
    before = content.item

    answer = action.attempt(content, None if who == "nobody" else who)

    if expected < 400:
        assert answer.status_code == expected, (who, access_type, answer.text)
    else:
        refusal(answer, expected)
        assert content.item == before


#: what whoever may see content may ask of it; all else is for those who may change it
FOR_VIEWERS = {
    *(("GET", path) for path in ("", "/lockfile", "/packages", "/tags", "/vanity")),
    *(("GET", path) for path in ("/permissions", "/permissions/{id}")),
    ("GET", "/oauth/integrations/associations"),
}


def test_every_route_asks_for_a_role(shared: dict[str, Content]) -> None:
    """Those that no action is of, too: a new one is for those who may change the content."""
    content = shared["acl"]
    start = "/__api__/v1/content/{guid}"
    paths = [(m, path.removeprefix(start)) for m, path in api_routes() if path.startswith(start)]
    assert set(paths) > FOR_VIEWERS
    for method, path in paths:
        asked = content.api + re.sub(r"\{\w+\}", "1", path)
        outsider = content.server.request(method, asked, user="erin", json={})
        assert "no such content" in refusal(outsider, 404), (method, path)
        viewer = content.server.request(method, asked, user="carol", json={})
        refused = viewer.status_code == 403
        assert refused is ((method, path) not in FOR_VIEWERS), (method, path, viewer.text)


TOLD = {
    "bob": ("viewer", "viewer", None),
    "carol": ("viewer", "viewer", "viewer"),
    "erin": ("viewer", "viewer", None),
    "frank": ("editor", "editor", "editor"),
    "grace": ("editor", "editor", "editor"),
    "heidi": ("viewer", "viewer", "viewer"),
    "alice": ("owner", "owner", "owner"),
    "admin": ("viewer", "viewer", "none"),
}


@pytest.mark.parametrize("who", TOLD)
def test_the_role_is_told(shared: dict[str, Content], who: str) -> None:
    for access_type, role in zip(ACCESS_TYPES, TOLD[who], strict=True):
        content = shared[access_type]
        listed = {
            item["guid"]: item["app_role"]
            for item in content.server.get("/__api__/v1/content", user=who).json()
        }
        assert listed.get(content.guid) == role


def test_an_administrator_can_let_themselves_in(own: Content) -> None:
    deploy(own, ECHO)
    refusal(own.server.get(own.path, user="admin"), 403)
    permit(own, "admin", "viewer")
    assert own.server.get(own.path, user="admin").status_code == 200
    assert own.server.get(own.api, user="admin").json()["app_role"] == "viewer"


@pytest.mark.parametrize(
    ("who", "status"),
    [("bob", 403), ("heidi", 403), ("erin", 200), ("alice", 200), ("admin", 200), (None, 401)],
)
def test_who_may_publish(shared: dict[str, Content], who: str | None, status: int) -> None:
    server = shared["all"].server
    name = f"new-{uuid.uuid4().hex}"
    answer = server.request("POST", "/__api__/v1/content", user=who, json={"name": name})
    if status == 200:
        assert answer.json()["owner_guid"] == server.users[str(who)].guid
    else:
        refusal(answer, status)


def test_a_visitor_whose_permission_is_gone_is_refused(own: Content) -> None:
    deploy(own, ECHO)
    assert own.server.get(own.path, user="bob").status_code == 403
    number = permit(own, "bob", "viewer")
    assert own.echo(user="bob")["version"] == "one"
    answer = own.server.request("DELETE", f"{own.api}/permissions/{number}")
    assert answer.status_code == 204
    assert own.server.get(own.path, user="bob").status_code == 403


def test_a_collaborator_deploys(own: Content) -> None:
    permit(own, "frank", "owner")
    bundle = deploy(own, ECHO, user="frank")
    assert own.item["bundle_id"] == bundle
    assert own.item["owner_guid"] == own.server.users["alice"].guid
    assert own.bundles[0]["created_by"] == own.server.users["frank"].guid
    # and then is one no more
    (permission,) = own.server.get(f"{own.api}/permissions").json()
    assert own.server.request("DELETE", f"{own.api}/permissions/{permission['id']}").is_success
    refusal(own.server.request("POST", f"{own.api}/deploy", user="frank", json={}), 404)


def test_a_bundle_of_other_content(own: Content, shared: dict[str, Content]) -> None:
    # alice may deploy both, but not one as the other
    bundle = upload(own, ECHO)
    other = shared["acl"]
    for method, path in (("POST", "/deploy"), ("GET", f"/bundles/{bundle}/download")):
        refusal(other.server.request(method, other.api + path, json={"bundle_id": bundle}), 404)
    refusal(other.server.get(f"{other.path}_bundle{bundle}/"), 404)


def test_the_task_of_another(own: Content) -> None:
    bundle = upload(own, ECHO)
    deployment = own.server.request("POST", f"{own.api}/deploy", json={"bundle_id": bundle})
    task = f"/__api__/v1/tasks/{deployment.json()['task_id']}"
    for who in ("bob", "erin"):
        refusal(own.server.get(task, user=who), 404)
    refusal(own.server.get(task, user=None), 401)
    done = own.server.get(task, params={"wait": 30})
    assert done.status_code == own.server.get(task, user="admin").status_code == 200


def test_a_viewer_is_no_collaborator(own: Content) -> None:
    body = {
        "principal_guid": own.server.users["bob"].guid,
        "principal_type": "user",
        "role": "owner",
    }
    answer = own.server.request("POST", f"{own.api}/permissions", json=body)
    assert "viewer" in refusal(answer, 403)


def test_the_credentials_name_the_visitor(shared: dict[str, Content]) -> None:
    for who, user in shared["all"].server.users.items():
        environ = shared["all"].echo(user=who)["environ"]
        # WSGI shows the bytes of a header as Latin-1
        credentials = environ["HTTP_RSTUDIO_CONNECT_CREDENTIALS"].encode("latin-1").decode()
        assert user.username in credentials
        assert "\\u" not in credentials
        assert set(httpx.Response(200, text=credentials).json()) == {"user", "groups"}
        assert httpx.Response(200, text=credentials).json()["user"] == who
        assert sorted(httpx.Response(200, text=credentials).json()["groups"]) == sorted(user.groups)
    environ = shared["all"].echo(user=None)["environ"]
    assert "HTTP_RSTUDIO_CONNECT_CREDENTIALS" not in environ
