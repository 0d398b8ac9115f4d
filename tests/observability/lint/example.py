"""A small dashboard that breaks no rule: what tests plant faults in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from grafana.generator import dashboard as generator
from grafana.generator.links import leads_to
from grafana.generator.panels import graph, heatmap, named, stat, table
from grafana.generator.queries import metric, sql
from tests.observability.lint.dashboard import Dashboard

if TYPE_CHECKING:
    from tests.observability.lint.dashboard import Json

_NEWEST_GAPS = """
    SELECT opened_at AS time, 'gap ' || gap_id AS gap, cause
    FROM data_gaps
    WHERE $__timeFilter(opened_at) AND cause IN (${cause:sqlstring})
    ORDER BY opened_at DESC
    LIMIT 100
"""
_CAUSES = "SELECT DISTINCT cause FROM data_gaps ORDER BY cause LIMIT 20"
_OUTAGES = "SELECT started_at AS time, ended_at AS timeend, note AS text FROM outages WHERE $__timeFilter(started_at)"


def example() -> Dashboard:
    """Make it anew, so that a test can change it."""
    built = (
        generator.Dashboard("overview", "Example", "Is everything as it should be?")
        .variable("cause", "Cause", sql(_CAUSES))
        .annotation("Outages", sql(_OUTAGES), "orange")
        .row(
            "Live",
            stat(
                "Connections",
                "Does the collector hear the venue?",
                metric("min(tapekeeper_collector_connected)"),
                mappings=named({0: ("NONE", "red")}),
                alerts=("FeedDisconnected",),
            ),
            graph(
                "Age of the newest tick",
                "How old is the newest quote or trade?",
                metric("max by (instance) (instance:tapekeeper_tick_age:seconds)", "{{instance}}"),
                unit="s",
                steps=((None, "green"), (120, "red")),
                alerts=("TicksStale",),
                more=leads_to("tapekeeper-overview", "Overview"),
            ),
        )
        .row(
            "Behind it",
            graph(
                "Frames",
                "How much does the venue send?",
                metric('sum(rate(tapekeeper_collector_messages_total{channel="book"}[$__rate_interval]))', "frames"),
                unit="cps",
            ),
            heatmap(
                "Latency",
                "How long is the way from the venue to the database?",
                metric("sum by (le) (rate(tapekeeper_ingest_latency_seconds_bucket[$__rate_interval]))", heatmap=True),
                unit="s",
            ),
            table("Newest gaps", "Which holes were found last?", sql(_NEWEST_GAPS)),
        )
    )
    document: Json = json.loads(built.as_text())
    return Dashboard("overview", document)


def panel(dashboard: Dashboard, title: str) -> Json:
    """Return a panel of it by its title."""
    return next(found for found in dashboard.panels if found["title"] == title)
