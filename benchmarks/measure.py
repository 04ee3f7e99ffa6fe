"""Figures: what was measured how often, its spread, and whether it is where it must be."""

from __future__ import annotations

import operator
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from local_connect.log import progress

T = TypeVar("T")

#: how the median is held against a target
_RELATIONS = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True)
class Scale:
    """How long and how often things are measured: the full benchmark, or its short form."""

    #: of every comparison
    rounds: int
    #: of content on demand, which are short and differ
    starts: int
    #: that one load lasts
    seconds: float
    #: content items of a small and of a large server, deployed and in all
    few_deployed: int
    many_deployed: int
    few: int
    many: int
    #: bytes
    upload: int
    stream: int
    #: directories, in the order of gallery.toml; None for all
    examples: int | None
    #: whether to run `make gallery`, which is slow
    gallery: bool


FULL = Scale(
    rounds=5,
    starts=7,
    seconds=1.0,
    few_deployed=4,
    many_deployed=200,
    few=10,
    many=1000,
    upload=200 << 20,
    stream=1 << 30,
    examples=None,
    gallery=True,
)

SMOKE = Scale(
    rounds=1,
    starts=1,
    seconds=0.05,
    few_deployed=1,
    many_deployed=2,
    few=2,
    many=4,
    upload=1 << 20,
    stream=1 << 20,
    examples=1,
    gallery=False,
)


@dataclass(frozen=True)
class Target:
    """Where a figure must be: `Target("≤", 1.3)`."""

    relation: str
    limit: float

    def met(self, value: float) -> bool:
        return bool(_RELATIONS[self.relation](value, self.limit))

    def used(self, value: float) -> float:
        """How much of what is allowed a value takes: 1 is just at the target, less is better."""
        return value / self.limit if self.relation == "≤" else self.limit / value


@dataclass(frozen=True)
class Figure:
    """One row of the page: the same thing measured one or more times."""

    what: str
    #: empty for a ratio
    unit: str
    values: tuple[float, ...]
    target: Target | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def missed(self) -> bool:
        return self.target is not None and not self.target.met(self.median)


@dataclass(frozen=True)
class Family:
    """What one module of the benchmark found, with how it was found in a few plain sentences."""

    title: str
    how: str
    figures: tuple[Figure, ...]
    #: what could not be measured here, and why
    missing: tuple[str, ...] = ()


def side_by_side(
    what: str, rounds: int, ways: Mapping[str, Callable[[], T]]
) -> dict[str, tuple[T, ...]]:
    """What each way gives in each round, one after the other: A, B, A, B …

    Every other round goes through them in the opposite order, so that neither has the better place.
    """
    found: dict[str, list[T]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in names:
            progress(f"{what}: round {number + 1} of {rounds}, {name}")
            found[name].append(ways[name]())
    return {name: tuple(values) for name, values in found.items()}


def ratio(
    what: str,
    above: tuple[float, ...],
    below: tuple[float, ...],
    target: Target | None = None,
    *,
    by: float = 1,
) -> Figure:
    """One over the other in each round, divided by a constant."""
    rounds = zip(above, below, strict=True)
    return Figure(what, "", tuple(one / other / by for one, other in rounds), target)


def seconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def per_1000(values: tuple[float, ...]) -> tuple[float, ...]:
    """Seconds as milliseconds."""
    return tuple(1000 * value for value in values)
