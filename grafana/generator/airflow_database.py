"""Airflow & database: what everything else stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana.generator.dashboard import Dashboard
from grafana.generator.links import leads_to
from grafana.generator.panels import MINUTE, alert_line, coloured, column, graph, stat, table
from grafana.generator.queries import metric, now, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_COLLECTOR: Final = leads_to("tapekeeper-collector", "Collector")
TO_BACKFILL: Final = leads_to("tapekeeper-backfill", "Backfill")
GREY: Final = "#5c6370"
_NOT_COLLECTED: Final = "not collected"
_OF_AIRFLOW: Final[dict[str, Any]] = {"said_when_empty": _NOT_COLLECTED}
"""Airflow tells by StatsD, which not every installation collects."""


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "airflow_database",
        "Airflow & database",
        "Do Airflow and PostgreSQL, on which everything stands, have what they need?",
        time_from="now-7d",
    )
    dashboard.row("Database", *_database())
    dashboard.row(None, _sizes(), _rows(), _free())
    dashboard.row(None, _rows_per_day(), _sessions())
    dashboard.row(None, _tables())
    dashboard.row("Airflow", *_airflow())
    dashboard.row(None, _dag_runs(), _durations(), _slots())
    return dashboard


def _database() -> tuple[Panel, ...]:
    free = threshold("disk_free_bytes")
    return (
        stat(
            "Size",
            "How large is the database?",
            sql("SELECT bytes FROM database_health LIMIT 1"),
            unit="bytes",
            decimals=1,
            steps=((None, "text"),),
            color_mode="none",
        ),
        stat(
            "Disk free",
            "How much room is left on the disk of the collector?",
            now("min(tapekeeper_disk_free_bytes)"),
            unit="bytes",
            decimals=1,
            steps=((None, "red"), (free, "orange"), (2 * free, "green")),
            alerts=("DiskWillFill",),
            no_value="UNKNOWN",
        ),
        stat(
            "Connections used",
            "How many of the connections that PostgreSQL allows are taken?",
            sql(
                """
                SELECT connections::double precision / connections_maximum AS used
                FROM database_health LIMIT 1
                """
            ),
            unit="percentunit",
            decimals=0,
            steps=((None, "green"), (0.8, "orange"), (0.95, "red")),
        ),
        stat(
            "Longest transaction",
            "Does a statement, or a session that forgot to end, hold back all others?",
            sql(
                """
                SELECT coalesce(max(longest_seconds), 0) AS seconds
                FROM database_sessions WHERE database = current_database() LIMIT 1
                """
            ),
            unit="s",
            decimals=1,
            steps=((None, "green"), (300, "orange"), (3600, "red")),
        ),
        stat(
            "Read from memory",
            "Does what is asked for often fit into PostgreSQL's memory?",
            sql("SELECT coalesce(cache_hit_ratio, 1) AS ratio FROM database_health LIMIT 1"),
            unit="percentunit",
            decimals=1,
            steps=((None, "orange"), (0.9, "green")),
        ),
        stat(
            "Rolled back",
            "Which share of the transactions failed, since PostgreSQL began to count?",
            sql(
                """
                SELECT transactions_rolled_back::double precision
                    / greatest(transactions_committed + transactions_rolled_back, 1) AS share
                FROM database_health LIMIT 1
                """
            ),
            unit="percentunit",
            decimals=2,
            steps=((None, "green"), (0.05, "orange")),
        ),
    )


def _sizes() -> Panel:
    return graph(
        "Size of the tables",
        "How fast do the tables of the datasets grow? Some share one.",
        metric("max by (dataset) (tapekeeper_dataset_bytes)", "{{dataset}}"),
        width=8,
        height=7,
        unit="bytes",
        minimum=0,
        legend="names",
        alerts=("DiskWillFill",),
    )


def _rows() -> Panel:
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


def _free() -> Panel:
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


def _rows_per_day() -> Panel:
    return graph(
        "Rows per day",
        "How many rows does each UTC day have, by the time of their events?",
        sql(
            """
            SELECT day_start AS time, table_name AS metric, rows_estimated AS rows
            FROM partition_days
            WHERE $__timeFilter(day_start)
            UNION ALL
            SELECT day_start, dataset, held
            FROM dataset_days
            WHERE $__timeFilter(day) AND dataset LIKE '%candles'
            ORDER BY time
            """,
            time_series=True,
        ),
        width=12,
        height=8,
        unit="short",
        stacked=True,
        minimum=0,
        legend="names",
        drawn_as="bars",
    )


def _sessions() -> Panel:
    return table(
        "Connections",
        "Who is connected, and does anybody hold a transaction open?",
        sql(
            """
            SELECT login AS "Login", application AS "Program", state AS "State", sessions AS "Sessions",
                longest_seconds AS "Oldest"
            FROM database_sessions
            ORDER BY longest_seconds DESC NULLS LAST, sessions DESC
            LIMIT 30
            """
        ),
        width=12,
        height=8,
        overrides=(
            column("Login", custom__width=170),
            column("State", custom__width=120),
            column("Sessions", custom__width=80),
            column("Oldest", unit="s", decimals=1, custom__width=80),
        ),
    )


def _tables() -> Panel:
    return table(
        "Tables, largest first",
        "Which tables take the room, and does vacuum come round to them?",
        sql(
            """
            SELECT table_name AS "Table", partitions AS "Partitions",
                rows_estimated AS "Rows", rows_dead AS "Dead rows", table_bytes AS "Data", index_bytes AS "Indexes",
                vacuumed_at AS "Vacuumed", analyzed_at AS "Analyzed"
            FROM table_sizes
            ORDER BY table_bytes + index_bytes DESC
            LIMIT 8
            """
        ),
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


def _airflow() -> tuple[Panel, ...]:
    return (
        stat(
            "Scheduler",
            "How often did the scheduler say in five minutes that it is alive?",
            now("sum(increase(airflow_scheduler_heartbeat[5m]))"),
            unit="none",
            decimals=0,
            steps=((None, "red"), (1, "green")),
            alerts=("SchedulerHeartbeatMissing",),
            **_absent(),
        ),
        stat(
            "Import errors",
            "How many DAG files cannot be imported?",
            now("max(last_over_time(airflow_dag_processing_import_errors[10m]))"),
            unit="none",
            decimals=0,
            steps=((None, "green"), (threshold("dag_import_errors") + 1, "orange")),
            alerts=("DagImportErrors",),
            **_absent(),
        ),
        stat(
            "Runs that failed",
            "How many DAG runs failed in the time that is shown?",
            now("sum(increase(airflow_dagrun_duration_failed_count[$__range]))"),
            unit="none",
            decimals=0,
            steps=((None, "green"), (1, "orange")),
            alerts=("DagRunFailed",),
            **_absent(),
        ),
        stat(
            "Start delay",
            "How long after its time did a DAG run begin, at worst?",
            now('max(airflow_dagrun_schedule_delay{quantile="0.9"})'),
            unit="s",
            decimals=1,
            steps=((None, "green"), (60, "orange")),
            **_absent(),
        ),
        stat(
            "Reading the DAGs",
            "How long does it take to read all DAG files?",
            now("max(airflow_dag_processing_total_parse_seconds)"),
            unit="s",
            decimals=1,
            steps=((None, "green"), (30, "orange")),
            **_absent(),
        ),
        stat(
            "Tasks that wait",
            "How many tasks could run if there was room for them?",
            now("sum(airflow_executor_queued_tasks)"),
            unit="none",
            decimals=0,
            steps=((None, "green"), (20, "orange")),
            **_absent(),
        ),
    )


def _dag_runs() -> Panel:
    return graph(
        "DAG runs",
        "How many DAG runs ended well in an hour, and how many failed?",
        metric("sum(increase(airflow_dagrun_duration_success_count[$__rate_interval]))", "success"),
        metric("sum(increase(airflow_dagrun_duration_failed_count[$__rate_interval]))", "failed"),
        width=8,
        height=7,
        unit="none",
        stacked=True,
        minimum=0,
        drawn_as="bars",
        smallest_step="1h",
        custom={"fillOpacity": 70},
        legend="names",
        overrides=coloured({"success": "green", "failed": "red"}),
        alerts=("DagRunFailed",),
        more=TO_BACKFILL,
        **_OF_AIRFLOW,
    )


def _durations() -> Panel:
    return graph(
        "Duration of DAG runs",
        "Does a DAG take longer than it used to?",
        metric(
            "sum by (dag_id) (rate(airflow_dagrun_duration_success_sum[$__rate_interval]))"
            " / sum by (dag_id) (rate(airflow_dagrun_duration_success_count[$__rate_interval]))",
            "{{dag_id}}",
        ),
        width=8,
        height=7,
        unit="s",
        minimum=0,
        drawn_as="points",
        smallest_step="1h",
        custom={"showPoints": "always", "pointSize": 6},
        legend="names",
        **_OF_AIRFLOW,
    )


def _slots() -> Panel:
    return graph(
        "Room for tasks",
        "Is there room in the pools and in the executor?",
        metric("min by (pool) (airflow_pool_open_slots)", "free in pool {{pool}}"),
        metric("sum(airflow_executor_open_slots)", "free in the executor"),
        metric("sum(airflow_executor_running_tasks)", "running"),
        width=8,
        height=7,
        unit="none",
        minimum=0,
        legend="names",
        **_OF_AIRFLOW,
    )


def _absent() -> dict[str, Any]:
    nothing = {"text": _NOT_COLLECTED, "color": GREY, "index": 0}
    return {**_OF_AIRFLOW, "mappings": [{"type": "special", "options": {"match": "null+nan", "result": nothing}}]}
