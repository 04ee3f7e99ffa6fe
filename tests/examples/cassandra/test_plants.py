"""Plants: 100,000 rows as one answer, streamed through the gateway."""

import json
import time

import httpx
import pytest

from benchmarks.memory import MIB, can_measure, peak_after, reset_peak, resident
from benchmarks.servers import job_of
from tests.deployed import Content
from tests.examples.cassandra.conftest import PLANTS, wait_until_it_answers
from tests.examples.cassandra.proxy import EXECUTE, Proxy

PATH = "plant/Astragalus"


def test_a_hundred_thousand_rows(deployed: Content) -> None:
    """Valid JSON whose first bytes come soon, and the process holds no more than when idle."""
    server = deployed.server
    # it has connected and prepared its statement
    assert server.get(f"{deployed.path}plant/Nothing").json() == []
    pid = int(job_of(deployed)["pid"])
    if can_measure():
        idle = resident(pid)
        reset_peak(pid)
    begun = time.monotonic()
    with server.client.stream("GET", deployed.path + PATH) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        text = answer.iter_text()
        whole = [next(text)]
        assert time.monotonic() - begun < 1
        whole += text
    if can_measure():
        assert peak_after(pid) - idle < 32 * MIB
    plants = json.loads("".join(whole))
    assert len(plants) == PLANTS
    assert plants[0] == {"genus": "Astragalus", "species": "sp. 000001", "sightings": 0}
    species = [plant["species"] for plant in plants]
    assert species == sorted(set(species))


def test_rows_go_out_while_others_are_still_to_come(
    deployed: Content, gateway_proxy: Proxy
) -> None:
    gateway_proxy.hold(pages=2)
    with deployed.server.client.stream("GET", deployed.path + PATH) as answer:
        text = answer.iter_text()
        early = ""
        # the node has sent two pages of a thousand rows, and no more
        while '"sp. 002000"' not in early:
            early += next(text)
        assert '"sp. 002001"' not in early
        gateway_proxy.come_back()
        plants = json.loads(early + "".join(text))
    assert len(plants) == PLANTS


def test_an_answer_breaks_off_where_the_database_fails_in_the_middle(
    deployed: Content, gateway_proxy: Proxy
) -> None:
    gateway_proxy.break_after(pages=3)
    pieces: list[str] = []
    with deployed.server.client.stream("GET", deployed.path + PATH) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            pieces.extend(answer.iter_text())
    early = "".join(pieces)
    assert '"sp. 003000"' in early
    with pytest.raises(json.JSONDecodeError):
        json.loads(early)

    gateway_proxy.come_back()
    wait_until_it_answers(deployed)


def test_a_visitor_who_leaves_in_the_middle_ends_it(
    deployed: Content, gateway_proxy: Proxy
) -> None:
    """The database is asked for no more pages then."""
    gateway_proxy.forget()
    with deployed.server.client.stream("GET", deployed.path + PATH) as answer:
        next(answer.iter_text())
    time.sleep(0.5)
    asked = gateway_proxy.counted[EXECUTE]
    time.sleep(0.5)
    assert gateway_proxy.counted[EXECUTE] == asked
    assert asked < PLANTS / 1000
