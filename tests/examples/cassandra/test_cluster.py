"""A cluster of three nodes that each have every row: what visitors see when nodes go and return."""

import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event

import httpx
import pytest

from scripts.services.cassandra import Node, cluster
from tests.examples.cassandra.conftest import EXAMPLE, Initialize
from tests.servers import eventually
from tests.targets import Content
from tests.targets.process import Process

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")

#: seconds that anything may take
PATIENCE = 60

#: seconds between a visitor's requests, for the nodes have to start on the same machine
PAUSE = 0.05


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Node]]:
    try:
        for host in HOSTS:
            with socket.socket() as own:
                own.bind((host, 0))
    except OSError:
        pytest.skip(
            "Nodes of one cluster need loopback addresses of their own. What brings them on macOS: "
            "sudo ifconfig lo0 alias 127.0.0.2; sudo ifconfig lo0 alias 127.0.0.3"
        )
    nodes = cluster(tmp_path, HOSTS)
    try:
        with ThreadPoolExecutor() as starts:
            for started in [starts.submit(node.start) for node in nodes]:
                started.result()
        yield nodes
    finally:
        for node in nodes:
            node.kill()


class Visits:
    """What visitors have got so far."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        #: the animals whose addition was confirmed
        self.added: list[str] = []

    def go_on(self, *statuses: int, number: int = 4) -> bool:
        """Whether visitors soon have that many more answers of each of these statuses."""
        before = self.statuses.copy()
        return eventually(
            lambda: all(self.statuses[status] >= before[status] + number for status in statuses),
            seconds=PATIENCE,
        )

    def count(self, answer: httpx.Response) -> bool:
        """Count an answer; whether it is one that tells to come again."""
        self.statuses[answer.status_code] += 1
        if away := answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
        return away


@contextmanager
def visiting(content: Content) -> Iterator[Visits]:
    """Three visitors who read time and again, and one who adds animals and looks at each."""
    visits = Visits()
    ended = Event()

    def read(path: str) -> None:
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            while not ended.wait(PAUSE):
                visits.count(client.get(content.url + path))

    def add() -> None:
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            for number in count():
                if ended.wait(PAUSE):
                    return
                animal = {"genus": "Felis", "species": f"no. {number}"}
                if not visits.count(client.post(f"{content.url}animal", json=animal)):
                    visits.added.append(animal["species"])
                    # what was confirmed is there for whoever asks next: 404 would be counted
                    visits.count(client.get(f"{content.url}animal/Felis/{animal['species']}"))

    paths = ("animal/Vulpes", "animal/Vulpes/zerda", "plant/Astragalus")
    with ThreadPoolExecutor(4) as visitors:
        running = [visitors.submit(add), *(visitors.submit(read, path) for path in paths)]
        try:
            yield visits
        finally:
            ended.set()
        for visitor in running:
            # an exception of a visitor is the test's
            visitor.result()


def test_nodes_that_are_killed_or_cut_off_under_load(
    alone: Process, initialize: Initialize, nodes: list[Node]
) -> None:
    """Of one, nobody learns. Without two, who asks gets 503, until one is back; nothing is lost."""
    variables = nodes[0].variables
    # the nodes may not all have found each other yet
    assert eventually(
        lambda: initialize(variables, "--plants", "100", "--replication", "3").returncode == 0,
        seconds=PATIENCE,
    )
    content = alone.launch(EXAMPLE, env=variables)
    try:
        with visiting(content) as visits:
            assert visits.go_on(200, 201)
            # it is asked first for Felis and Astragalus, and the one after it for Vulpes
            nodes[1].cut_off()
            assert visits.go_on(200, 201)
            nodes[1].come_back()
            assert visits.go_on(200, 201)
            nodes[2].kill()
            assert visits.go_on(200, 201)
            assert set(visits.statuses) == {200, 201}

            nodes[1].cut_off()
            assert visits.go_on(503)
            answered = visits.statuses[200], visits.statuses[201]
            assert visits.go_on(503)
            assert answered == (visits.statuses[200], visits.statuses[201])
            nodes[1].come_back()
            assert visits.go_on(200, 201)

        assert set(visits.statuses) == {200, 201, 503}
        found = {animal["species"] for animal in content.get("animal/Felis").json()}
        assert found >= set(visits.added)
    finally:
        content.close()
