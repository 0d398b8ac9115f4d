"""What all our DAGs have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param

from tapekeeper_airflow.edge import OWNER


def new_dag(
    dag_id: str,
    description: str,
    *,
    schedule: Any,
    tags: Sequence[str],
    params: Mapping[str, Param] | None = None,
    max_active_runs: int = 1,
    retries: int = 3,
) -> DAG:
    """Return an empty DAG: its description is its page, and nights that were missed are not made up for."""
    return DAG(
        dag_id=dag_id,
        description=description,
        doc_md=description,
        schedule=schedule,
        start_date=datetime(2018, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=max_active_runs,
        default_args={"owner": OWNER, "retries": retries, "retry_delay": timedelta(seconds=10)},
        params=dict(params) if params else None,
        tags=list(tags),
    )
