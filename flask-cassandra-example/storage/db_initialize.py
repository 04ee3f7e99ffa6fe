"""Make the keyspace, the tables and some rows to look at. Whatever is there already stays."""

import sys

import click
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from cassandra.concurrent import execute_concurrent
from cassandra.query import BatchStatement, BatchType

from storage import db_connect, db_io

# in each data centre, that many nodes have a copy of each row
CREATE_KEYSPACE = """
    CREATE KEYSPACE IF NOT EXISTS {}
    WITH replication = {{'class': 'NetworkTopologyStrategy', 'replication_factor': {}}}
"""

# Cassandra reads fast what is stored together, so a table is made for a question: "which are there
# of this genus?" The genus is the partition, which is read at once from one node, and the species
# order the rows in it. To ask for an animal by its size would take another table.
CREATE_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS animal (
        genus text,
        species text,
        image_url text,
        size_cm double,
        sightings int,
        taxonomy frozen<list<text>>,
        PRIMARY KEY ((genus), species)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS plant (
        genus text,
        species text,
        sightings int,
        PRIMARY KEY ((genus), species)
    )
    """,
)

STORE_PLANT = "INSERT INTO plant (genus, species, sightings) VALUES (?, ?, ?)"

FOXES = ["Mammalia", "Carnivora", "Canidae"]
CATS = ["Mammalia", "Carnivora", "Felidae"]
ANIMALS = [
    ("Panthera", "leo", 190.0, 12, CATS),
    ("Panthera", "pardus", 140.0, 7, CATS),
    ("Panthera", "tigris", 250.0, 2, CATS),
    ("Vulpes", "lagopus", 55.5, 3, FOXES),
    ("Vulpes", "vulpes", 74.0, 41, FOXES),
    ("Vulpes", "zerda", 35.0, None, FOXES),
]

#: of all genera of plants it has the most species
GENUS = "Astragalus"

#: rows of one partition that are written together; Cassandra warns of batches above 5 KiB
BATCH = 50


def make_tables(session, replication):
    if not db_connect.on_astra():
        # a name cannot be bound as a value can; db_connect has checked what it consists of
        session.execute(CREATE_KEYSPACE.format(db_connect.keyspace(), replication))
    session.set_keyspace(db_connect.keyspace())
    for statement in CREATE_TABLES:
        session.execute(statement)


def store_animals(session):
    for genus, species, size_cm, sightings, taxonomy in ANIMALS:
        if db_io.retrieve_animal(session, genus, species) is None:
            animal = {
                "genus": genus,
                "species": species,
                "image_url": None,
                "size_cm": size_cm,
                "sightings": sightings,
                "taxonomy": taxonomy,
            }
            db_io.store_animal(session, animal)


def store_plants(session, number):
    """Write that many plants of one genus, in batches, some of them at a time."""
    statement = session.prepare(STORE_PLANT)
    batches = []
    for start in range(0, number, BATCH):
        batch = BatchStatement(BatchType.UNLOGGED)
        for n in range(start, min(start + BATCH, number)):
            batch.add(statement, (GENUS, f"sp. {n + 1:06}", n % 100))
        batches.append((batch, ()))
    written = execute_concurrent(session, batches, concurrency=16, results_generator=True)
    with click.progressbar(written, length=len(batches), label="Plants") as progress:
        for _ in progress:
            pass


@click.command(help=__doc__)
@click.option(
    "--plants",
    type=click.IntRange(0, 999_999),
    default=3000,
    show_default=True,
    help="how many plants of one genus",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 9),
    default=1,
    show_default=True,
    help="how many nodes keep each row; 3 where one may fail",
)
def main(plants, replication):
    if problem := db_connect.problem():
        sys.exit(problem)
    try:
        session = db_connect.connect()
        make_tables(session, replication)
        store_animals(session)
        store_plants(session, plants)
    except (db_connect.NotConfigured, DriverException, NoHostAvailable) as error:
        sys.exit(f"The tables and rows are not all there: {error}")
    print(f"{len(ANIMALS)} animals and {plants} plants are in {db_connect.keyspace()}.")


if __name__ == "__main__":
    main()
