"""The posit-sdk, as people use it to share what they have deployed."""

import functools
import hashlib
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from posit.connect import Client  # type: ignore[import-untyped]
from posit.connect.errors import ClientError  # type: ignore[import-untyped]

from tests.access.conftest import ECHO, create, deploy, permit, write_users, wsgi
from tests.deployed import Content
from tests.servers import LocalConnect, eventually, running_server

#: the client of one of the people, by name
Sdk = Callable[[str], Any]


@pytest.fixture(scope="session")
def sdk(server: LocalConnect) -> Sdk:
    # what a client gives holds on to the client only weakly, so they are kept
    return functools.cache(lambda name: Client(server.url, server.users[name].api_key))


def refused(status: int) -> "pytest.RaisesExc[ClientError]":
    return pytest.raises(ClientError, check=lambda error: bool(error.http_status == status))


def new_name() -> str:
    return f"sdk-{uuid.uuid4().hex[:12]}"


def test_me_and_the_version(sdk: Sdk, server: LocalConnect) -> None:
    client = sdk("Zoë <李>")
    assert client.me["username"] == "Zoë <李>"
    assert client.me["guid"] == server.users["Zoë <李>"].guid
    assert client.me["user_role"] == "publisher"
    assert client.version == "2026.06.0"
    with refused(401):
        _ = Client(server.url, "0" * 32).me


def test_users(sdk: Sdk, server: LocalConnect) -> None:
    users = sdk("bob").users
    assert {user["username"] for user in users.find()} == set(server.users)
    assert users.count() == len(server.users)
    assert users.get(server.users["alice"].guid)["first_name"] == "Alice"
    with refused(404):
        users.get(str(uuid.uuid4()))

    def found(**conditions: str) -> set[str]:
        return {user["username"] for user in users.find(**conditions)}

    # of the username, the first and the last name, in any case and script
    assert found(prefix="GRA") == {"grace"}
    assert found(prefix="lid") == {"alice"}
    assert found(prefix="zoË") == {"Zoë <李>"}
    assert found(prefix="a") == {"alice", "admin"}
    assert found(prefix="lice") == set()
    assert found(prefix="%") == set()
    assert found(user_role="administrator") == {"admin"}
    assert found(user_role="viewer") == {"bob", "carol", "dave", "heidi"}
    assert found(user_role="viewer|administrator", prefix="a") == {"admin"}
    assert users.find_one(prefix="grace")["username"] == "grace"
    assert users.find_one(prefix="nobody") is None
    assert found(account_status="locked") == set()
    assert found(account_status="locked|licensed", prefix="grace") == {"grace"}


def test_users_in_pages(server: LocalConnect) -> None:
    names = []
    for page in (1, 2, 3):
        query = {"page_number": page, "page_size": 4}
        answer = server.get("/__api__/v1/users", params=query).json()
        assert set(answer) == {"results", "current_page", "total"}
        assert answer["current_page"] == page
        assert answer["total"] == len(server.users)
        names.append([user["username"] for user in answer["results"]])
    assert [len(page) for page in names] == [4, 4, 2]
    assert sum(names, []) == sorted(server.users)  # noqa: RUF017
    beyond = server.get("/__api__/v1/users", params={"page_number": 4, "page_size": 4}).json()
    assert beyond["results"] == []


def test_more_users_than_a_page_has(tmp_path: Path) -> None:
    text = '[[users]]\nusername = "root"\nuser_role = "administrator"\n' + "".join(
        f'[[users]]\nusername = "user{number}"\nuser_role = "viewer"\ngroups = ["all"]\n'
        for number in range(1100)
    )
    users = write_users(tmp_path / "users.toml", text)
    with running_server(tmp_path / "data", "--users", str(users)) as server:
        client = Client(server.url, server.users["root"].api_key)
        assert len({user["guid"] for user in client.users.find()}) == 1101
        (group,) = client.groups.find()
        assert len(group.members.find()) == group.members.count() == 1100


