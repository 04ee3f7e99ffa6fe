"""All the CQL that endpoints need: one function for each thing that they ask of the database."""

from storage.once import once

STORE_ANIMAL = """
    INSERT INTO animal (genus, species, image_url, size_cm, sightings, taxonomy)
    VALUES (?, ?, ?, ?, ?, ?)
"""
RETRIEVE_ANIMAL = """
    SELECT genus, species, image_url, size_cm, sightings, taxonomy
    FROM animal WHERE genus = ? AND species = ?
"""
RETRIEVE_ANIMALS_BY_GENUS = """
    SELECT genus, species, image_url, size_cm, sightings, taxonomy
    FROM animal WHERE genus = ?
"""
RETRIEVE_PLANTS_BY_GENUS = "SELECT genus, species, sightings FROM plant WHERE genus = ?"


@once
def prepared(session, cql):
    """The statement, prepared at its first use and then kept."""
    statement = session.prepare(cql)
    # none of them does more the second time, so it may be sent to another node as well
    statement.is_idempotent = True
    return statement


def store_animal(session, animal):
    """Write an animal, in place of the one of that genus and species if there is one."""
    statement = prepared(session, STORE_ANIMAL)
    session.execute(
        statement,
        (
            animal["genus"],
            animal["species"],
            animal["image_url"],
            animal["size_cm"],
            animal["sightings"],
            animal["taxonomy"],
        ),
    )


def retrieve_animal(session, genus, species):
    """One animal, or None."""
    return session.execute(prepared(session, RETRIEVE_ANIMAL), (genus, species)).one()


def retrieve_animals_by_genus(session, genus):
    """The animals of a genus, by species."""
    return session.execute(prepared(session, RETRIEVE_ANIMALS_BY_GENUS), (genus,)).all()


def retrieve_plants_by_genus(session, genus):
    """The plants of a genus, by species, in pages: see the driver's ResultSet.

    The first page is there when this returns, so a database that is away is noticed at once.
    """
    return session.execute(prepared(session, RETRIEVE_PLANTS_BY_GENUS), (genus,))
