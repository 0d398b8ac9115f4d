"""The page of metrics is what the programs tell, and rules look at nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import Metric

from collector.buffer import Buffer
from collector.counters import Counters
from collector.exporter.cache import FamilyCache
from collector.exporter.families import FAMILIES
from collector.metrics import CollectorMetrics, Levels
from tapekeeper.store.reader import Reader
from tests.observability.rules import PROMETHEUS, RULE_FILES, TEST_FILES, load, metrics, rules

PAGE = PROMETHEUS.parent / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(tapekeeper_\w+)` \| (\w+) \| ((?:`\w+`(?:, )?)*) ?\|", re.MULTILINE)


class Told(NamedTuple):
    kind: str
    labels: frozenset[str]


def documented(heading: str) -> dict[str, Told]:
    """Return the metrics of a part of the page, by name."""
    part = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = _ROW.findall(part)
    assert len(rows) == part.count("\n| `"), "a row that this test cannot read"
    return {name: Told(kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}


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


def everything() -> set[str]:
    """Return every name that a query may use."""
    names = documented("Of the collector") | documented("Of the exporter")
    parts = {
        f"{name}_{part}"
        for name, told in names.items()
        if told.kind == "histogram"
        for part in ("bucket", "sum", "count")
    }
    return set(names) | parts


def test_the_page_tells_the_metrics_of_the_collector(tmp_path: Path) -> None:
    source = CollectorMetrics(Counters(), Buffer(1, 1), lambda: Levels(0, 0, 0, 0, 0, 0, 0), tmp_path, "0")
    assert documented("Of the collector") == published(source.collect())


def test_the_page_tells_the_metrics_of_the_exporter(module_database_url: str) -> None:
    cache = FamilyCache(FAMILIES, Reader(module_database_url, connect_timeout_seconds=10))
    for family in FAMILIES:
        cache.refresh(family)
    assert documented("Of the exporter") == published(cache.collect())


def test_rules_look_at_metrics_that_exist() -> None:
    for rule in rules():
        assert metrics(rule["expr"]) - everything() == set(), rule


def test_rules_ask_for_labels_that_exist() -> None:
    names = documented("Of the collector") | documented("Of the exporter")
    for file in RULE_FILES:
        for name, selector in re.findall(r"\b(tapekeeper_\w+)\{([^}]*)\}", file.read_text(encoding="utf-8")):
            assert set(re.findall(r"(\w+)[!=]=?", selector)) <= names[name].labels, (file.name, name)


def test_cases_are_written_with_metrics_and_labels_that_exist() -> None:
    names = documented("Of the collector") | documented("Of the exporter")
    for file in TEST_FILES:
        for series in [series["series"] for case in load(file)["tests"] for series in case["input_series"]]:
            if not (name := series.split("{")[0]).startswith("tapekeeper_"):
                continue
            labels = set(re.findall(r'(\w+)="', series)) - {"job", "instance", "le"}
            told = names.get(name) or names[name.removesuffix("_bucket")]
            assert labels == told.labels, (file.name, series)
