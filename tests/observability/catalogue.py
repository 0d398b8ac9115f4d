"""The page of metrics, as data: what every query may ask for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.observability.rules import PROMETHEUS, load

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = PROMETHEUS.parent / "docs" / "metrics.md"
PROGRAMS: Final = ("Of the collector", "Of the exporter")
"""The headings of the page."""
_ROW: Final = re.compile(r"^\| `(tapekeeper_\w+)` \| (\w+) \| ((?:`\w+`(?:, )?)*) ?\|", re.MULTILINE)


class Told(NamedTuple):
    """What a metric is."""

    kind: str
    """counter, gauge or histogram."""
    labels: frozenset[str]


def documented(heading: str, page: Path = PAGE) -> dict[str, Told]:
    """Return the metrics of a part of the page, by name.

    Raises:
        ValueError: a row of the table is written in another way.
    """
    part = page.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = _ROW.findall(part)
    if len(rows) != part.count("\n| `"):
        raise ValueError(f"{page.name} has a row under {heading!r} that is not | `name` | kind | labels | meaning |")
    return {name: Told(kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def own_metrics(page: Path = PAGE) -> dict[str, Told]:
    """Return every name of this project that a query may use, the parts of histograms among them."""
    told = {name: metric for heading in PROGRAMS for name, metric in documented(heading, page).items()}
    histograms = [(name, metric) for name, metric in told.items() if metric.kind == "histogram"]
    for name, metric in histograms:
        told |= {f"{name}_{part}": Told("counter", metric.labels) for part in ("sum", "count")}
        told[f"{name}_bucket"] = Told("counter", metric.labels | {"le"})
    return told


def airflow_metrics() -> set[str]:
    """Return the names that Airflow's own metrics have behind statsd_exporter, the parts of its timers among them."""
    mappings = load(PROMETHEUS / "statsd-mapping.yml")["mappings"]
    names = {mapping["name"] for mapping in mappings if mapping.get("action") != "drop"}
    return names | {f"{name}_{part}" for name in names for part in ("sum", "count")}
