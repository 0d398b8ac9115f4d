"""Airflow & database: what everything else stands on."""

from __future__ import annotations

from grafana.generator import airflow, postgresql
from grafana.generator.dashboard import Dashboard


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "airflow_database",
        "Airflow & database",
        "Do Airflow and PostgreSQL, on which everything stands, have what they need?",
        time_from="now-7d",
    )
    dashboard.row("Database", *postgresql.numbers())
    dashboard.row(None, postgresql.sizes(), postgresql.rows(), postgresql.free())
    dashboard.row(None, postgresql.rows_per_day(), postgresql.sessions())
    dashboard.row(None, postgresql.tables())
    dashboard.row("Airflow", *airflow.numbers())
    dashboard.row(None, airflow.dag_runs(), airflow.durations(), airflow.slots())
    return dashboard
