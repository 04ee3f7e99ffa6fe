"""The benchmark's page says what it must. That the benchmark works, `make bench-smoke` shows."""

import re

import pytest

from benchmarks.measure import Family, Figure, Target
from benchmarks.page import page

pytestmark = pytest.mark.quick


def test_the_page_says_what_is_missed_and_what_is_not_measured() -> None:
    figures = (
        Figure("speed, over the other's", "", (0.5, 0.91, 1.0), Target("≥", 0.9)),
        Figure("memory", "MiB", (70.0, 60.0, 80.0), Target("≤", 64)),
        Figure("requests", "requests/s", (1234.0,)),
    )
    family = Family("Things", "How.", figures, ("nginx is not installed.",))
    text = page([family], took=1, busy=3.0, peers={"flask": "3.1"})
    assert "| speed, over the other's | 0.50 | 0.91 | 1.00 | ≥ 0.9 | met |" in text
    assert "| memory | 60.0 MiB | 70.0 MiB | 80.0 MiB | ≤ 64 MiB | **missed** |" in text
    assert "**1 of 2 targets are missed**: memory." in text
    assert "**Not measured here:** nginx is not installed." in text
    assert "**not quiet**" in text
    assert re.search(r"^memory +█{30}┃█{2} 1\.09$", text, re.MULTILINE)
    assert re.search(r"^speed, over the other's █{30}\| 0\.99$", text, re.MULTILINE)
    assert "| requests | 1,234 requests/s |" in text
