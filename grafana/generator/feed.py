"""Graphs of the live feed that more than one dashboard shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana.generator.panels import coloured, graph
from grafana.generator.queries import metric

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

CHANNEL_COLOURS: Final = {"book": "blue", "ticker": "light-blue", "trades": "purple", "other": "text"}
"""None of them is that of an alert."""


def frames_received(**more: Any) -> Panel:
    """Draw how much the venue sends; what comes on the side is one line."""
    main, rate = "book|ticker|trades", "rate(tapekeeper_collector_messages_total"
    return graph(
        "Frames received",
        "How much does the venue send, and what about?",
        metric(f'sum by (channel) ({rate}{{channel=~"{main}"}}[$__rate_interval]))', "{{channel}}"),
        metric(f'sum({rate}{{channel!~"{main}"}}[$__rate_interval]))', "other"),
        unit="mps",
        stacked=True,
        legend="names",
        overrides=coloured(CHANNEL_COLOURS),
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
