"""Every endpoint of the API, asked by one person of each kind.

A row of `ENDPOINTS` has what each of them is answered. Where somebody may change something, the
change that is asked for is one that cannot be made (400, 404), so all is left as it was;
`test_matrix.py` makes such changes.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from local_connect import api
from local_connect.api import absent
from tests.access.conftest import ECHO, create, deploy, share
from tests.servers import LocalConnect

PREFIX = "/__api__/"

#: of the server as a whole: nobody, a viewer, a publisher, an administrator
OF_SERVER = (None, "bob", "erin", "admin")

#: of alice's content: nobody, a publisher who is not on its list, a viewer and a collaborator who
#: are, an administrator
OF_CONTENT = (None, "erin", "carol", "frank", "admin")

#: makes no sense to any endpoint
NONSENSE: dict[str, Any] = {"colour": "red"}


@dataclass(frozen=True)
class Row:
    """What each person is answered; None where they are not asked, as it would be done."""

    answers: tuple[int | None, ...]
    body: Any = None
    #: whether the objects that the path names are there
    there: bool = True


def users(answer: int = 200) -> Row:
    return Row((401, answer, answer, answer))


def publishers(answer: int, body: Any = None, *, there: bool = True) -> Row:
    return Row((401, 403, answer, answer), body, there)


def administrators(answer: int | None, body: Any = None, *, there: bool = True) -> Row:
    return Row((401, 403, 403, answer), body, there)


def seers(answer: int = 200) -> Row:
    """Who may see the content; from others it is hidden."""
    return Row((401, 404, answer, answer, answer))


def changers(answer: int, body: Any = None, *, there: bool = True) -> Row:
    """Who may change the content."""
    return Row((401, 404, 403, answer, answer), body, there)


EVERYONE = Row((200, 200, 200, 200))

#: nothing tells a thing that is another's from one that is not there
HIDDEN = Row((401, 404, 404, 404), there=False)

ENDPOINTS = {
    "GET server_settings": EVERYONE,
    "GET server_settings/applications": users(),
    "GET server_settings/scheduler": users(),
    "GET server_settings/scheduler/{app_mode}": users(),
    "GET v1/server_settings/nodejs": users(),
    "GET v1/server_settings/python": users(),
    "GET v1/server_settings/quarto": users(),
    "GET v1/server_settings/r": users(),
    "GET v1/server_settings/tensorflow": users(),
    "POST tokens": Row((400, 400, 400, 400), NONSENSE),
    "POST v1/experimental/bootstrap": Row((403, 403, 403, 403)),
    # users and groups
    "GET me": users(),
    "GET v1/user": users(),
    "GET v1/users": users(),
    "GET v1/users/{guid}": users(),
    "GET v1/users/remote": publishers(400),
    "POST v1/users": administrators(400, NONSENSE),
    "PUT v1/users/{guid}": administrators(400, NONSENSE),
    "POST v1/users/{guid}/lock": administrators(404, {"locked": True}, there=False),
    "GET v1/groups": users(),
    "GET v1/groups/{guid}": users(),
    "GET v1/groups/{guid}/members": users(),
    "GET v1/groups/remote": publishers(400),
    "POST v1/groups": publishers(400, NONSENSE),
    "POST v1/groups/{guid}": administrators(400, NONSENSE),
    "PATCH v1/groups/{guid}": administrators(400, NONSENSE),
    "DELETE v1/groups/{guid}": administrators(None),
    "POST v1/groups/{guid}/members": administrators(404, NONSENSE),
    "DELETE v1/groups/{guid}/members/{user_guid}": administrators(404),
    # content
    "GET v1/content": users(),
    "POST v1/content": publishers(400, NONSENSE),
    "GET v1/content/{guid}": seers(),
    "PATCH v1/content/{guid}": changers(400, NONSENSE),
    "DELETE v1/content/{guid}": Row((401, 404, 403, None, None)),
    "GET v1/content/{guid}/environment": changers(200),
    "PATCH v1/content/{guid}/environment": changers(400, NONSENSE),
    "PUT v1/content/{guid}/environment": changers(400, NONSENSE),
    "GET v1/content/{guid}/permissions": seers(),
    "POST v1/content/{guid}/permissions": changers(400, NONSENSE),
    "GET v1/content/{guid}/permissions/{id}": seers(),
    "PUT v1/content/{guid}/permissions/{id}": changers(400, NONSENSE),
    "DELETE v1/content/{guid}/permissions/{id}": changers(404, there=False),
    "GET v1/vanities": administrators(200),
    "GET v1/content/{guid}/vanity": seers(404),
    "PUT v1/content/{guid}/vanity": changers(400, NONSENSE),
    "DELETE v1/content/{guid}/vanity": changers(404),
    "GET v1/content/{guid}/tags": seers(),
    "POST v1/content/{guid}/tags": changers(400, NONSENSE),
    "DELETE v1/content/{guid}/tags/{id}": changers(404, there=False),
    "GET v1/content/{guid}/lockfile": seers(),
    "GET v1/content/{guid}/packages": seers(),
    "GET v1/packages": publishers(200),
    # what is deployed
    "GET v1/content/{guid}/bundles": changers(200),
    "POST v1/content/{guid}/bundles": changers(400, NONSENSE),
    "GET v1/content/{guid}/bundles/{id}": changers(200),
    "GET v1/content/{guid}/bundles/{id}/download": changers(200),
    "DELETE v1/content/{guid}/bundles/{id}": changers(409),
    "POST v1/content/{guid}/build": changers(404, {"bundle_id": "99999"}),
    "POST v1/content/{guid}/deploy": changers(404, {"bundle_id": "99999"}),
    "GET v1/content/{guid}/repository": changers(404),
    "PUT v1/content/{guid}/repository": changers(400, NONSENSE),
    "PATCH v1/content/{guid}/repository": changers(404, NONSENSE),
    "DELETE v1/content/{guid}/repository": changers(404),
    "POST v1/content/{guid}/repository/bundle": changers(400, NONSENSE),
    "GET v1/content/{guid}/jobs": changers(200),
    "GET v1/content/{guid}/jobs/{key}": changers(200),
    "GET v1/content/{guid}/jobs/{key}/log": changers(200),
    "GET v1/content/{guid}/jobs/{key}/download": changers(200),
    "DELETE v1/content/{guid}/jobs/{key}": changers(404, there=False),
    # of a task that is alice's
    "GET v1/tasks/{id}": Row((401, 404, 404, 200)),
    "GET tasks/{id}": Row((401, 404, 404, 200)),
    # the API before v1
    "GET applications": users(),
    "POST applications": publishers(400, NONSENSE),
    "GET applications/{id}": seers(),
    "POST applications/{id}": changers(400, NONSENSE),
    "GET applications/{id}/config": seers(),
    "POST applications/{id}/upload": changers(400, NONSENSE),
    "POST applications/{id}/deploy": changers(404, {"bundle": 99999}),
    # tags
    "GET v1/tags": users(),
    "GET v1/tags/{id}": users(),
    "GET v1/tags/{id}/content": users(),
    "POST v1/tags": administrators(400, NONSENSE),
    "PATCH v1/tags/{id}": administrators(404, NONSENSE, there=False),
    "DELETE v1/tags/{id}": administrators(404, there=False),
    # integrations
    "GET v1/oauth/templates": users(),
    "GET v1/oauth/templates/{id}": users(),
    "GET v1/oauth/integrations": users(),
    "GET v1/oauth/integrations/{guid}": users(),
    "POST v1/oauth/integrations": administrators(400, NONSENSE),
    "PATCH v1/oauth/integrations/{guid}": administrators(400, NONSENSE),
    "DELETE v1/oauth/integrations/{guid}": administrators(404, there=False),
    "GET v1/oauth/integrations/{guid}/associations": users(),
    "POST v1/oauth/integrations/credentials": users(400),
    "GET v1/oauth/sessions": users(),
    "GET v1/oauth/sessions/{guid}": HIDDEN,
    "DELETE v1/oauth/sessions/{guid}": HIDDEN,
    "GET v1/content/{guid}/oauth/integrations/associations": seers(),
    "PUT v1/content/{guid}/oauth/integrations/associations": changers(400, NONSENSE),
    # the server
    "GET v1/instrumentation/content/hits": publishers(200),
    "GET v1/instrumentation/content/visits": publishers(200),
    "GET v1/instrumentation/shiny/usage": publishers(200),
    "GET v1/system/caches/runtime": administrators(200),
    "DELETE v1/system/caches/runtime": administrators(404, NONSENSE),
    "GET v1/system/checks": administrators(200),
    "POST v1/system/checks": administrators(400, {"hostname": "elsewhere"}),
    "GET v1/system/checks/{id}": administrators(200),
    "GET v1/system/checks/{id}/results": administrators(200),
    "DELETE v1/system/checks/{id}": administrators(404, there=False),
    "GET v1/environments": publishers(200),
    "GET v1/environments/{guid}": publishers(404),
}


@pytest.mark.quick
def test_every_endpoint_has_a_row() -> None:
    app = web.Application()
    api.add_routes(app)
    lacking = web.Application()
    absent.add_routes(lacking)
    refused = {route.handler for route in lacking.router.routes()}
    routes = {
        f"{route.method} {route.resource.canonical.removeprefix(PREFIX)}"
        for route in app.router.routes()
        if route.resource
        and route.resource.canonical.startswith(PREFIX)
        and route.handler not in refused
        and route.method != "HEAD"
    }
    assert routes == set(ENDPOINTS)


@dataclass(frozen=True)
class Place:
    """A server, and in it one object of each kind."""

    server: LocalConnect
    #: what stands for a name in braces, by the part of the path before it
    objects: dict[str, str]

    def path(self, endpoint: str, *, there: bool) -> str:
        """The address of an endpoint."""
        filled: list[str] = []
        for part in endpoint.split("/"):
            before = filled[-1] if filled else ""
            if part == "{app_mode}":
                filled.append("python-api")
            elif not part.startswith("{"):
                filled.append(part)
            elif there or before in ("content", "applications"):
                # of some there is none
                filled.append(self.objects.get(before, str(uuid.UUID(int=0))))
            else:
                filled.append("99999" if part == "{id}" else str(uuid.UUID(int=0)))
        return PREFIX + "/".join(filled)


@pytest.fixture(scope="module")
def place(server: LocalConnect) -> Iterator[Place]:
    content = share(create(server))
    deploy(content, ECHO)
    server.get(content.path).raise_for_status()

    def first(path: str, user: str = "admin") -> Any:
        answer = server.get(PREFIX + path, user=user).raise_for_status().json()
        return (answer["results"] if isinstance(answer, dict) else answer)[0]

    def made(path: str, body: dict[str, Any], user: str = "admin") -> Any:
        return server.request("POST", PREFIX + path, user=user, json=body).raise_for_status().json()

    item = content.item
    tag = made("v1/tags", {"name": f"tag-{uuid.uuid4()}"})["id"]
    task = made(f"v1/content/{content.guid}/build", {"bundle_id": item["bundle_id"]}, "alice")
    yield Place(
        server,
        {
            "content": content.guid,
            "applications": item["id"],
            "bundles": item["bundle_id"],
            "permissions": first(f"v1/content/{content.guid}/permissions")["id"],
            "jobs": content.jobs[0]["key"],
            "tasks": task["task_id"],
            "users": server.users["dave"].guid,
            "groups": first("v1/groups")["guid"],
            "tags": tag,
            "templates": "connect",
            "integrations": first("v1/oauth/integrations")["guid"],
            "checks": made("v1/system/checks", {})["id"],
        },
    )
    server.request("DELETE", f"{PREFIX}v1/tags/{tag}", user="admin").raise_for_status()
    server.request("DELETE", content.api).raise_for_status()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_who_may(place: Place, endpoint: str) -> None:
    method, _, path = endpoint.partition(" ")
    row = ENDPOINTS[endpoint]
    people = OF_SERVER if len(row.answers) == len(OF_SERVER) else OF_CONTENT
    for who, expected in zip(people, row.answers, strict=True):
        if expected is None:
            continue
        address = place.path(path, there=row.there)
        answer = place.server.request(method, address, user=who, json=row.body)
        assert answer.status_code == expected, (who, answer.text)
