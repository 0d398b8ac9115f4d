"""The DAG of the quality checks, and the asset that tells others that it has looked."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from typing import Any, Final

from airflow.sdk import DAG, Asset, Param, get_current_context, task
from airflow.sdk.bases.timetable import BaseTimetable
from airflow.sdk.exceptions import AirflowFailException

from tapekeeper.backfill.tools import open_database
from tapekeeper.model.quality import QualitySummary
from tapekeeper.model.series import DATASETS
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.job import QualityJob
from tapekeeper.quality.report import write_reports
from tapekeeper.quality.report.page import verdict
from tapekeeper_airflow.dag import new_dag
from tapekeeper_airflow.edge import errors_as_task_states, settings_of_task
from tapekeeper_airflow.form import typed_into

QUALITY: Final = Asset(name="tapekeeper_quality", uri="x-tapekeeper://quality")
"""Emitted when a quality run has looked, whatever it found: gaps that it recorded can be repaired."""
_log = logging.getLogger(__name__)


def quality_dag(dag_id: str, schedule: BaseTimetable, description: str) -> DAG:
    """Return a DAG that checks what is held, writes the reports, and fails at the end when a critical check is red."""
    with new_dag(dag_id, description, schedule=schedule, params=_form(), tags=["quality"]) as dag:
        summary = _check_task()()
        _verdict_task()(summary, _reports_task()(summary))
    return dag


def _form() -> dict[str, Param]:
    return {
        "datasets": Param(
            list(DATASETS),
            type="array",
            title="Datasets",
            items={"type": "string"},
            examples=list(DATASETS),
            description="None chosen means all.",
        ),
        "window": Param(
            "7d",
            type="string",
            title="Window (UTC)",
            description="24h, 7d, 30d, all, or START/END such as 2024-05-01/2024-05-08. Days that are not over wait.",
        ),
        "checks": Param(
            list(CHECKS),
            type="array",
            title="Checks",
            items={"type": "string"},
            examples=list(CHECKS),
            description="None chosen means all.",
        ),
    }


def _check_task() -> Any:
    @task(task_id="check", outlets=[QUALITY])
    def check() -> str:
        """Check what was typed, look at the data, record what is missing, and return all that was found as JSON."""
        context = get_current_context()
        dag_id = context["dag"].dag_id
        with errors_as_task_states(), QualityJob(settings_of_task()) as job:
            typed = typed_into(_form(), context["params"])
            request = job.request(typed["datasets"], typed["window"], typed["checks"])
            summary = job.run(request, f"airflow/{dag_id}/{context['run_id']}", by=f"airflow/{dag_id}")
        # As text, because Airflow's database puts the keys of an object into an order of its own.
        return json.dumps(summary.as_json())

    return check


def _reports_task() -> Any:
    @task(task_id="reports")
    def reports(found: str) -> str:
        """Write the reports and return their folder."""
        with errors_as_task_states():
            settings, summary = settings_of_task(), QualitySummary.from_json(json.loads(found))
            with closing(open_database(settings, application_name="tapekeeper quality reports")) as database:
                folder = database.run(lambda cursor: write_reports(cursor, summary, settings.quality.report_folder))
        _log.info("the reports are in %s and at /api/data_status/reports/%d/", folder, summary.run_id)
        return str(folder)

    return reports


def _verdict_task() -> Any:
    @task(task_id="verdict", retries=0)
    def tell(found: str, folder: str) -> None:
        """Tell the summary as XCom and as one JSON log line; fail when a critical check is red, so that it is seen."""
        told = json.loads(found)
        summary = QualitySummary.from_json(told)
        checks = [{name: value for name, value in check.items() if name != "sample"} for check in told["checks"]]
        brief = {**told, "checks": checks, "report": folder}
        get_current_context()["ti"].xcom_push("summary", brief)
        _log.info("%s", json.dumps({"event": "quality_verdict", **brief}))
        if not summary.is_green:
            meaning = verdict(summary)
            raise AirflowFailException("; ".join([meaning.headline, *meaning.reasons, f"the report is in {folder}"]))

    return tell
