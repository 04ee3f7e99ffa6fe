"""The benchmark's page says what it must. That the benchmark works, `make bench-smoke` shows."""

import itertools
import random
import re
from dataclasses import replace

import pytest

from benchmarks.measure import SMOKE, Family, Figure, Target, median_interval, side_by_side
from benchmarks.page import as_data, changes, page

pytestmark = pytest.mark.quick


def test_the_page_says_what_is_missed_and_what_is_not_measured() -> None:
    figures = (
        Figure("speed, over another's", "", (0.5, 0.91, 1.0), Target("≥", 0.9)),
        Figure("memory", "MiB", (70.0, 65.0, 80.0), Target("≤", 64)),
        Figure("requests", "requests/s", (1234.0,)),
    )
    family = Family("Things", "How.", figures, ("nginx is not installed.",))
    text = page([family], took=1, busy=3.0, peers={"flask": "3.1"})
    assert (
        "| speed, over another's | 0.91 | 0.50 to 1.00 | 3 | ≥ 0.9 | met, but within the interval |"
        in text
    )
    assert "| memory | 70.0 MiB | 65.0 to 80.0 | 3 | ≤ 64 MiB | **missed** |" in text
    assert "**1 of 2 targets are missed**: memory." in text
    assert "**Not measured here:** nginx is not installed." in text
    assert "**not quiet**" in text
    assert re.search(r"^memory +█{30}┃█{2} 1\.09$", text, re.MULTILINE)
    assert re.search(r"^speed, over another's █{30}\| 0\.99$", text, re.MULTILINE)
    assert "| requests | 1,234 requests/s |  | 1 |" in text


def test_the_interval_has_the_median_in_it_nineteen_times_of_twenty() -> None:
    chance = random.Random(7)  # noqa: S311 (figures, no secrets)
    for count in (6, 15, 40):
        hits = 0
        for _ in range(1000):
            low, high = median_interval([chance.expovariate(1) for _ in range(count)])
            hits += low <= 0.6931 <= high
        assert 940 <= hits <= 990
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)


def test_a_comparison_goes_on_until_it_is_sure_or_its_time_is_up() -> None:
    patient = replace(SMOKE, rounds=6, most_rounds=50, patience=60)
    steady = side_by_side("steady", patient, {"one": lambda: 1.0, "other": lambda: 2.0})
    assert len(steady["one"]) == len(steady["other"]) == 6
    wild = itertools.cycle([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (
        len(side_by_side("wild", patient, {"a": lambda: next(wild), "b": lambda: 1.0})["a"]) == 50
    )
    hasty = replace(patient, patience=0)
    assert len(side_by_side("hasty", hasty, {"a": lambda: next(wild), "b": lambda: 1.0})["a"]) == 6


def test_what_changed_is_what_the_intervals_do_not_share() -> None:
    def found(*values: float) -> dict[str, dict[str, object]]:
        return as_data([Family("F", "", (Figure("start", "s", values),))])

    assert changes(found(1.0, 1.2), found(1.1, 1.3)) == []
    assert changes(found(1.0, 1.2), found(2.0, 3.0)) == [
        "start: 1.10 s (1.00 to 1.20), was 2.50 (2.00 to 3.00)"
    ]
    assert changes(found(1.0), {}) == []
