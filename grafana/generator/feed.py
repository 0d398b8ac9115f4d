"""Graphs of the live feed that more than one dashboard shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana.generator.panels import coloured, graph
from grafana.generator.queries import metric

if TYPE_CHECKING:
    from grafana.generator.panels import Panel


def frames_received(**more: Any) -> Panel:
    """Draw how much the venue sends; what comes on the side is one line."""
    rates = "rate(tapekeeper_collector_messages_total[$__rate_interval])"
    aside = f'label_replace({rates}, "channel", "other", "channel", "control|instrument|platform|unknown")'
    return graph(
        "Frames received",
        "How much does the venue send, and what about?",
        metric(f"sum by (channel) ({aside})", "{{channel}}"),
        unit="mps",
        stacked=True,
        legend="names",
        overrides=coloured({"book": "blue", "ticker": "light-blue", "trades": "purple", "other": "text"}),
        alerts=("FeedDisconnected",),
        **more,
    )


def rows_written(**more: Any) -> Panel:
    """Draw how much is committed, by the collector and by backfills."""
    return graph(
        "Rows written",
        "How many new rows reach the database, live and by backfills?",
        metric("sum by (table) (rate(tapekeeper_collector_rows_written_total[$__rate_interval]))", "{{table}}"),
        metric("sum(rate(tapekeeper_backfill_rows_written_total[$__rate_interval]))", "backfilled"),
        unit="rowsps",
        stacked=True,
        legend="names",
        overrides=coloured({"option_quotes": "blue", "option_trades": "purple", "backfilled": "text"}),
        **more,
    )
