"""One way of asking Cassandra, by the functions of flask-cassandra-example.

It runs in the example's directory, and prints the seconds that it took, and by how many bytes the
process grew at most.

    python cassandra_ways.py prepared|unprepared NUMBER
    python cassandra_ways.py streamed|gathered
"""

import json
import sys
import time
from pathlib import Path

# in place of this script's own directory
sys.path[0] = "."

from app import json_array  # noqa: E402
from storage import db_connect, db_io  # noqa: E402

GENUS, SPECIES = "Vulpes", "zerda"
PLANTS = "Astragalus"


def prepared(session, number):
    """The same row, by the example's statement, so many times."""
    for _ in range(number):
        db_io.retrieve_animal(session, GENUS, SPECIES)


def unprepared(session, number):
    """The same row, by a statement that Cassandra reads each time, so many times."""
    cql = db_io.RETRIEVE_ANIMAL.replace("?", "%s")
    for _ in range(number):
        session.execute(cql, (GENUS, SPECIES)).one()


def streamed(session):
    """A long answer as the example makes it: each part is gone before the next is made."""
    for _ in json_array(db_io.retrieve_plants_by_genus(session, PLANTS)):
        pass


def gathered(session):
    """The same answer, made when all rows are there."""
    json.dumps(list(db_io.retrieve_plants_by_genus(session, PLANTS)))


def resident(name):
    """Bytes, by a name of Linux's; 0 elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def main():
    way, *number = sys.argv[1:]
    session = db_connect.get_session()
    # what is done once is no part of it
    prepared(session, 1)
    unprepared(session, 1)
    db_io.retrieve_plants_by_genus(session, "Nothing")
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    idle = resident("VmRSS")
    begun = time.perf_counter()
    globals()[way](session, *map(int, number))
    print(time.perf_counter() - begun, resident("VmHWM") - idle)


main()
