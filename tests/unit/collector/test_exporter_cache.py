"""What the exporter keeps of each family, and what it tells when one cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric

from collector.exporter.cache import STALE_SECONDS, FamilyCache
from collector.exporter.families import Family
from tapekeeper.errors import DatabaseUnavailable

AWAY = "PostgreSQL cannot be reached"


class World:
    """A clock that is set by hand, and a reader that answers or is away."""

    def __init__(self) -> None:
        self.now = 0.0
        self.away: set[str] = set()
        self.asked = 0
        self.families = tuple(Family(name, self.reading(name)) for name in ("gaps", "rows"))
        self.cache = FamilyCache(self.families, self, lambda: self.now)  # type: ignore[arg-type]

    def reading(self, name: str) -> Callable[[Any], list[Metric]]:
        def read(cursor: Any) -> list[Metric]:
            self.asked += 1
            if name in self.away:
                raise DatabaseUnavailable(AWAY, after_seconds=1)
            return [GaugeMetricFamily(f"tapekeeper_{name}", "A level.", value=self.asked)]

        return read

    def run(self, work: Callable[[Any], list[Metric]]) -> list[Metric]:
        return work(None)

    def refresh(self) -> None:
        for family in self.families:
            self.cache.refresh(family)

    def told(self) -> dict[str, float]:
        samples = [sample for metric in self.cache.collect() for sample in metric.samples]
        return {sample.labels.get("family", sample.name): sample.value for sample in samples}


def test_nothing_is_known_before_the_first_question() -> None:
    assert World().told() == {"gaps": 0, "rows": 0}


def test_a_scrape_asks_nothing() -> None:
    world = World()
    world.refresh()
    assert world.told() == world.told() == {"gaps": 1, "rows": 1, "tapekeeper_gaps": 1, "tapekeeper_rows": 2}
    assert world.asked == 2


def test_a_family_that_cannot_be_read_is_absent_and_the_others_are_not() -> None:
    world = World()
    world.refresh()
    world.away = {"gaps"}
    world.refresh()
    assert world.told() == {"gaps": 0, "rows": 1, "tapekeeper_rows": 4}
    assert world.cache.readable() == {"gaps": False, "rows": True}
    world.away = set()
    world.refresh()
    assert world.told() == {"gaps": 1, "rows": 1, "tapekeeper_gaps": 5, "tapekeeper_rows": 6}


def test_what_was_read_too_long_ago_is_told_no_more() -> None:
    world = World()
    world.refresh()
    world.now = STALE_SECONDS - 1
    assert world.told()["gaps"] == 1
    world.now = STALE_SECONDS
    assert world.told() == {"gaps": 0, "rows": 0}


def test_a_failure_is_logged_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.INFO, "collector.exporter"):
        for away in ({"gaps"}, {"gaps"}, set[str](), set[str](), {"gaps"}):
            world.away = away
            world.refresh()
    assert [record.getMessage() for record in caplog.records] == [
        f"gaps cannot be read: {AWAY}",
        "gaps can be read again",
        f"gaps cannot be read: {AWAY}",
    ]
