"""Overview, the home: is everything as it should be, and if not, where to look."""

from __future__ import annotations

from grafana.generator.dashboard import Dashboard
from grafana.generator.links import leads_to
from grafana.generator.panels import graph, stat
from grafana.generator.queries import metric
from grafana.generator.rules import threshold


def build() -> Dashboard:
    """Build it."""
    limit = threshold("tick_age_seconds")
    return Dashboard(
        "overview",
        "Overview",
        "Is everything as it should be, and if not, where do I look?",
        time_from="now-6h",
        refresh="30s",
    ).row(
        None,
        stat(
            "Newest tick",
            "How old is the newest quote or trade, by the time of the event at the venue?",
            metric("max(instance:tapekeeper_tick_age:seconds)"),
            unit="s",
            steps=((None, "green"), (limit / 2, "orange"), (limit, "red")),
            alerts=("TicksStale", "TicksAbsent"),
            more=leads_to("tapekeeper-collector", "Collector"),
            no_value="NONE",
        ),
        graph(
            "Frames received",
            "Does the venue send as much as it usually does?",
            metric("sum by (channel) (rate(tapekeeper_collector_messages_total[$__rate_interval]))", "{{channel}}"),
            width=20,
            unit="cps",
            stacked=True,
        ),
    )
