"""The backfill DAG that all datasets share."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, Context, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.offers import Offer, offer_of
from tapekeeper.backfill.request import check_request
from tapekeeper.clock import now_microseconds
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.backfill import BackfillPlan, BackfillRequest, Direction, Mode
from tapekeeper.model.series import Dataset
from tapekeeper_airflow.dag import new_dag
from tapekeeper_airflow.edge import errors_as_task_states, settings_of_task
from tapekeeper_airflow.form import typed_into

RUNS_AT_ONCE = 16
"""Runs that somebody triggered must not keep those of the clock waiting, nor they them; what works at once is limited
by Airflow's places for tasks."""
_log = logging.getLogger(__name__)


def backfill_dag(
    dag_id: str,
    dataset: Dataset,
    instruments: list[str],
    start: str,
    description: str,
    schedule: str | None = None,
) -> DAG:
    """Return a DAG that backfills a dataset when somebody triggers it: plan, one task per instrument, summary.

    With a schedule, the runs that nobody triggered fetch what is new for the followed series instead.
    """
    form, tags = _form(dataset, instruments, start), ["backfill", dataset.venue]
    with new_dag(dag_id, description, schedule=schedule, params=form, max_active_runs=RUNS_AT_ONCE, tags=tags) as dag:
        series = _plan_task(dataset, is_scheduled_too=schedule is not None)()
        _work_task().expand(series=series) >> _summary_task()()
        if schedule is not None:
            _keep_fresh_task(dataset, is_triggered_too=True)()
    return dag


def keep_fresh_dag(dag_id: str, dataset: Dataset, schedule: str, description: str) -> DAG:
    """Return a DAG that fetches what is new for the followed series of a dataset."""
    with new_dag(dag_id, description, schedule=schedule, tags=["live", dataset.venue]) as dag:
        _keep_fresh_task(dataset, is_triggered_too=False)()
    return dag


def _form(dataset: Dataset, instruments: list[str], start: str) -> dict[str, Param]:
    offer = offer_of(dataset)
    return {
        "instruments": Param(
            instruments,
            type="array",
            title="Instruments",
            items={"type": "string"},
            examples=instruments,
            description="Choose one or more.",
            section="What",
        ),
        "other_instruments": Param(
            None,
            type=["null", "string"],
            title="Other instruments",
            description=f"Names that are not in the list, with commas between, written like {offer.example}.",
            section="What",
        ),
        **({"resolution": _resolution(offer)} if offer.resolutions else {}),
        "start": Param(
            start,
            type="string",
            title="Start (UTC)",
            description="2018-08-14, 2018-08-14T12:30Z or 7 days ago. Before the venue's history it begins there.",
            section="When",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            title="End (UTC)",
            description="Itself left out. Empty means now.",
            section="When",
        ),
        "direction": Param(
            Direction.NEWEST_FIRST.value, type="string", enum=[choice.value for choice in Direction], section="How"
        ),
        "mode": Param(
            Mode.MISSING_ONLY.value,
            type="string",
            enum=[choice.value for choice in Mode],
            description="Full refresh asks again for what is held, and corrects what differs.",
            section="How",
        ),
        "keep_fresh": Param(
            default=False,
            type="boolean",
            title="Keep fresh",
            description="Let the live DAG go on with these instruments afterwards.",
            section="How",
        ),
    }


def _resolution(offer: Offer) -> Param:
    return Param(offer.resolutions[0], type="string", enum=list(offer.resolutions), title="Resolution", section="What")


def _plan_task(dataset: Dataset, *, is_scheduled_too: bool) -> Any:
    @task(task_id="plan")
    def plan() -> list[dict[str, object]]:
        """Check what was typed, plan, and write the run down; return one item per instrument with work."""
        context = get_current_context()
        if is_scheduled_too and _is_scheduled(context):
            raise AirflowSkipException("nobody asked for a window: the task keep_fresh does the work")
        with errors_as_task_states(), BackfillJob(settings_of_task()) as job:
            run_key = f"airflow/{context['dag'].dag_id}/{context['run_id']}"
            run_id = job.find(run_key)
            if run_id is None:
                run_id = job.start(
                    _planned(job, _request(dataset, typed_into(_form(dataset, [], ""), context["params"]))), run_key
                )
            context["ti"].xcom_push("run_id", run_id)
            return [
                {"run_id": run_id, "series_id": series_id, "instrument": name}
                for series_id, name in job.series_of(run_id)
            ]

    return plan