def test_groups(sdk: Sdk, server: LocalConnect) -> None:
    groups = sdk("bob").groups
    everything = groups.find()
    assert {group["name"] for group in everything} == {
        *("staff", "readers", "editors", *server.users["Zoë <李>"].groups)
    }
    assert groups.count() == len(everything)
    staff = groups.find_one(prefix="STA")
    assert staff["name"] == "staff"
    assert groups.get(staff["guid"]) == staff
    assert {user["username"] for user in staff.members.find()} == {"alice", "erin"}
    assert staff.members.count() == 2
    assert groups.find_one(prefix="редак")["name"] == "Редакция"
    assert groups.find(prefix="none") == []
    with refused(404):
        groups.get(str(uuid.uuid4()))
    zoe = sdk("bob").users.get(server.users["Zoë <李>"].guid)
    assert {group["name"] for group in zoe.groups.find()} == set(server.users["Zoë <李>"].groups)


def test_content_from_beginning_to_end(sdk: Sdk) -> None:
    client = sdk("alice")
    name = new_name()
    item = client.content.create(name=name, title="Ein Titel", description="für alle")
    assert (item["name"], item["title"], item["access_type"]) == (name, "Ein Titel", "acl")
    assert item["owner_guid"] == client.me["guid"]
    assert item["app_role"] == "owner"

    assert client.content.get(item["guid"])["description"] == "für alle"
    assert client.content.find_one(name=name)["guid"] == item["guid"]
    assert client.content.find_by(title="Ein Titel", name=name)["guid"] == item["guid"]
    assert item["guid"] in {found["guid"] for found in client.me.content.find()}
    assert sdk("erin").content.find(name=name) == []
    with refused(404):
        sdk("erin").content.get(item["guid"])

    item.update(access_type="logged_in", title="Title", min_processes=0, load_factor=0.25)
    assert (item["access_type"], item["title"], item["load_factor"]) == ("logged_in", "Title", 0.25)
    assert sdk("erin").content.get(item["guid"])["app_role"] == "viewer"
    with refused(403):
        sdk("erin").content.get(item["guid"]).update(title="Mine")
    with refused(400):
        item.update(access_type="everyone")
    with refused(501):
        item.update(run_as="x")
    with refused(400):
        item.update(colour="red")
    assert client.content.get(item["guid"])["title"] == "Title"

    item.delete()
    with refused(404):
        client.content.get(item["guid"])
    # the name is free again
    assert client.content.create(name=name)["guid"] != item["guid"]


@pytest.mark.parametrize("access_type", ["all", "logged_in", "acl"])
def test_access_type_from_the_beginning(sdk: Sdk, access_type: str) -> None:
    item = sdk("alice").content.create(name=new_name(), access_type=access_type)
    assert item["access_type"] == access_type
    assert sdk("alice").content.get(item["guid"])["access_type"] == access_type


def test_packages(sdk: Sdk, server: LocalConnect) -> None:
    content = create(server)
    assert server.get(f"{content.api}/packages").status_code == 204
    deploy(content, ECHO)
    client = sdk("alice")
    lock = server.get(f"{content.api}/lockfile").text.splitlines()
    found = list(client.content.get(content.guid).packages)
    assert sorted(f"{package['name']}=={package['version']}" for package in found) == sorted(lock)
    (flask,) = [package for package in found if package["name"].lower() == "flask"]
    assert (flask["language"], flask["language_version"]) == ("python", content.item["py_version"])
    query = {"name": flask["name"], "page_size": 500}
    every = server.get("/__api__/v1/packages", params=query).json()["results"]
    (ours,) = [package for package in every if package["content_guid"] == content.guid]
    assert (ours["version"], ours["bundle_id"]) == (flask["version"], content.item["bundle_id"])
    assert {package["name"] for package in every} == {flask["name"]}
    # of content that is not theirs, publishers learn nothing
    others = server.get("/__api__/v1/packages", user="erin", params=query).json()["results"]
    assert content.guid not in {package["app_guid"] for package in others}
    assert server.get("/__api__/v1/packages", user="bob").status_code == 403


