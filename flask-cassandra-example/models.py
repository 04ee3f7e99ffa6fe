"""What comes in and goes out, by Pydantic; the specification is made from these."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, RootModel

# a name is part of an address, so it cannot have a slash or consist of dots
Name = Annotated[str, Field(max_length=80, pattern=r"^\w[\w .'-]*$")]
Short = Annotated[str, Field(max_length=80)]
#: what an `int` of Cassandra holds
Count = Annotated[int, Field(ge=0, lt=2**31)]


class Animal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    genus: Name = Field(examples=["Vulpes"])
    species: Name = Field(examples=["lagopus"])
    image_url: str | None = Field(None, max_length=2000, pattern="^https?://")
    size_cm: float | None = Field(None, ge=0, allow_inf_nan=False, examples=[55.5])
    sightings: Count | None = Field(None, examples=[3])
    taxonomy: Annotated[list[Short], Field(max_length=20)] | None = Field(
        None, examples=[["Mammalia", "Carnivora", "Canidae"]]
    )


class Plant(BaseModel):
    genus: str
    species: str
    sightings: int | None


class Animals(RootModel[list[Animal]]):
    pass


class Plants(RootModel[list[Plant]]):
    pass


class Genus(BaseModel):
    genus: Short


class Species(BaseModel):
    genus: Short
    species: Short


class Message(BaseModel):
    message: str


class FieldError(BaseModel):
    loc: list[str | int]
    msg: str
    type: str


class Invalid(BaseModel):
    message: str
    errors: list[FieldError]
