"""The DAG that repairs gaps."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, Param, get_current_context, task
from airflow.sdk.bases.timetable import BaseTimetable

from tapekeeper.model.repair import RepairSummary
from tapekeeper.repair.job import RepairJob
from tapekeeper_airflow.dag import new_dag
from tapekeeper_airflow.edge import errors_as_task_states, settings_of_task
from tapekeeper_airflow.form import typed_into

_log = logging.getLogger(__name__)


def repair_dag(dag_id: str, schedule: BaseTimetable, description: str) -> DAG:
    """Return a DAG that repairs the gaps that are due, or the one that somebody names; nothing due ends it at once."""
    # What a try could not do, the next run does.
    with new_dag(dag_id, description, schedule=schedule, params=_form(), tags=["quality"], retries=0) as dag:
        _repair_task()()
    return dag


def _form() -> dict[str, Param]:
    return {
        "gap_id": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Gap",
            description="Repair this gap now. Empty means those that are due, newest and largest first.",
        )
    }


def _repair_task() -> Any:
    @task(task_id="repair")
    def repair() -> dict[str, object]:
        """Repair what is due and return what became of it."""
        context = get_current_context()
        by = f"airflow/{context['dag'].dag_id}"
        with errors_as_task_states(), RepairJob(settings_of_task()) as job:
            gap_id = typed_into(_form(), context["params"])["gap_id"]
            if gap_id is not None:
                return job.repair(gap_id, by=by).as_json()
            if job.has_work():
                return job.repair_open(by=by).as_json()
        _log.info("no gap is due")
        return RepairSummary().as_json()

    return repair
