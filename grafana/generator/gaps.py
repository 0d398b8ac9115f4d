"""Gaps & incidents: what is missing, why, and what was done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.choice import CHOSEN, with_datasets
from grafana.generator.dashboard import Dashboard
from grafana.generator.datasets import COLOURS
from grafana.generator.gap_numbers import numbers
from grafana.generator.gap_tables import incidents, open_gaps, outages
from grafana.generator.incidents import with_incidents
from grafana.generator.links import leads_to
from grafana.generator.panels import alert_line, coloured, column, graph, named, states
from grafana.generator.queries import metric, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_QUALITY: Final = leads_to("tapekeeper-quality", "Quality")
DAY_STATES: Final = {
    0: ("complete", "green"),
    1: ("explained", "blue"),
    2: ("running", "#5c6370"),
    3: ("red", "red"),
}
_DAYS: Final = """
SELECT day_start AS time, dataset AS metric,
    CASE state WHEN 'complete' THEN 0 WHEN 'explained' THEN 1 WHEN 'running' THEN 2 ELSE 3 END AS state
FROM dataset_days
WHERE $__timeFilter(day) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
ORDER BY day_start
"""
_TIME_TO_REPAIR: Final = """
SELECT date_trunc('hour', closed_at) AS time, dataset AS metric,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds_to_close) AS seconds
FROM gap_ledger
WHERE $__timeFilter(opened_at) AND state = 'repaired'
        AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
GROUP BY date_trunc('hour', closed_at), dataset
ORDER BY time
"""


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "gaps",
        "Gaps & incidents",
        "What is missing, why, since when, and what was done about it?",
        time_from="now-7d",
    )
    with_incidents(with_datasets(dashboard))
    dashboard.row(None, *numbers())
    dashboard.row(None, _days(), _open_over_time())
    dashboard.row(None, _missing(), _detected_and_repaired(), _time_to_repair())
    dashboard.row(None, incidents())
    dashboard.row(None, open_gaps(), outages())
    return dashboard


def _days() -> Panel:
    return states(
        "Days",
        "Is every followed day complete or explained, or is something missing (red)?",
        sql(_DAYS, time_series=True),
        width=12,
        height=6,
        mappings=named(DAY_STATES),
        show_value="auto",
        alerts=("CompletenessBudgetBurn",),
        more=TO_QUALITY,
    )


def _open_over_time() -> Panel:
    return states(
        "Open gaps, over time",
        "When was a gap open, and when one that is longer than it may be?",
        metric(
            f"(dataset:tapekeeper_gaps_open:sum{{{CHOSEN}}} > bool 0) + "
            f"(dataset:tapekeeper_gap_longest_open:seconds{{{CHOSEN}}} "
            "> bool scalar(tapekeeper:gap_longest_seconds:threshold))",
            "{{dataset}}",
        ),
        width=12,
        height=6,
        mappings=named({0: ("none", "green"), 1: ("open", "orange"), 2: ("major", "red")}),
        alerts=("GapOpenMajor", "GapNotRepairedIn24h"),
    )


def _missing() -> Panel:
    return graph(
        "Longest gap that is open",
        "Is any window missing for longer than the threshold?",
        metric(f"dataset:tapekeeper_gap_longest_open:seconds{{{CHOSEN}}}", "{{dataset}}"),
        width=8,
        legend="names",
        unit="s",
        minimum=0,
        steps=alert_line(threshold("gap_longest_seconds")),
        overrides=COLOURS,
        alerts=("GapOpenMajor",),
    )


def _detected_and_repaired() -> Panel:
    return graph(
        "Recorded and repaired",
        "Is as much repaired (below the line) as is recorded (above it), hour by hour?",
        metric(f"sum(increase(tapekeeper_gaps_detected_total{{{CHOSEN}}}[$__rate_interval]))", "recorded"),
        metric(f"sum(increase(tapekeeper_gaps_repaired_total{{{CHOSEN}}}[$__rate_interval]))", "repaired"),
        width=8,
        unit="none",
        drawn_as="bars",
        smallest_step="1h",
        legend="names",
        custom={"fillOpacity": 70},
        overrides=(
            *coloured({"recorded": "orange"}),
            column("repaired", color={"mode": "fixed", "fixedColor": "green"}, custom__transform="negative-Y"),
        ),
        alerts=("GapsGrowing",),
    )


def _time_to_repair() -> Panel:
    return graph(
        "Time to repair",
        "How long did repairs take that ended then, of half of them, hour by hour?",
        sql(_TIME_TO_REPAIR, time_series=True),
        width=8,
        unit="s",
        minimum=0,
        legend="names",
        drawn_as="points",
        custom={"showPoints": "always", "pointSize": 8},
        alerts=("GapNotRepairedIn24h",),
    )