def test_content_is_locked(sdk: Sdk, server: LocalConnect) -> None:
    content = create(server, access_type="all")
    bundle_id = deploy(content, ECHO)
    item = sdk("alice").content.get(content.guid)
    item.update(locked=True, locked_message="Gone to <elsewhere>.")
    assert (item["locked"], item["locked_message"]) == (True, "Gone to <elsewhere>.")
    for user in (None, "bob", "alice"):
        answer = server.get(content.path, user=user)
        assert (answer.status_code, answer.json()["error"]) == (423, "Gone to <elsewhere>.")
    page = server.get(content.path, user=None, headers={"Accept": "text/html"})
    assert page.status_code == 423
    assert "Gone to &lt;elsewhere&gt;." in page.text
    # its process ends, and none comes
    assert eventually(lambda: not [job for job in item.jobs.fetch() if job["status"] == 0])
    with refused(409):
        item.bundles.get(bundle_id).deploy()
    item.update(locked=False)
    assert server.get(content.path, user=None).status_code == 200
    with refused(400):
        item.update(locked="yes")


def test_content_is_given_away(sdk: Sdk, server: LocalConnect) -> None:
    content = create(server)
    deploy(content, ECHO)
    erin, frank, bob = (server.users[name].guid for name in ("erin", "frank", "bob"))
    permit(content, "frank", "owner")
    item = sdk("admin").content.get(content.guid)
    for who in ("alice", "frank"):
        with refused(403):
            sdk(who).content.get(content.guid).update(owner_guid=erin)
    for other in (bob, str(uuid.uuid4()), 7):
        with refused(400):
            item.update(owner_guid=other)
    item.update(owner_guid=frank)
    assert sdk("frank").content.get(content.guid)["app_role"] == "owner"
    assert item.permissions.find() == []
    # the app acts as its new owner from now on
    variables = content.echo(user="frank")["variables"]
    key = {"Authorization": f"Key {variables['CONNECT_API_KEY']}"}
    assert server.get("/__api__/v1/user", user=None, headers=key).json()["username"] == "frank"
    with refused(404):
        sdk("alice").content.get(content.guid)
    with refused(400):
        sdk("alice").content.create(name=new_name(), owner_guid=erin)


def test_content_without_a_name(sdk: Sdk) -> None:
    first, second = (sdk("alice").content.create(title="Untitled") for _ in range(2))
    assert first["name"] != second["name"]


def test_owner_tags_and_vanity_are_shown_to_who_asks(sdk: Sdk, server: LocalConnect) -> None:
    client = sdk("alice")
    item = client.content.create(name=new_name(), access_type="logged_in")
    plain = server.get(f"/__api__/v1/content/{item['guid']}").json()
    assert not plain.keys() & {"owner", "tags", "vanity_url"}
    item.vanity = f"/{new_name()}/"
    full = sdk("bob").content.get(item["guid"])
    assert full["owner"] == {
        "guid": server.users["alice"].guid,
        "username": "alice",
        "first_name": "Alice",
        "last_name": "Liddell",
    }
    assert "tags" not in full
    assert full["vanity_url"] == f"{server.url}{item.vanity}"
    (found,) = client.content.find(include=["owner", "vanity_url"], name=item["name"])
    assert found["owner"] == full["owner"]
    assert item.owner["username"] == "alice"
    item.delete()


