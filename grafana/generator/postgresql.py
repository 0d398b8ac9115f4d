"""The panels of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.datasets import COLOURS
from grafana.generator.links import leads_to
from grafana.generator.panels import MINUTE, alert_line, column, graph, stat, table
from grafana.generator.queries import metric, now, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_COLLECTOR: Final = leads_to("tapekeeper-collector", "Collector")
_CONNECTIONS: Final = """
SELECT connections::double precision / connections_maximum AS used
FROM database_health LIMIT 1
"""
_TRANSACTION: Final = """
SELECT coalesce(max(longest_seconds), 0) AS seconds
FROM database_sessions WHERE database = current_database() LIMIT 1
"""
_ROLLED_BACK: Final = """
SELECT transactions_rolled_back::double precision
    / greatest(transactions_committed + transactions_rolled_back, 1) AS share
FROM database_health LIMIT 1
"""
_ROWS_PER_DAY: Final = """
SELECT day_start AS time, table_name AS metric, rows_estimated AS rows
FROM partition_days
WHERE $__timeFilter(day_start)
UNION ALL
SELECT day_start, dataset, held
FROM dataset_days
WHERE $__timeFilter(day) AND split_part(dataset, '.', 2) NOT IN (SELECT table_name FROM partition_days)
ORDER BY time
"""
_SESSIONS: Final = """
SELECT login AS "Login", application AS "Program", state AS "State", sessions AS "Sessions",
    longest_seconds AS "Oldest"
FROM database_sessions
ORDER BY longest_seconds DESC NULLS LAST, sessions DESC
LIMIT 30
"""
_TABLES: Final = """
SELECT table_name AS "Table", partitions AS "Partitions",
    rows_estimated AS "Rows", rows_dead AS "Dead rows", table_bytes AS "Data", index_bytes AS "Indexes",
    vacuumed_at AS "Vacuumed", analyzed_at AS "Analyzed"
FROM table_sizes
ORDER BY table_bytes + index_bytes DESC
LIMIT 8
"""


def numbers() -> tuple[Panel, ...]:
    """Build them, from left to right."""
    return (
        _size(),
        _disk(),
        _connections(),
        _transaction(),
        _memory(),
        _rolled_back(),
    )


def _size() -> Panel:
    return stat(
        "Size",
        "How large is the database?",
        sql("SELECT bytes FROM database_health LIMIT 1"),
        unit="bytes",
        decimals=1,
        steps=((None, "text"),),
        color_mode="none",
    )


def _disk() -> Panel:
    free = threshold("disk_free_bytes")
    return stat(
        "Disk free",
        "How much room is left on the disk of the collector?",
        now("min(tapekeeper_disk_free_bytes)"),
        unit="bytes",
        decimals=1,
        steps=((None, "red"), (free, "orange"), (2 * free, "green")),
        alerts=("DiskWillFill",),
        no_value="UNKNOWN",
    )


def _connections() -> Panel:
    return stat(
        "Connections used",
        "How many of the connections that PostgreSQL allows are taken?",
        sql(_CONNECTIONS),
        unit="percentunit",
        decimals=0,
        steps=((None, "green"), (0.8, "orange"), (0.95, "red")),
    )


def _transaction() -> Panel:
    return stat(
        "Longest transaction",
        "Does a statement, or a session that forgot to end, hold back all others?",
        sql(_TRANSACTION),
        unit="s",
        decimals=1,
        steps=((None, "green"), (300, "orange"), (3600, "red")),
    )


def _memory() -> Panel:
    return stat(
        "Read from memory",
        "Does what is asked for often fit into PostgreSQL's memory?",
        sql("SELECT coalesce(cache_hit_ratio, 1) AS ratio FROM database_health LIMIT 1"),
        unit="percentunit",
        decimals=1,
        steps=((None, "orange"), (0.9, "green")),
    )


def _rolled_back() -> Panel:
    return stat(
        "Rolled back",
        "Which share of the transactions failed, since PostgreSQL began to count?",
        sql(_ROLLED_BACK),
        unit="percentunit",
        decimals=2,
        steps=((None, "green"), (0.05, "orange")),
    )


def sizes() -> Panel:
    """Show how the tables grow."""
    return graph(
        "Size of the tables",
        "How fast do the tables of the datasets grow? Some share one.",
        metric("max by (dataset) (tapekeeper_dataset_bytes)", "{{dataset}}"),
        width=8,
        height=7,
        unit="bytes",
        minimum=0,
        legend="names",
        overrides=COLOURS,
        alerts=("DiskWillFill",),
    )


def rows() -> Panel:
    """Show who writes how much."""
    return graph(
        "Rows written per second",
        "Who writes how much?",
        metric("sum(rate(tapekeeper_backfill_rows_written_total[$__rate_interval]))", "backfill"),
        metric(
            "sum by (table) (rate(tapekeeper_collector_rows_written_total[$__rate_interval]))",
            "collector: {{table}}",
        ),
        width=8,
        height=7,
        unit="short",
        stacked=True,
        minimum=0,
        legend="names",
        more=TO_COLLECTOR,
    )


def free() -> Panel:
    """Show the room on the disk, now and a day ahead."""
    ahead = f"{threshold('disk_horizon_seconds'):.0f}"
    return graph(
        "Room on the disk",
        "Is there room for a day more, at the pace of the last six hours?",
        metric("min(tapekeeper_disk_free_bytes)", "free"),
        metric(f"min(predict_linear(tapekeeper_disk_free_bytes[6h], {ahead}))", "free in a day, at this pace"),
        width=8,
        height=7,
        unit="bytes",
        legend="names",
        steps=alert_line(threshold("disk_free_bytes")),
        overrides=(
            column(
                "free in a day, at this pace",
                custom__lineStyle={"fill": "dash", "dash": [8, 8]},
                custom__fillOpacity=0,
            ),
        ),
        alerts=("DiskWillFill",),
    )


def rows_per_day() -> Panel:
    """Count the rows of each day."""
    return graph(
        "Rows per day",
        "How many rows does each UTC day have, by the time of their events?",
        sql(_ROWS_PER_DAY, time_series=True),
        width=12,
        height=8,
        unit="short",
        stacked=True,
        minimum=0,
        legend="names",
        drawn_as="bars",
    )


def sessions() -> Panel:
    """List who is connected."""
    return table(
        "Connections",
        "Who is connected, and does anybody hold a transaction open?",
        sql(_SESSIONS),
        width=12,
        height=8,
        overrides=(
            column("Login", custom__width=170),
            column("State", custom__width=120),
            column("Sessions", custom__width=80),
            column("Oldest", unit="s", decimals=1, custom__width=80),
        ),
    )


def tables() -> Panel:
    """List the largest tables."""
    return table(
        "Tables, largest first",
        "Which tables take the room, and does vacuum come round to them?",
        sql(_TABLES),
        height=10,
        overrides=(
            column("Partitions", custom__width=120),
            column("Rows", unit="short", custom__width=150),
            column("Dead rows", unit="short", custom__width=150),
            column("Data", unit="bytes", custom__width=150),
            column("Indexes", unit="bytes", custom__width=150),
            column("Vacuumed", unit=MINUTE, custom__width=140, noValue="never"),
            column("Analyzed", unit=MINUTE, custom__width=140, noValue="never"),
        ),
    )
