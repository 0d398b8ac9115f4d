"""Collector: does the live feed come in, in time and whole, and is there room for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana.generator.collector_numbers import numbers
from grafana.generator.dashboard import Dashboard
from grafana.generator.links import leads_to
from grafana.generator.panels import column, graph, heatmap
from grafana.generator.queries import metric, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel


def build() -> Dashboard:
    """Build it."""
    return (
        Dashboard(
            "collector",
            "Collector",
            "Does the live feed come in, in time and whole, and is there room for it?",
            time_from="now-6h",
            refresh="30s",
        )
        .annotation("Outages of the venue", sql(_OUTAGES), "purple")
        .row(None, *numbers())
        .row("From the venue", _frames(), _usual(), _reconnects(), _instruments(), _decode_errors())
        .row("To the database", _latency_spread(), _latency(), _rows(), _write_duration(), _queues())
        .row("Lost, and room not to lose", _gaps(), _dropped(), _spool(), _disk())
    )


_OUTAGES = """
SELECT window_start AS time, window_end AS timeend, replace(kind, '_', ' ') AS title, source AS text
FROM outages
WHERE $__timeFilter(window_start)
ORDER BY window_start
"""


def _frames() -> Panel:
    return graph(
        "Frames received",
        "How much does the venue send, and what about?",
        metric("sum by (channel) (rate(tapekeeper_collector_messages_total[$__rate_interval]))", "{{channel}}"),
        unit="mps",
        stacked=True,
        alerts=("FeedDisconnected",),
    )


def _usual() -> Panel:
    limit = threshold("message_rate_ratio")
    now, usual = "rate5m", "usual"
    return graph(
        "Frames against the usual",
        "Does the venue send as much as in the same hour of the last seven days? 100 % is their median.",
        metric(
            f"""
            sum by (channel) (venue_channel:tapekeeper_collector_messages:{now}{{channel=~"book|ticker"}})
            / sum by (channel) (venue_channel:tapekeeper_collector_messages:{usual}{{channel=~"book|ticker"}})
            """,
            "{{channel}}",
        ),
        unit="percentunit",
        minimum=0,
        steps=((None, "red"), (limit, "green")),
        custom={"axisSoftMax": 1.5},
        alerts=("MessageRateDrop",),
    )


def _reconnects() -> Panel:
    return graph(
        "Reconnects in 15 minutes",
        "How often did connections have to be made again, and why?",
        metric("sum by (reason) (increase(tapekeeper_collector_reconnects_total[15m]))", "{{reason}}"),
        width=8,
        unit="short",
        decimals=0,
        stacked=True,
        legend="names",
        steps=((None, "green"), (threshold("reconnects_in_15m"), "red")),
        alerts=("ReconnectStorm",),
    )


def _instruments() -> Panel:
    return graph(
        "Instruments",
        "How many instruments are followed, and how many of them have a verified feed?",
        metric("sum(tapekeeper_instruments_expected)", "followed"),
        metric("sum(tapekeeper_instruments_fresh)", "fresh"),
        metric("sum(tapekeeper_collector_channels_not_accepted)", "channels refused"),
        width=8,
        unit="short",
        decimals=0,
        minimum=0,
        legend="names",
        overrides=[
            _coloured("followed", "text"),
            _coloured("fresh", "green"),
            _coloured("channels refused", "red"),
        ],
        more=leads_to("tapekeeper-freshness", "Freshness & SLO"),
    )


def _decode_errors() -> Panel:
    return graph(
        "Frames not understood in 15 minutes",
        "Does the venue send what the collector cannot read?",
        metric("sum by (channel) (increase(tapekeeper_collector_decode_errors_total[15m]))", "{{channel}}"),
        width=8,
        unit="short",
        decimals=0,
        stacked=True,
        legend="names",
        steps=_any_is_too_many("decode_errors_in_15m"),
        alerts=("DecodeErrors",),
    )


def _latency_spread() -> Panel:
    return heatmap(
        "Latency",
        "How long do quotes and trades take from the event at the venue to their commit?",
        metric(
            "sum by (le) (increase(tapekeeper_ingest_latency_seconds_bucket[$__rate_interval]))",
            "{{le}}",
            heatmap=True,
        ),
        unit="s",
        alerts=("IngestLatencyHigh",),
    )


def _latency() -> Panel:
    return graph(
        "Latency, usual and worst",
        "How long does half of it take at most, and how long all but one in a hundred?",
        metric("max(instance:tapekeeper_ingest_latency_seconds:p50_5m)", "half"),
        metric("max(instance:tapekeeper_ingest_latency_seconds:p99_5m)", "99 %"),
        unit="s",
        custom={"scaleDistribution": {"type": "log", "log": 10}, "axisSoftMin": 0.01},
        steps=((None, "green"), (threshold("ingest_latency_p99_seconds"), "red")),
        alerts=("IngestLatencyHigh",),
    )


def _rows() -> Panel:
    return graph(
        "Rows written",
        "How many new rows are committed?",
        metric("sum by (table) (rate(tapekeeper_collector_rows_written_total[$__rate_interval]))", "{{table}}"),
        width=8,
        unit="rowsps",
        stacked=True,
        legend="names",
        more=leads_to("tapekeeper-airflow-database", "Airflow & database"),
    )


def _write_duration() -> Panel:
    buckets = "sum by (le) (rate(tapekeeper_db_write_duration_seconds_bucket[$__rate_interval]))"
    return graph(
        "Transactions",
        "How long does the database take to commit a batch: half of them at most, and all but one in a hundred?",
        metric(f"histogram_quantile(0.5, {buckets})", "half"),
        metric(f"histogram_quantile(0.99, {buckets})", "99 %"),
        width=8,
        unit="s",
        minimum=0,
        legend="names",
        more=leads_to("tapekeeper-airflow-database", "Airflow & database"),
    )


def _queues() -> Panel:
    return graph(
        "Queues",
        "How full is the memory between the feed and the database?",
        metric("max by (queue) (instance_queue:tapekeeper_collector_queue_used:ratio)", "{{queue}}"),
        width=8,
        unit="percentunit",
        minimum=0,
        maximum=1,
        legend="names",
        steps=((None, "green"), (threshold("queue_used_ratio"), "red")),
        alerts=("QueueNearFull",),
    )


def _gaps() -> Panel:
    return graph(
        "Gaps recorded",
        "How many holes did the collector notice, and what caused them?",
        metric("sum by (cause) (increase(tapekeeper_collector_gaps_recorded_total[$__rate_interval]))", "{{cause}}"),
        width=6,
        unit="short",
        decimals=0,
        stacked=True,
        drawn_as="bars",
        legend="names",
        custom={"axisSoftMax": 1},
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
    )


def _dropped() -> Panel:
    return graph(
        "Rows dropped in 15 minutes",
        "Were rows lost because there was no room for them?",
        metric("sum by (table) (increase(tapekeeper_collector_rows_dropped_total[15m]))", "{{table}}"),
        width=6,
        unit="short",
        decimals=0,
        stacked=True,
        legend="names",
        steps=_any_is_too_many("rows_dropped_in_15m"),
        alerts=("RowsDropped",),
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
    )


def _spool() -> Panel:
    return graph(
        "Spool",
        "How much waits on disk for the database, and how much may?",
        metric("sum(tapekeeper_collector_spool_bytes)", "waiting"),
        metric("sum(tapekeeper_collector_spool_capacity_bytes)", "room"),
        width=6,
        unit="decbytes",
        minimum=0,
        legend="names",
        steps=((None, "green"), (1, "orange")),
        overrides=[_coloured("room", "text")],
        alerts=("SpoolGrowing",),
    )


def _disk() -> Panel:
    return graph(
        "Disk",
        "How much room is left where the spool is?",
        metric("min(tapekeeper_disk_free_bytes)", "free"),
        width=6,
        unit="decbytes",
        minimum=0,
        legend="names",
        steps=((None, "red"), (threshold("disk_free_bytes"), "green")),
        alerts=("DiskWillFill",),
    )


def _any_is_too_many(name: str) -> tuple[tuple[float | None, str], ...]:
    """Give the line at the least whole number that an alert fires at."""
    return ((None, "green"), (threshold(name) + 1, "red"))


def _coloured(series: str, colour: str) -> dict[str, object]:
    return column(series, color={"mode": "fixed", "fixedColor": colour})
