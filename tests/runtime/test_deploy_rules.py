"""What is known of the environments that bundles run in, over processes that only pretend."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from local_connect.config import SchedulingDefaults
from local_connect.records.snapshot import Snapshot
from local_connect.records.store import Bundle, Content, Store
from local_connect.runtime.deploys import Deploys
from local_connect.runtime.environments import Environments, Pythons
from local_connect.runtime.history import History
from local_connect.runtime.jobs import Jobs
from local_connect.runtime.tasks import Tasks
from tests.bundles import manifest_of

pytestmark = pytest.mark.quick

Build = Callable[..., int]


class Retired:
    """Takes note of the bundles whose processes are to end."""

    def __init__(self) -> None:
        self.bundles: list[int] = []

    def retire(self, bundle_id: int) -> None:
        self.bundles.append(bundle_id)


@pytest.fixture
def retired() -> Retired:
    return Retired()


@pytest.fixture
def deploys(store: Store, retired: Retired) -> Deploys:
    processes: Any = retired
    return Deploys(
        store=store,
        snapshot=Snapshot(store),
        environments=Environments(store.environments, build_seconds=1),
        processes=processes,
        tasks=Tasks(),
        jobs=Jobs(store),
        history=History(store),
        pythons=Pythons(),
        scheduling=SchedulingDefaults(),
        debugged={},
    )


@pytest.fixture
def build(store: Store, guids: tuple[str, str]) -> Build:
    """Makes a bundle with an environment of its own; its id."""

    def build(py_version: str, packages: str = "[]", **metadata: Any) -> int:
        bundle = Bundle(
            content_guid=guids[0],
            created_by="",
            size=1,
            archive_md5="",
            archive_sha1="",
            manifest={**manifest_of({}), **metadata},
            py_version=py_version,
            environment=f"for {py_version}",
        )
        with store.session() as session:
            session.add(bundle)
            session.flush()
            session.query(Content).filter_by(guid=guids[0]).one().bundle_id = bundle.id
        environment = store.environments / f"for {py_version}"
        environment.mkdir()
        (environment / "complete.json").write_text(packages)
        return bundle.id

    return build


def test_the_environments_of_one_python_are_removed(
    store: Store, deploys: Deploys, retired: Retired, build: Build
) -> None:
    old, _new = build("3.9.1"), build("3.13.1")
    assert deploys.caches() == ["3.9.1", "3.13.1"]

    async def delete() -> None:
        task = deploys.delete_cache("alice", "3.9.1")
        await task.wait(1, 5)
        assert (task.code, task.output) == (0, ["Deleted the environments for Python 3.9.1"])

    asyncio.run(delete())
    assert retired.bundles == [old]
    assert deploys.caches() == ["3.13.1"]
    assert [path.name for path in store.environments.iterdir()] == ["for 3.13.1"]


def test_what_only_a_reset_needs_stays(store: Store, deploys: Deploys, build: Build) -> None:
    """When the environments of another Python are removed."""
    of_the_seed = build("3.13.1")
    store.bundle_directory(of_the_seed).mkdir()
    store.archive(of_the_seed).touch()
    Snapshot(store).take("seed")
    with store.session() as session:
        session.query(Content).update({"bundle_id": None})
        session.query(Bundle).delete()
    build("3.9.1")

    async def delete() -> None:
        await deploys.delete_cache("alice", "3.9.1").wait(1, 5)

    asyncio.run(delete())
    assert [path.name for path in store.environments.iterdir()] == ["for 3.13.1"]


def test_a_bundle_asks_for_no_packages_where_its_environment_is_not_managed(
    store: Store, deploys: Deploys, guids: tuple[str, str], build: Build
) -> None:
    def asked_for(**metadata: Any) -> tuple[str, ...]:
        version = f"3.13.{len(deploys.caches())}"
        bundle_id = build(version, '["flask==3.1", "click==8.2"]', **metadata)
        store.app_directory(bundle_id).mkdir(parents=True)
        (store.app_directory(bundle_id) / "requirements.txt").write_text("Flask")
        content = store.content(guids[0])
        assert content
        assert deploys.packages(content) == ("flask==3.1", "click==8.2")
        return deploys.requirements(content)

    assert asked_for() == ("flask==3.1",)
    assert asked_for(environment={"environment_management": {"python": False}}) == ()
