"""Figures: what was measured how often, how sure it is, and whether it is where it must be."""

from __future__ import annotations

import math
import operator
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from local_connect.log import progress

T = TypeVar("T")

#: a comparison goes on until the 95 % interval of its median is narrower than this share of it
NARROW = 0.05

#: how the median is held against a target
_RELATIONS = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True)
class Scale:
    """How long and how often things are measured: the full benchmark, or its short form."""

    #: of a comparison, at least and at most
    rounds: int
    most_rounds: int
    #: seconds after which a comparison ends even if its interval is wide
    patience: float
    #: that one load lasts
    seconds: float
    #: content items of a small and of a large server that are deployed
    few_deployed: int
    many_deployed: int
    #: content items in all, from few to many
    items: tuple[int, ...]
    #: connections that ask at a time
    visitors: tuple[int, ...]
    #: people in a users file
    users: tuple[int, ...]
    #: bytes of a bundle and of an answer, to the largest
    uploads: tuple[int, ...]
    streams: tuple[int, ...]
    #: directories, in the order of gallery.toml; None for all
    examples: int | None
    #: whether to run `make gallery`, which is slow
    gallery: bool


FULL = Scale(
    rounds=6,
    most_rounds=60,
    patience=20.0,
    seconds=0.4,
    few_deployed=4,
    many_deployed=200,
    items=(10, 100, 1000, 10_000),
    visitors=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    users=(3, 30, 300, 3000, 10_000),
    uploads=(10 << 10, 100 << 10, 1 << 20, 10 << 20, 50 << 20, 200 << 20),
    streams=(1 << 10, 32 << 10, 1 << 20, 32 << 20, 1 << 30),
    examples=None,
    gallery=True,
)

SMOKE = Scale(
    rounds=1,
    most_rounds=1,
    patience=0.0,
    seconds=0.05,
    few_deployed=1,
    many_deployed=2,
    items=(2, 4, 6),
    visitors=(1, 2),
    users=(3, 4),
    uploads=(1 << 10, 1 << 20),
    streams=(1 << 10, 1 << 20),
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
    def interval(self) -> tuple[float, float]:
        """Where the median is, with 95 % confidence; for fewer than six values, all of them."""
        return median_interval(self.values)

    @property
    def missed(self) -> bool:
        return self.target is not None and not self.target.met(self.median)

    @property
    def unsure(self) -> bool:
        """Whether the target lies inside the interval, so that another run may judge otherwise."""
        low, high = self.interval
        return self.target is not None and low <= self.target.limit <= high


@dataclass(frozen=True)
class Curves:
    """How something grows: a picture, with logarithmic axes."""

    #: of the picture's files
    name: str
    title: str
    #: what grows, and what is measured, with its unit
    across: str
    up: str
    #: by the name of a line: for each place across, what was measured there
    lines: Mapping[str, Mapping[float, tuple[float, ...]]]


@dataclass(frozen=True)
class Family:
    """What one module of the benchmark found, with how it was found in a few plain sentences."""

    title: str
    how: str
    figures: tuple[Figure, ...]
    #: what could not be measured here, and why
    missing: tuple[str, ...] = ()
    curves: tuple[Curves, ...] = ()
    #: a table of another shape than the figures', its head first
    rows: tuple[tuple[str, ...], ...] = ()


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the median, from the order of the values alone.

    A value is above the true median as often as a coin shows heads. So the k-th value from either
    end bounds it, where fewer than k heads in as many throws as there are values have a chance of
    at most 2.5 %. Fewer than six values cannot say so much: they give their minimum and maximum.
    """
    ordered = sorted(values)
    throws = len(ordered)
    rank, chance = 0, 1 / 2**throws
    while chance <= 0.025:
        rank += 1
        chance += math.comb(throws, rank) / 2**throws
    return (ordered[rank - 1], ordered[-rank]) if rank else (ordered[0], ordered[-1])


def is_narrow(values: Sequence[float]) -> bool:
    """Whether the median is known well enough: its interval is narrow beside it."""
    low, high = median_interval(values)
    return len(values) >= 6 and high - low <= NARROW * abs(statistics.median(values))


def side_by_side(
    what: str,
    scale: Scale,
    ways: Mapping[str, Callable[[], T]],
    compared: Callable[[T, T], float] = operator.truediv,
) -> dict[str, tuple[T, ...]]:
    """What each way gives in each round, one after the other: A, B, A, B …

    Every other round goes through them in the opposite order, so that neither has the better place.
    There are rounds until the first way, `compared` with each of the others, has a narrow interval,
    or the time of the scale is up.
    """
    found: dict[str, list[T]] = {name: [] for name in ways}
    first, *others = ways
    begun = time.monotonic()
    for number in range(scale.most_rounds):
        names = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in names:
            progress(f"{what}: round {number + 1}, {name}")
            found[name].append(ways[name]())
        if number + 1 < scale.rounds:
            continue
        if time.monotonic() - begun > scale.patience or all(
            is_narrow([compared(*pair) for pair in zip(found[first], found[other], strict=True)])
            for other in others
        ):
            break
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