def test_permissions_of_users(sdk: Sdk, server: LocalConnect) -> None:
    client = sdk("alice")
    item = client.content.create(name=new_name())
    bob, erin = (client.users.get(server.users[name].guid) for name in ("bob", "erin"))
    assert item.permissions.find() == []

    permission = item.permissions.create(bob, role="viewer")
    assert permission["principal_guid"] == bob["guid"]
    assert permission["principal_type"] == "user"
    assert sdk("bob").content.get(item["guid"])["app_role"] == "viewer"
    assert item.permissions.get(permission["id"]) == permission
    with refused(409):
        item.permissions.create(bob, role="viewer")
    with refused(403):
        permission.update(role="owner")

    collaborator = item.permissions.create(
        principal_guid=erin["guid"], principal_type="user", role="viewer"
    )
    collaborator.update(role="owner")
    assert item.permissions.find_one(principal_guid=erin["guid"])["role"] == "owner"
    theirs = sdk("erin").content.get(item["guid"])
    assert theirs["app_role"] == "editor"
    theirs.update(title="Ours")
    theirs.permissions.destroy(bob)
    with refused(404):
        sdk("bob").content.get(item["guid"])
    assert item.permissions.count() == 1
    collaborator.destroy()
    with refused(404):
        theirs.update(title="Mine")
    with refused(404):
        collaborator.destroy()
    assert item.permissions.find() == []


def test_permissions_of_groups(sdk: Sdk) -> None:
    client = sdk("alice")
    item = client.content.create(name=new_name())
    readers, editors = (client.groups.find_one(prefix=name) for name in ("readers", "editors"))
    permission = item.permissions.create(readers, role="viewer")
    assert permission["principal_type"] == "group"
    assert sdk("dave").content.get(item["guid"])["app_role"] == "viewer"
    item.permissions.create(editors, role="owner")
    assert sdk("grace").content.get(item["guid"])["app_role"] == "editor"
    # in a group of collaborators a viewer is still a viewer
    assert sdk("heidi").content.get(item["guid"])["app_role"] == "viewer"
    item.permissions.destroy(editors)
    with refused(404):
        sdk("grace").content.get(item["guid"])
    item.permissions.destroy(permission)
    with refused(404):
        sdk("dave").content.get(item["guid"])


def test_the_stronger_permission_counts(sdk: Sdk) -> None:
    client = sdk("alice")
    item = client.content.create(name=new_name())
    item.permissions.create(client.users.find_one(prefix="grace"), role="viewer")
    assert sdk("grace").content.get(item["guid"])["app_role"] == "viewer"
    item.permissions.create(client.groups.find_one(prefix="editors"), role="owner")
    assert sdk("grace").content.get(item["guid"])["app_role"] == "editor"


@pytest.mark.parametrize(
    ("permission", "status"),
    [
        ({"principal_type": "user", "role": "viewer"}, 404),
        ({"principal_guid": "{none}", "principal_type": "user", "role": "viewer"}, 404),
        ({"principal_guid": "{bob}", "principal_type": "group", "role": "viewer"}, 404),
        ({"principal_guid": "{bob}", "principal_type": "role", "role": "viewer"}, 400),
        ({"principal_guid": "{bob}", "principal_type": "user", "role": "editor"}, 400),
        ({"principal_guid": "{bob}", "principal_type": "user"}, 400),
        ({"principal_guid": ["{bob}"], "principal_type": "user", "role": "viewer"}, 404),
        ({"principal_guid": "{alice}", "principal_type": "user", "role": "owner"}, 409),
    ],
)
def test_permissions_that_make_no_sense(
    sdk: Sdk, server: LocalConnect, own: Content, permission: dict[str, str], status: int
) -> None:
    guids = {
        "{none}": str(uuid.uuid4()),
        "{bob}": server.users["bob"].guid,
        "{alice}": server.users["alice"].guid,
    }
    body = {
        key: guids.get(value, value) if isinstance(value, str) else value
        for key, value in permission.items()
    }
    item = sdk("alice").content.get(own.guid)
    with refused(status):
        item.permissions.create(**body)
    assert item.permissions.find() == []


def test_a_permission_of_other_content(sdk: Sdk) -> None:
    client = sdk("alice")
    bob = client.users.find_one(prefix="bob")
    first, second = (client.content.create(name=new_name()) for _ in range(2))
    permission = first.permissions.create(bob, role="viewer")
    with refused(404):
        second.permissions.get(permission["id"])
    with refused(404):
        second.permissions.destroy(permission["id"])
    # whose permission it is does not change
    with refused(400):
        permission.update(principal_guid=client.users.find_one(prefix="carol")["guid"])
    assert first.permissions.find_one()["principal_guid"] == bob["guid"]


