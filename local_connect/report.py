"""`local-connect report`: what somebody else needs to know about a fault, without secrets.

It reads the data directory and changes nothing there, so a server may go on using it, and one that
cannot start can be reported, too.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from local_connect.client.seed import users_file
from local_connect.config import Settings
from local_connect.records.reading import opened
from local_connect.runtime.jobs import BUILD

#: what a fault may come from, besides this package
PACKAGES = (
    *("rsconnect-python", "aiohttp", "httptools", "sqlalchemy", "uv", "uvicorn", "waitress"),
    *("watchfiles", "wsproto"),
)

#: variables that change where packages and servers are found; their values may have passwords
NAMED_ONLY = re.compile(r"(?i)^(https?_proxy|no_proxy|all_proxy|(PIP|UV|CONNECT|RSCONNECT)_\w+)$")

#: content items, the ones that were deployed last, and lines of each log
ITEMS = 5
LINES = 40

#: characters that a value has at least to be taken out of logs: shorter ones are no secrets, and
#: are in any text
SHORTEST = 4

_Row = Mapping[str, Any]

#: what looks like a secret wherever it comes from, and what is left of it
_PATTERNS = (
    (re.compile(r"(?i)(authorization: *(?:\w+ +)?)\S+"), r"\1<secret>"),
    (
        re.compile(r"(?i)((?:password|passwd|secret|token|api_?key)\w{0,40}['\"]?\s*[=:]\s*)\S+"),
        r"\1<secret>",
    ),
    # keys, and tokens of visitors and of content, as this server makes them; not all are kept
    (re.compile(r"(?<![\w-])(?:[0-9a-f]{32}|[\w-]{43})(?![\w-])"), "<key>"),
    # looked for where a word begins only, as a log may have words of megabytes
    (re.compile(r"(?<!\w)(\w+://)[^/\s@]+@"), r"\1<secret>@"),
    (re.compile(r"(?<![\w.+@-])[\w.+@-]+@[\w-]+(\.[\w-]+)+"), "<e-mail>"),
)


def report(settings: Settings) -> str:
    """Versions, settings, and of the newest content what it is and what its logs end with.

    Keys, the values of variables, credentials of the users file, e-mail addresses and the name of
    the home directory are taken out, and what looks like a password or a token in a log.
    """
    text = "\n".join([*_versions(), "", *_settings(settings), "", *_data(settings.data)])
    return without_secrets(text, _secrets(settings)) + "\n"


def without_secrets(text: str, secrets: Mapping[str, str]) -> str:
    """The text with the name of each secret in its place, and without what looks like one."""
    # the longest first, as one may be part of another
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, f"<{secrets[secret]}>")
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return (
        re.sub(rf"{re.escape(str(Path.home()))}(?=/|\s|$)", "~", text) if Path.home().name else text
    )


def _versions() -> Iterator[str]:
    yield f"local-connect {version('local-connect')}"
    yield f"Python {platform.python_version()} on {platform.platform()}"
    yield ", ".join(f"{package} {_version(package)}" for package in PACKAGES)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def _settings(settings: Settings) -> Iterator[str]:
    yield "Settings"
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in ("limits", "scheduling") or value == field.default:
            continue
        yield f"  {field.name} = {value}"
    named = sorted(name for name in os.environ if NAMED_ONLY.match(name))
    yield f"  set in the environment: {', '.join(named) or 'nothing that matters'}"


def _data(data: Path) -> Iterator[str]:
    database = data / "local-connect.db"
    if not database.is_file():
        yield f"There is no data in {data}: local-connect --data DIR report says where it is."
        return
    try:
        with opened(database) as connection:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            yield f"Data, in schema {schema}"
            numbers = (
                f"{_count(connection, table)} {table}" for table in ("users", "content", "bundles")
            )
            yield f"  {', '.join(numbers)}"
            newest = "SELECT * FROM content ORDER BY last_deployed_time DESC, id DESC LIMIT ?"
            for item in connection.execute(newest, (ITEMS,)).fetchall():
                yield ""
                yield from _content(connection, data, item)
    except sqlite3.Error as error:
        yield f"  The database cannot be read: {error}."


def _count(connection: sqlite3.Connection, table: str) -> int:
    (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 (ours)
    return int(number)


def _content(connection: sqlite3.Connection, data: Path, item: _Row) -> Iterator[str]:
    guid = item["guid"]
    yield f"Content {item['name']} ({item['app_mode']}, {item['access_type']})"
    scheduling = ("min_processes", "max_processes", "max_conns_per_process", "load_factor")
    timeouts = ("init_timeout", "idle_timeout", "connection_timeout", "read_timeout")
    own = [f"{name} = {item[name]}" for name in (*scheduling, *timeouts) if item[name] is not None]
    if own:
        yield f"  {', '.join(own)}"
    variables = connection.execute(
        "SELECT name FROM environment_variables WHERE content_guid = ? ORDER BY name", (guid,)
    )
    if names := [row["name"] for row in variables]:
        yield f"  variables: {', '.join(names)}"
    bundle = connection.execute(
        "SELECT * FROM bundles WHERE content_guid = ? ORDER BY id DESC LIMIT 1", (guid,)
    ).fetchone()
    if bundle is None:
        yield "  no bundle"
        return
    yield from _bundle(bundle, active=item["bundle_id"])
    deployment = connection.execute(
        "SELECT * FROM deployments WHERE content_guid = ? ORDER BY id DESC LIMIT 1", (guid,)
    ).fetchone()
    if deployment is not None:
        ended = deployment["error"] or ("well" if deployment["end_time"] else "not yet")
        yield f"  Last {deployment['kind']}, of bundle {deployment['bundle_id']}, ended: {ended}"
        yield from _last_lines(deployment["output"])
    # a build is a job, too, and its log is part of the deployment's
    job = connection.execute(
        "SELECT * FROM jobs WHERE content_guid = ? AND tag != ? ORDER BY id DESC LIMIT 1",
        (guid, BUILD),
    ).fetchone()
    if job is not None:
        ended = "runs" if job["end_time"] is None else f"ended with status {job['exit_code']}"
        yield f"  Last process ({job['tag']}), which {ended}"
        log = data / "jobs" / f"{job['key']}.log"
        yield from _last_lines(log.read_text("utf-8", "replace") if log.is_file() else "")


def _bundle(bundle: _Row, *, active: int | None) -> Iterator[str]:
    manifest = json.loads(bundle["manifest"])
    about = manifest.get("metadata", {})
    live = "live" if bundle["id"] == active else f"not live: {active or 'none'} is"
    yield (
        f"  newest bundle {bundle['id']} ({live}): {bundle['size']} bytes, "
        f"entry point {about.get('entrypoint')}, {len(manifest.get('files', {}))} files, "
        f"made by Python {manifest.get('python', {}).get('version')}, "
        f"built for {bundle['py_version']}"
    )
    for warning in json.loads(bundle["warnings"]):
        yield f"  warning: {warning}"


def _last_lines(text: str) -> Iterator[str]:
    for line in text.splitlines()[-LINES:]:
        yield f"    {line}"


def _secrets(settings: Settings) -> dict[str, str]:
    """What must not be told, and what it is."""
    path = settings.users
    if settings.seed and path is None:
        path = users_file(settings.seed)
    secrets = dict(_of_the_users_file(path))
    database = settings.data / "local-connect.db"
    if database.is_file():
        try:
            with opened(database) as connection:
                for row in connection.execute("SELECT api_key FROM users"):
                    secrets[row["api_key"]] = "API key"
                for row in connection.execute("SELECT name, value FROM environment_variables"):
                    secrets[row["value"]] = f"value of {row['name']}"
        except sqlite3.Error:
            # of a database that cannot be read nothing is told
            pass
    return {secret: name for secret, name in secrets.items() if len(secret) >= SHORTEST}


def _of_the_users_file(path: Path | None) -> Iterator[tuple[str, str]]:
    """The credentials in the users file; none where it cannot be read."""
    if path is None:
        return
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return
    users = document.get("users")
    for user in users if isinstance(users, list) else ():
        for secret in _strings(user.get("credentials") if isinstance(user, dict) else None):
            yield secret, "credential of the users file"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
