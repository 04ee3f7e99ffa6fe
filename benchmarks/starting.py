"""The server by itself: how soon it answers, and what it holds."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from benchmarks.load import load
from benchmarks.many import APP
from benchmarks.measure import Curves, Family, Figure, Scale, Target, per_1000, seconds
from benchmarks.memory import MIB, NOT_HERE, can_measure, resident
from local_connect.log import progress
from tests.publishing import publish
from tests.servers import LocalConnect, running_server

HOW = """
`local-connect` on a data directory that is there, from the command to its first answer, which is
asked for until it comes; and the resident memory of its process then. Users are those of a users
file, three groups each; the list is the first page of `GET v1/users`, and the request is one of a
viewer with a key, whom the content's access list names by a group.
"""

#: the groups of everyone in a users file
GROUPS = ("staff", "readers", "everyone")


def measure(scale: Scale, work: Path, _shared: LocalConnect) -> Family:
    took, held = [], []
    data = work / "itself"
    with running_server(data):
        pass
    for number in range(scale.rounds):
        progress(f"server: start {number + 1} of {scale.rounds}")
        begun = time.perf_counter()
        with running_server(data) as server:
            took.append(time.perf_counter() - begun)
            if can_measure():
                held.append(resident(server.process.pid) / MIB)
    figures = [Figure("server: start to its first answer", "s", tuple(took), Target("≤", 0.6))]
    if held:
        figures.append(Figure("server: memory", "MiB", tuple(held), Target("≤", 90)))
    missing = () if held else (NOT_HERE,)
    return Family("The server itself", HOW, tuple(figures), missing, (_users(scale, work),))


def _users(scale: Scale, work: Path) -> Curves:
    """A start, a list and a request, as users become more."""
    starts: dict[float, tuple[float, ...]] = {}
    lists: dict[float, tuple[float, ...]] = {}
    requests: dict[float, tuple[float, ...]] = {}
    rounds = min(scale.rounds, 3)
    for count in scale.users:
        progress(f"server: {count} users")
        file = work / f"users-{count}.toml"
        file.write_text("".join(_user(number) for number in range(count)), "utf-8")
        file.chmod(0o600)
        data = work / f"users-{count}"
        with running_server(data, "--users", str(file)) as server:
            content = publish(server, APP.decode(), access_type="acl")
            group = server.get("/__api__/v1/groups").json()["results"][0]["guid"]
            server.request(
                "POST",
                f"{content.api}/permissions",
                json={"principal_guid": group, "principal_type": "group", "role": "viewer"},
            ).raise_for_status()
            here = ("127.0.0.1", server.client.base_url.port or 80)
            key = {"Authorization": f"Key {server.users[_name(count - 1)].api_key}"}
            requests[count] = tuple(
                load(here, content.path, scale.seconds, key, connections=1).p50
                for _ in range(rounds)
            )
            first_page = partial(server.get, "/__api__/v1/users?page_size=500", user="admin")
            lists[count] = tuple(seconds(first_page) for _ in range(rounds))
        again = []
        for _ in range(rounds):
            begun = time.perf_counter()
            with running_server(data, "--users", str(file)):
                again.append(time.perf_counter() - begun)
        starts[count] = tuple(again)
    return Curves(
        "users",
        "As users become more",
        "people in the users file",
        "milliseconds",
        {
            what: {at: per_1000(values) for at, values in found.items()}
            for what, found in (
                ("the server's start", starts),
                ("GET v1/users, its first page", lists),
                ("a viewer's request", requests),
            )
        },
    )


def _user(number: int) -> str:
    role = "administrator" if number == 0 else "publisher" if number == 1 else "viewer"
    groups = ", ".join(f'"{group}"' for group in GROUPS)
    return f'[[users]]\nusername = "{_name(number)}"\nuser_role = "{role}"\ngroups = [{groups}]\n\n'


def _name(number: int) -> str:
    """The first two are those that the tests' own helpers act as."""
    return ("admin", "alice")[number] if number < 2 else f"viewer{number}"