def test_vanity(sdk: Sdk, server: LocalConnect) -> None:
    client = sdk("alice")
    item, other = (client.content.create(name=new_name()) for _ in range(2))
    first, second = new_name(), new_name()
    assert item.vanity is None
    item.vanity = first
    assert item.vanity == f"/{first}/"
    assert client.content.get(item["guid"]).find_vanity()["path"] == f"/{first}/"
    with refused(409):
        other.vanity = first
    item.vanity = f"/{second}/"
    other.vanity = first
    with refused(409):
        other.create_vanity(path=second)
    # to take a path away is for administrators
    with refused(403):
        other.create_vanity(path=second, force=True)
    sdk("admin").content.get(other["guid"]).create_vanity(path=second, force=True)
    assert client.content.get(other["guid"]).vanity == f"/{second}/"
    assert client.content.get(item["guid"]).vanity is None

    everything = {vanity["content_guid"]: vanity["path"] for vanity in sdk("admin").vanities.all()}
    assert everything[other["guid"]] == f"/{second}/"
    assert item["guid"] not in everything
    with refused(403):
        client.vanities.all()

    fresh = client.content.get(other["guid"])
    del fresh.vanity
    assert fresh.vanity is None
    assert server.get(f"/{second}/").status_code == 404
    del fresh.vanity


def test_variables(sdk: Sdk, own: Content) -> None:
    item = sdk("alice").content.get(own.guid)
    variables = item.environment_variables
    variables.create("FIRST", "1")
    variables.update(SECOND="zwei, 二", THIRD="")
    assert list(variables) == ["FIRST", "SECOND", "THIRD"]
    variables["FOURTH"] = "4"
    del variables["FIRST"]
    variables.delete("THIRD")
    assert variables.find() == ["FOURTH", "SECOND"]
    deploy(own, ECHO)
    assert own.echo()["variables"]["SECOND"] == "zwei, 二"
    assert "FIRST" not in own.echo()["variables"]
    variables.update(SECOND="2")
    assert own.echo()["variables"]["SECOND"] == "2"
    variables.clear()
    assert len(variables) == 0
    assert "SECOND" not in own.echo()["variables"]


def test_deploy_restart_and_lockfile(sdk: Sdk, server: LocalConnect) -> None:
    content = create(server)
    bundle = deploy(content, ECHO)
    item = sdk("alice").content.get(content.guid)
    task = item.deploy()
    task.wait_for()
    assert task["code"] == 0
    assert sdk("alice").content.get(content.guid)["bundle_id"] == bundle
    (listed,) = item.bundles.find()
    assert listed["id"] == bundle
    assert listed["active"]

    job = content.echo()["variables"]["CONNECT_CONTENT_JOB_KEY"]
    item.restart()
    assert content.echo()["variables"]["CONNECT_CONTENT_JOB_KEY"] != job

    lockfile = item.get_lockfile()
    assert "flask==3.1" in lockfile.text
    assert lockfile.python_version == item["py_version"] or lockfile.python_version
    with refused(404):
        item.bundles.get("99999")


