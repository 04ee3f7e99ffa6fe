"""The record of processes and builds: what is kept of it, and what a full disk does to it."""

import pytest

from local_connect.records.store import Store
from local_connect.runtime.jobs import BUILD, Jobs

pytestmark = pytest.mark.quick


def process(jobs: Jobs, key: str, guid: str) -> None:
    """One that starts and prints a line."""
    log = jobs.begin(key, content_guid=guid, bundle_id=1, app_mode="python-api", pid=1)
    log.write(f"I am {key}")


def test_the_newest_twenty_that_have_ended_are_kept_of_each_kind(
    store: Store, guids: tuple[str, str]
) -> None:
    one, two = guids
    jobs = Jobs(store)
    process(jobs, "still running", one)
    process(jobs, "another's", two)
    jobs.end("another's", 0)
    jobs.begin_build("built", content_guid=one, bundle_id=1)
    jobs.end("built", 0)
    for number in range(30):
        process(jobs, f"process {number}", one)
        jobs.end(f"process {number}", 0)

    # the last had not ended yet when it was looked for what to forget
    ended = [f"process {number}" for number in range(29, 8, -1)]
    kept = [job.key for job in jobs.find(one)]
    assert kept == [*ended, "built", "still running"]
    assert [job.key for job in jobs.find(two)] == ["another's"]
    assert [job.tag for job in jobs.find(one) if job.key == "built"] == [BUILD]
    assert jobs.log("process 8") == []
    assert [line["data"] for line in jobs.log("process 9")] == ["I am process 9"]
    logs = {path.stem for path in store.jobs.iterdir()}
    assert logs == {*ended, "another's", "still running"}
