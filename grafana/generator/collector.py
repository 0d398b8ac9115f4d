"""Collector: does the live feed come in, in time and whole, and is there room for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.collector_numbers import numbers
from grafana.generator.dashboard import Dashboard
from grafana.generator.feed import CHANNEL_COLOURS, frames_received, rows_written
from grafana.generator.incidents import with_incidents
from grafana.generator.links import leads_to
from grafana.generator.panels import WARNING, alert_line, coloured, column, graph, heatmap
from grafana.generator.queries import happened, metric
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel


_CAUSES: Final = {"disconnect": "orange", "sequence_break": "purple", "restart": "blue", "none": "text"}
_NONE: Final = {"none": "text"}
_GREY: Final = {"mode": "fixed", "fixedColor": "text"}
_DASHED: Final = {"fill": "dash", "dash": [6, 6]}


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "collector",
        "Collector",
        "Does the live feed come in, in time and whole, and is there room for it?",
        time_from="now-6h",
        refresh="30s",
    )
    return (
        with_incidents(dashboard)
        .row(None, *numbers())
        .row("From the venue", frames_received(), _usual(), _reconnects(), _instruments(), _decode_errors())
        .row(
            "To the database",
            _latency_spread(),
            _latency(),
            rows_written(width=8, more=leads_to("tapekeeper-airflow-database", "Airflow & database")),
            _write_duration(),
            _queues(),
        )
        .row("Losses and room", _gaps(), _dropped(), _spool(), _disk())
    )


def _usual() -> Panel:
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
        legend="names",
        overrides=coloured(CHANNEL_COLOURS),
        steps=alert_line(threshold("message_rate_ratio"), colours=WARNING),
        custom={"axisSoftMax": 1.5},
        alerts=("MessageRateDrop",),
    )


def _reconnects() -> Panel:
    return graph(
        "Reconnects in 15 minutes",
        "How often did connections have to be made again, and why?",
        happened("increase(tapekeeper_collector_reconnects_total[15m])", "reason"),
        width=8,
        unit="short",
        decimals=0,
        stacked=True,
        legend="names",
        overrides=coloured(_NONE),
        steps=alert_line(threshold("reconnects_in_15m"), colours=WARNING),
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
            *coloured({"fresh": "green", "channels refused": "red"}),
            column("followed", color=_GREY, custom__fillOpacity=0, custom__lineStyle=_DASHED),
        ],
        more=leads_to("tapekeeper-freshness", "Freshness & SLO"),
    )


def _decode_errors() -> Panel:
    return graph(
        "Frames not understood in 15 minutes",
        "Does the venue send what the collector cannot read?",
        happened("increase(tapekeeper_collector_decode_errors_total[15m])", "channel"),
        width=8,
        unit="short",
        decimals=0,
        stacked=True,
        legend="names",
        overrides=coloured(_NONE),
        steps=alert_line(threshold("decode_errors_in_15m") + 1, colours=WARNING),
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
        minimum=0.01,
        maximum=60,
        legend="names",
        custom={"scaleDistribution": {"type": "log", "log": 10}},
        steps=alert_line(threshold("ingest_latency_p99_seconds"), colours=WARNING),
        alerts=("IngestLatencyHigh",),
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
        steps=alert_line(threshold("queue_used_ratio"), colours=WARNING),
        alerts=("QueueNearFull",),
    )


def _gaps() -> Panel:
    return graph(
        "Gaps recorded",
        "How many holes did the collector notice, and what caused them?",
        happened("increase(tapekeeper_collector_gaps_recorded_total[$__rate_interval])", "cause"),
        width=6,
        unit="short",
        decimals=0,
        stacked=True,
        drawn_as="bars",
        legend="names",
        custom={"axisSoftMax": 1},
        overrides=coloured(_CAUSES),
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
    )


def _dropped() -> Panel:
    return graph(
        "Rows dropped in 15 minutes",
        "Were rows lost because there was no room for them?",
        happened("increase(tapekeeper_collector_rows_dropped_total[15m])", "table"),
        width=6,
        unit="short",
        decimals=0,
        stacked=True,
        legend="names",
        overrides=coloured(_NONE),
        steps=alert_line(threshold("rows_dropped_in_15m") + 1),
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
        steps=alert_line(1),
        custom={"thresholdsStyle": {"mode": "off"}},
        overrides=[column("room", color=_GREY, custom__fillOpacity=0, custom__lineStyle=_DASHED)],
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
        steps=alert_line(threshold("disk_free_bytes")),
        alerts=("DiskWillFill",),
    )
