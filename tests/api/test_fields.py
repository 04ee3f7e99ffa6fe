"""The fields of Connect's objects and their types, as public fixtures of Connect's show them."""

import re
import uuid
from collections.abc import Callable
from typing import Any

from tests.bundles import app, packed
from tests.deployed import Content
from tests.publishing import finished, upload
from tests.servers import LocalConnect

Check = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str)


def whole(value: Any) -> bool:
    return type(value) is int


def truth(value: Any) -> bool:
    return type(value) is bool


def null(value: Any) -> bool:
    return value is None


def like(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value))


def or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def every(check: Check, *names: str) -> dict[str, Check]:
    return dict.fromkeys(names, check)


#: numbers that are text in Connect's API
number = like(r"[0-9]+")
guid = like(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
time = like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
version = like(r"\d+\.\d+\.\d+")

SERVER = {
    **every(text, "version", "about", "hostname", "execution_type"),
    "license": lambda value: all(map(truth, value.values())),
    "runtimes": each(text),
    **every(truth, "git_enabled", "git_available", "oauth_integrations_enabled"),
    **every(truth, "enable_runtime_constraints", "enable_image_management"),
    **every(truth, "default_image_selection_enabled", "default_environment_management_selection"),
    **every(truth, "default_r_environment_management", "default_py_environment_management"),
}
PYTHON = {
    "version": version,
    **every(text, "cluster_name", "image_name"),
    "publishable": truth,
}
APPLICATIONS = {
    "access_types": each(text),
    **every(text, "run_as", "run_as_group"),
    "run_as_current_user": truth,
}
SCHEDULER = {
    **every(whole, "min_processes", "max_processes", "max_conns_per_process"),
    "load_factor": lambda value: type(value) is float,
    **every(whole, "init_timeout", "idle_timeout", "connection_timeout", "read_timeout"),
    **every(whole, "min_processes_limit", "max_processes_limit"),
    **every(whole, "cpu_request", "max_cpu_request", "cpu_limit", "max_cpu_limit"),
    **every(whole, "memory_request", "max_memory_request", "memory_limit", "max_memory_limit"),
    **every(whole, "amd_gpu_limit", "max_amd_gpu_limit"),
    **every(whole, "nvidia_gpu_limit", "max_nvidia_gpu_limit"),
}
CONTENT = {
    **every(guid, "guid", "owner_guid"),
    **every(text, "name", "description", "content_category", "cluster_name"),
    **every(or_null(text), "title"),
    **every(truth, "locked", "parameterized", "run_as_current_user"),
    **every(or_null(whole), "connection_timeout", "read_timeout", "init_timeout", "idle_timeout"),
    **every(or_null(whole), "max_processes", "min_processes", "max_conns_per_process"),
    "load_factor": or_null(lambda value: type(value) in (int, float)),
    **every(null, "memory_request", "memory_limit", "cpu_request", "cpu_limit"),
    **every(null, "amd_gpu_limit", "nvidia_gpu_limit", "service_account_name", "image_name"),
    **every(null, "default_image_name", "r_version", "quarto_version", "run_as"),
    **every(null, "r_environment_management", "default_r_environment_management"),
    "default_py_environment_management": null,
    **every(null, "default_environment_guid", "environment_guid", "node_version"),
    **every(null, "metrics_collection_enabled", "notify_on_share"),
    **every(truth, "draft_marker_enabled", "otel_enabled"),
    "locked_message": text,
    "public_content_status": like("unrestricted"),
    "py_environment_management": truth,
    "py_version": version,
    **every(time, "created_time", "last_deployed_time"),
    **every(number, "id", "bundle_id"),
    "access_type": like("all|logged_in|acl"),
    "app_mode": like("python-api"),
    "app_role": like("owner|editor|viewer|none"),
    "content_url": like(r"http://[^/]+/content/[-0-9a-f]+/"),
    "dashboard_url": like(r"http://[^/]+/connect/#/apps/[-0-9a-f]+"),
}
FRESH = {**CONTENT, **every(null, "bundle_id", "py_version", "py_environment_management")}
FRESH["app_mode"] = like("unknown")
#: as the API before v1 has it
APPLICATION = {
    **CONTENT,
    **every(whole, "id", "bundle_id", "app_mode"),
    **every(truth, "vanity_url", "has_parameters", "is_scheduled", "owner_locked"),
    **every(text, "url", "owner_username", "owner_first_name", "owner_last_name", "owner_email"),
}
BUNDLE = {
    "id": number,
    **every(guid, "content_guid", "created_by"),
    **every(text, "created_by_user", "created_by_name"),
    "created_time": time,
    "cluster_name": text,
    **every(null, "environment_guid"),
    **every(null, "image_name", "r_version", "quarto_version", "r_environment_management"),
    "py_version": or_null(version),
    **every(truth, "active", "py_environment_management"),
    "size": whole,
    "metadata": lambda value: (
        not faults(
            value,
            {
                **every(or_null(text), "source", "source_repo", "source_branch", "source_commit"),
                "archive_md5": like("[0-9a-f]{32}"),
                "archive_sha1": like("[0-9a-f]{40}"),
            },
        )
    ),
}
USER = {
    "guid": guid,
    **every(text, "username", "email", "first_name", "last_name"),
    "user_role": like("viewer|publisher|administrator"),
    **every(time, "created_time", "updated_time"),
    "active_time": or_null(time),
    **every(truth, "confirmed", "locked"),
}
GROUP = {"guid": guid, "name": text, "owner_guid": or_null(guid)}
PERMISSION = {
    "id": number,
    **every(guid, "content_guid", "principal_guid"),
    "principal_type": like("user|group"),
    "role": like("viewer|owner"),
}
TAG = {
    "id": number,
    "name": text,
    "parent_id": or_null(number),
    **every(time, "created_time", "updated_time"),
}
VANITY = {"content_guid": guid, "path": like("/.+/"), "created_time": time}
TASK = {
    "id": text,
    "output": each(text),
    **every(whole, "last", "code"),
    "finished": truth,
    "error": text,
    "result": null,
}
JOB = {
    **every(number, "id", "pid", "app_id", "content_id", "variant_id", "bundle_id"),
    **every(guid, "app_guid", "content_guid"),
    **every(null, "ppid", "remote_id", "queued_time", "queue_name", "image"),
    **every(null, "error", "skip_reason"),
    **every(text, "key", "hostname", "cluster", "run_as", "variant_key"),
    **every(time, "start_time", "last_heartbeat_time"),
    "end_time": or_null(time),
    "status": whole,
    "exit_code": or_null(whole),
    "tag": like("run_python_api|python_restore"),
}


def faults(answer: Any, fields: dict[str, Check]) -> list[str]:
    """What is missing, too much, or of another type."""
    return [
        *(f"{name}: {answer.get(name)!r}" for name in fields if not fields[name](answer.get(name))),
        *sorted(answer.keys() ^ fields.keys()),
    ]


def test_fields(server: LocalConnect, published: Content) -> None:
    def ask(status: int, method: str, path: str, *, user: str = "alice", body: Any = None) -> Any:
        answer = server.request(method, f"/__api__/{path}", user=user, json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def check(answer: Any, fields: dict[str, Check]) -> Any:
        assert faults(answer, fields) == []
        return answer

    # the server
    settings = check(ask(200, "GET", "server_settings"), SERVER)
    assert settings["version"] == "2026.06.0"
    assert settings["license"]["allow-apis"] is True
    python = ask(200, "GET", "v1/server_settings/python")
    assert python["api_enabled"] is True
    for installation in python["installations"]:
        check(installation, PYTHON)
    for runtime in ("r", "quarto", "tensorflow", "nodejs"):
        assert ask(200, "GET", f"v1/server_settings/{runtime}")["installations"] == []
    check(ask(200, "GET", "server_settings/applications"), APPLICATIONS)
    scheduler = check(ask(200, "GET", "server_settings/scheduler"), SCHEDULER)
    assert scheduler == ask(200, "GET", "server_settings/scheduler/python-api")
    assert (scheduler["max_processes"], scheduler["load_factor"]) == (3, 0.5)

    # people
    check(ask(200, "GET", "v1/user"), USER)
    (alice,) = ask(200, "GET", "v1/users?prefix=alice")["results"]
    assert check(alice, USER) == check(ask(200, "GET", f"v1/users/{alice['guid']}"), USER)
    group = ask(200, "GET", "v1/groups")["results"][0]
    assert check(group, GROUP) == ask(200, "GET", f"v1/groups/{group['guid']}")
    for page in ("users", "groups", f"groups/{group['guid']}/members"):
        answer = ask(200, "GET", f"v1/{page}?page_size=1")
        assert (
            faults(answer, {"results": each(bool), **every(whole, "current_page", "total")}) == []
        )
        assert len(answer["results"]) == 1

    # content that has been deployed, and content that has not
    item = check(ask(200, "GET", f"v1/content/{published.guid}"), CONTENT)
    assert item in ask(200, "GET", "v1/content")
    old = check(ask(200, "GET", f"applications/{item['id']}"), APPLICATION)
    assert (old["guid"], old["app_mode"], old["url"]) == (item["guid"], 8, item["content_url"])
    assert ask(200, "GET", f"applications/{item['guid']}") == old
    assert old in ask(200, "GET", f"applications?search={item['name'].upper()}")["applications"]
    name = f"fields-{uuid.uuid4().hex[:12]}"
    unnamed = check(ask(200, "POST", "v1/content", body={"name": ""}), FRESH)
    again = ask(200, "PATCH", f"v1/content/{unnamed['guid']}", body={"name": "", "title": "x"})
    assert (again["name"], again["title"]) == (unnamed["name"], "x")
    ask(204, "DELETE", f"v1/content/{unnamed['guid']}")
    fresh = check(ask(200, "POST", "v1/content", body={"name": name}), FRESH)
    mine = f"v1/content/{fresh['guid']}"
    check(ask(200, "PATCH", mine, body={"title": "x", "load_factor": 0.5}), FRESH)

    # bundles, tasks, jobs
    content = Content(server, fresh["guid"])
    bundle_id = upload(content, packed(app()))
    (bundle,) = ask(200, "GET", f"{mine}/bundles")
    assert check(bundle, BUNDLE) == ask(200, "GET", f"{mine}/bundles/{bundle_id}")
    for work in ("build", "deploy"):
        task_id = ask(202, "POST", f"{mine}/{work}", body={"bundle_id": bundle_id})["task_id"]
        check(finished(server, task_id), TASK)
    job, *builds = ask(200, "GET", f"{mine}/jobs")
    assert all(check(build, JOB)["tag"] == "python_restore" for build in builds)
    assert check(job, JOB) == ask(200, "GET", f"{mine}/jobs/{job['key']}")
    ended = ask(202, "DELETE", f"{mine}/jobs/{job['key']}")
    assert faults(ended, {"app_id": whole, "app_guid": guid, "job_key": text}) == []
    check(ask(200, "GET", f"{mine}/jobs/{job['key']}"), {**JOB, "end_time": time})

    # what belongs to content
    names = ask(200, "PATCH", f"{mine}/environment", body=[{"name": "A", "value": "1"}])
    assert names == ask(200, "GET", f"{mine}/environment") == ["A"]
    assert ask(200, "PUT", f"{mine}/environment", body=[]) == []
    bob = {"principal_guid": server.users["bob"].guid, "principal_type": "user", "role": "viewer"}
    permission = check(ask(200, "POST", f"{mine}/permissions", body=bob), PERMISSION)
    one = f"{mine}/permissions/{permission['id']}"
    assert ask(200, "GET", one) == ask(200, "PUT", one, body=bob) == permission
    assert ask(200, "GET", f"{mine}/permissions") == [permission]
    vanity = check(ask(200, "PUT", f"{mine}/vanity", body={"path": f"/{name}/"}), VANITY)
    assert ask(200, "GET", f"{mine}/vanity") == vanity
    assert vanity in ask(200, "GET", "v1/vanities", user="admin")
    category = check(ask(200, "POST", "v1/tags", user="admin", body={"name": name}), TAG)
    below = {"name": name, "parent_id": category["id"]}
    tag = check(ask(200, "POST", "v1/tags", user="admin", body=below), TAG)
    renamed = {"name": f"{name}-2"}
    check(ask(200, "PATCH", f"v1/tags/{tag['id']}", user="admin", body=renamed), TAG)
    ask(204, "POST", f"{mine}/tags", body={"tag_id": tag["id"]})
    (held,) = ask(200, "GET", f"{mine}/tags")
    assert held == ask(200, "GET", f"v1/tags/{tag['id']}")
    (tagged,) = ask(200, "GET", f"v1/tags/{tag['id']}/content")
    assert check(tagged, CONTENT) == ask(200, "GET", mine)
    full = ask(200, "GET", f"{mine}?include=owner,tags,vanity_url")
    assert full == {
        **tagged,
        "owner": {field: alice[field] for field in ("guid", "username", "first_name", "last_name")},
        "tags": [held],
        "vanity_url": f"{server.url}/{name}/",
    }

    for path in (f"{mine}/tags/{tag['id']}", one, f"{mine}/vanity", mine):
        assert ask(204, "DELETE", path) is None
    assert ask(204, "DELETE", f"v1/tags/{category['id']}", user="admin") is None
