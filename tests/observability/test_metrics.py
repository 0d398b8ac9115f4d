"""The page of metrics is what the programs tell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from collector.buffer import Buffer
from collector.counters import Counters
from collector.exporter.cache import FamilyCache
from collector.exporter.families import FAMILIES
from collector.metrics import CollectorMetrics, Levels
from tapekeeper.store.reader import Reader
from tests.observability.catalogue import PAGE, Told, documented
from tests.observability.rule_checks import differences


def published(families: Iterable[Metric]) -> dict[str, Told]:
    """Return what a program tells, by the names that a query uses."""
    told = {}
    for family in families:
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        labels |= set(getattr(family, "_labelnames", ()))
        suffix, kind = {"counter": ("_total", "counter"), "info": ("_info", "gauge")}.get(
            family.type, ("", family.type)
        )
        told[family.name + suffix] = Told(kind, frozenset(labels))
    return told


def of_the_collector(folder: Path) -> dict[str, Told]:
    source = CollectorMetrics(Counters(), Buffer(1, 1), lambda: Levels(0, 0, 0, 0, 0, 0, 0), folder, "0")
    return published(source.collect())


def test_the_page_tells_the_metrics_of_the_collector(tmp_path: Path) -> None:
    assert list(differences(documented("Of the collector"), of_the_collector(tmp_path))) == []


def test_the_page_tells_the_metrics_of_the_exporter(module_database_url: str) -> None:
    cache = FamilyCache(FAMILIES, Reader(module_database_url, connect_timeout_seconds=10))
    for family in FAMILIES:
        cache.refresh(family)
    assert list(differences(documented("Of the exporter"), published(cache.collect()))) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("| `tapekeeper_build_info` |", "| `tapekeeper_build` |", "build_info is told and not documented"),
        ("| `tapekeeper_build_info` |", "| `tapekeeper_build` |", "build is documented and not told"),
        ("| counter | `reason` |", "| gauge | `reason` |", "reconnects_total is documented as"),
        ("| counter | `reason` |", "| counter | `cause` |", "reconnects_total is documented as"),
    ],
)
def test_a_page_that_tells_something_else_is_noticed(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert old in text
    changed = tmp_path / "metrics.md"
    changed.write_text(text.replace(old, new), encoding="utf-8")
    found = differences(documented("Of the collector", changed), of_the_collector(tmp_path))
    assert [sentence for sentence in found if told in sentence]


def test_a_row_that_cannot_be_read_is_noticed(tmp_path: Path) -> None:
    changed = tmp_path / "metrics.md"
    changed.write_text(PAGE.read_text(encoding="utf-8").replace("| counter | `reason` |", "| counter | reason |"))
    with pytest.raises(ValueError, match="Of the collector"):
        documented("Of the collector", changed)