def _planned(job: BackfillJob, request: BackfillRequest) -> BackfillPlan:
    """Return the plan, told in the task's log."""
    planned = job.plan(request)
    for each in planned.instruments:
        if each.note:
            _log.info("%s", each.note)
    _log.info(
        "%d requests for %d rows, about %.0f s", planned.requests, planned.rows_missing, planned.estimated_seconds
    )
    return planned


def _work_task() -> Any:
    @task(task_id="backfill", map_index_template="{{ series.instrument }}", max_active_tis_per_dagrun=4)
    def backfill(series: dict[str, Any]) -> dict[str, object]:
        """Work on one instrument until nothing is left; a long wait gives the slot back."""
        get_current_context()["series"] = series  # type: ignore[typeddict-unknown-key]
        with errors_as_task_states(), BackfillJob(settings_of_task()) as job:
            job.work(series["run_id"], series_id=series["series_id"])
        return series

    return backfill


def _summary_task() -> Any:
    @task(task_id="summary", trigger_rule="all_done", retries=0)
    def summary() -> dict[str, object]:
        """Sum the run up as XCom and as one JSON log line; fail if a chunk failed, so that Airflow shows it."""
        context = get_current_context()
        run_id = context["ti"].xcom_pull(task_ids="plan", key="run_id")
        if run_id is None and _is_scheduled(context):
            raise AirflowSkipException("nobody asked for a window")
        if run_id is None:
            raise AirflowFailException("there is no plan: the log of the task plan says what to change")
        with errors_as_task_states(), BackfillJob(settings_of_task()) as job:
            result = job.finish(int(run_id))
        if result.state != "done":
            raise AirflowFailException(
                f"{result.chunks_failed} chunks failed; trigger the DAG again to fetch what is missing. "
                f"First error: {result.errors[0] if result.errors else 'a task was stopped'}"
            )
        return result.as_json()

    return summary


def _keep_fresh_task(dataset: Dataset, *, is_triggered_too: bool) -> Any:
    # Never twice at a time: the next turn goes on with what the last one left.
    @task(task_id="keep_fresh", retries=0, max_active_tis_per_dag=1)
    def keep_fresh() -> list[dict[str, object]]:
        """Fetch what is new of each followed series, and replaced files anew; fail if something of it failed."""
        context = get_current_context()
        if is_triggered_too and not _is_scheduled(context):
            raise AirflowSkipException("somebody asked for a window: the task plan does the work")
        with errors_as_task_states(), BackfillJob(settings_of_task(), priority=Priority.LIVE) as job:
            job_key, turn = f"airflow/{context['dag'].dag_id}", str(context["run_id"])
            summaries = job.take_turn(dataset, job_key, turn)
        return [summary.as_json() for summary in summaries]

    return keep_fresh


def _is_scheduled(context: Context) -> bool:
    """Tell whether the run began by the clock, and not by a person or a program that filled in the form."""
    return context["dag_run"].run_type == "scheduled"


def _request(dataset: Dataset, typed: dict[str, Any]) -> BackfillRequest:
    """Return the checked request of a trigger form; Airflow lets nonsense in dates through."""
    return check_request(
        dataset,
        instruments=[*typed["instruments"], *(typed["other_instruments"] or "").split(",")],
        start=typed["start"],
        end=typed["end"] or "now",
        resolution=typed.get("resolution", ""),
        direction=typed["direction"],
        mode=typed["mode"],
        keep_fresh=typed["keep_fresh"],
        now=now_microseconds(),
    )