ONE_LINE = """
print("it starts", flush=True)
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""


def test_bundles_and_jobs(sdk: Sdk, own: Content, tmp_path: Path) -> None:
    client = sdk("alice")
    item = client.content.get(own.guid)
    archive = wsgi(ONE_LINE)
    path = tmp_path / "bundle.tar.gz"
    path.write_bytes(archive)
    assert item.bundles.find_one() is None
    first, second = item.bundles.create(archive), item.bundles.create(str(path))
    with path.open("rb") as file:
        third = item.bundles.create(file)
    assert [bundle["id"] for bundle in item.bundles.find()] == [
        bundle["id"] for bundle in (third, second, first)
    ]
    assert item.bundles.find_one() == third
    assert item.bundles.active() is None

    task = first.deploy()
    task.wait_for()
    assert (task.is_finished, task.error_code, task.error_message) == (True, 0, "")
    built = client.content.get(own.guid)["py_version"]
    assert item.bundles.active() == {**first, "active": True, "py_version": built}
    assert own.server.get(own.path).text == "served"

    downloaded = io.BytesIO()
    first.download(downloaded)
    second.download(str(tmp_path / "second.tar.gz"))
    assert downloaded.getvalue() == (tmp_path / "second.tar.gz").read_bytes() == archive
    assert first.metadata["archive_sha1"] == hashlib.sha1(archive).hexdigest()  # noqa: S324
    second.delete()
    third.delete()
    with refused(404):
        item.bundles.get(second["id"])
    with refused(409):
        first.delete()

    broken = item.bundles.create(wsgi("raise SystemExit('no luck')"))
    task = broken.deploy()
    task.wait_for(wait=5)
    assert (task.is_finished, task.error_code) == (True, 0)
    assert "no luck" in task["output"]
    assert item.bundles.active()["id"] == broken["id"]
    first.deploy().wait_for(wait=5)
    assert item.bundles.active()["id"] == first["id"]

    job = item.jobs.find_by(status=0)
    assert (job["bundle_id"], job["tag"], job["end_time"]) == (first["id"], "run_python_api", None)
    assert item.jobs.find(job["key"]) == job
    # three processes, and the build of each of the three deployments
    assert len(item.jobs) == 6
    log = client.get(f"v1/content/{own.guid}/jobs/{job['key']}/log").json()
    assert [entry["data"] for entry in log["entries"]] == ["it starts"]
    job.destroy()
    assert item.jobs.find(job["key"])["status"] == 1
    with refused(404):
        sdk("erin").get(f"v1/content/{own.guid}/jobs")


def test_tags(sdk: Sdk, own: Content) -> None:
    tags = sdk("admin").tags
    category = tags.create(name=new_name())
    tag = tags.create(name=new_name(), parent=category)
    leaf = tags.create(name=new_name(), parent_id=tag["id"])
    other = tags.create(name=new_name(), parent=category)
    assert tag["parent_id"] == category["id"]
    assert {child["id"] for child in category.child_tags.find()} == {tag["id"], other["id"]}
    assert {below["id"] for below in category.descendant_tags.find()} == {
        *(tag["id"], leaf["id"], other["id"])
    }
    assert tags.find(name=leaf["name"]) == [tags.get(leaf["id"])]
    leaf.update(name=new_name())
    leaf.update(parent=other)
    assert tags.get(leaf["id"]).parent_tag == other
    with refused(403):
        sdk("alice").tags.create(name=new_name())
    with refused(409):
        tags.create(name=tag["name"], parent=category)

    item = sdk("alice").content.get(own.guid)
    item.tags.add(leaf)
    item.tags.add(tag["id"])
    # a tag brings those above it, but for the category
    held = {tag["id"], other["id"], leaf["id"]}
    assert {found["id"] for found in item.tags.find()} == held
    assert {found["id"] for found in sdk("alice").content.get(own.guid)["tags"]} == held
    for one in (category, other, leaf):
        assert [found["guid"] for found in one.content_items.find()] == [own.guid]
    with refused(400):
        item.tags.add(category)
    # those above a tag stay when it goes, those below go with it
    item.tags.delete(leaf)
    assert {found["id"] for found in item.tags.find()} == {tag["id"], other["id"]}
    assert leaf.content_items.find() == []
    item.tags.add(leaf)
    item.tags.delete(other)
    assert {found["id"] for found in item.tags.find()} == {tag["id"]}
    item.tags.delete(category)
    assert item.tags.find() == category.content_items.find() == []
    item.tags.add(tag)
    category.destroy()
    assert item.tags.find() == []
    with refused(404):
        tags.get(tag["id"])


def test_a_viewer_does_not_publish(sdk: Sdk) -> None:
    with refused(403):
        sdk("bob").content.create(name=new_name())


def test_a_task_that_is_not_there(sdk: Sdk) -> None:
    with refused(404):
        sdk("admin").tasks.get("none")
