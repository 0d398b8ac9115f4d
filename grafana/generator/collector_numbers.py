"""The numbers on top of the page of the collector: one look tells whether it is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.links import leads_to
from grafana.generator.numbers import NONE_IS_WELL, instruments_fresh, newest_tick
from grafana.generator.panels import stat
from grafana.generator.queries import now
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

_WIDTH: Final = 3


def numbers() -> tuple[Panel, ...]:
    """Build them, from left to right."""
    return (
        newest_tick(width=_WIDTH),
        _connections(),
        instruments_fresh(width=_WIDTH, more=leads_to("tapekeeper-freshness", "Freshness & SLO")),
        _latency(),
        _queues(),
        _spool(),
        _dropped(),
        _disk(),
    )


def _connections() -> Panel:
    return stat(
        "Connections",
        "How many connections to the venue are open, of the collector that has fewest?",
        now("min(tapekeeper_collector_connected)", "open"),
        width=_WIDTH,
        unit="short",
        steps=((None, "red"), (1, "green")),
        alerts=("FeedDisconnected", "TargetDown"),
        no_value="NONE",
    )


def _latency() -> Panel:
    return stat(
        "Latency, 99 %",
        "Within what time from the event at the venue is all but one in a hundred committed?",
        now("max(instance:tapekeeper_ingest_latency_seconds:p99_5m)", "99 %"),
        width=_WIDTH,
        unit="s",
        steps=((None, "green"), (threshold("ingest_latency_p99_seconds"), "orange")),
        alerts=("IngestLatencyHigh",),
        no_value="UNKNOWN",
    )


def _queues() -> Panel:
    return stat(
        "Fullest queue",
        "How full is the memory between the feed and the database?",
        now("max(instance_queue:tapekeeper_collector_queue_used:ratio)", "used"),
        width=_WIDTH,
        unit="percentunit",
        decimals=1,
        steps=((None, "green"), (threshold("queue_used_ratio"), "orange")),
        alerts=("QueueNearFull",),
        no_value="UNKNOWN",
    )


def _spool() -> Panel:
    return stat(
        "Waiting on disk",
        "How much waits on disk because the database does not take it?",
        now("sum(tapekeeper_collector_spool_bytes)", "waiting"),
        width=_WIDTH,
        unit="decbytes",
        decimals=0,
        steps=((None, "green"), (1, "orange")),
        alerts=("SpoolGrowing",),
        no_value="UNKNOWN",
    )


def _dropped() -> Panel:
    return stat(
        "Rows dropped",
        "How many rows found no room in the time that is looked at? Every one lies in a recorded gap.",
        now("sum(increase(tapekeeper_collector_rows_dropped_total[$__range]))", "rows"),
        width=_WIDTH,
        unit="short",
        decimals=0,
        steps=NONE_IS_WELL,
        alerts=("RowsDropped",),
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
        no_value="UNKNOWN",
    )


def _disk() -> Panel:
    return stat(
        "Disk free",
        "How much room is left where the spool is?",
        now("min(tapekeeper_disk_free_bytes)", "free"),
        width=_WIDTH,
        unit="decbytes",
        decimals=1,
        steps=((None, "red"), (threshold("disk_free_bytes"), "green")),
        alerts=("DiskWillFill",),
        no_value="UNKNOWN",
    )
