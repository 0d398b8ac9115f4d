"""The panels of Airflow, which tells by StatsD: not every installation collects that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana.generator.links import leads_to
from grafana.generator.panels import coloured, graph, stat
from grafana.generator.queries import metric, now
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_BACKFILL: Final = leads_to("tapekeeper-backfill", "Backfill")
GREY: Final = "#5c6370"
_NOT_COLLECTED: Final = "not collected"
_OF_AIRFLOW: Final[dict[str, Any]] = {"said_when_empty": _NOT_COLLECTED}
"""Airflow tells by StatsD, which not every installation collects."""


def numbers() -> tuple[Panel, ...]:
    """Build them, from left to right."""
    return (
        _scheduler(),
        _import_errors(),
        _failed(),
        _delay(),
        _reading(),
        _waiting(),
    )


def _scheduler() -> Panel:
    return stat(
        "Scheduler",
        "How often did the scheduler say in five minutes that it is alive?",
        now("sum(increase(airflow_scheduler_heartbeat[5m]))"),
        unit="none",
        decimals=0,
        steps=((None, "red"), (1, "green")),
        alerts=("SchedulerHeartbeatMissing",),
        **_absent(),
    )


def _import_errors() -> Panel:
    return stat(
        "Import errors",
        "How many DAG files cannot be imported?",
        now("max(last_over_time(airflow_dag_processing_import_errors[10m]))"),
        unit="none",
        decimals=0,
        steps=((None, "green"), (threshold("dag_import_errors") + 1, "orange")),
        alerts=("DagImportErrors",),
        **_absent(),
    )


def _failed() -> Panel:
    return stat(
        "Runs that failed",
        "How many DAG runs failed in the time that is shown?",
        now("sum(increase(airflow_dagrun_duration_failed_count[$__range]))"),
        unit="none",
        decimals=0,
        steps=((None, "green"), (1, "orange")),
        alerts=("DagRunFailed",),
        **_absent(),
    )


def _delay() -> Panel:
    return stat(
        "Start delay",
        "How long after its time did a DAG run begin, at worst?",
        now('max(airflow_dagrun_schedule_delay{quantile="0.9"})'),
        unit="s",
        decimals=1,
        steps=((None, "green"), (60, "orange")),
        **_absent(),
    )


def _reading() -> Panel:
    return stat(
        "Reading the DAGs",
        "How long does it take to read all DAG files?",
        now("max(airflow_dag_processing_total_parse_seconds)"),
        unit="s",
        decimals=1,
        steps=((None, "green"), (30, "orange")),
        **_absent(),
    )


def _waiting() -> Panel:
    return stat(
        "Tasks that wait",
        "How many tasks could run if there was room for them?",
        now("sum(airflow_executor_queued_tasks)"),
        unit="none",
        decimals=0,
        steps=((None, "green"), (20, "orange")),
        **_absent(),
    )


def dag_runs() -> Panel:
    """Count the runs that ended well, and those that failed."""
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


def durations() -> Panel:
    """Show how long the runs of each DAG take."""
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


def slots() -> Panel:
    """Show the room in pools and executor."""
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
