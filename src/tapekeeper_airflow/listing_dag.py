"""The DAG that brings the instruments of all venues up to date."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.bases.timetable import BaseTimetable
from airflow.sdk.exceptions import AirflowSkipException

from tapekeeper.backfill.listings import VENUES, sync_instruments
from tapekeeper_airflow.dag import new_dag
from tapekeeper_airflow.edge import errors_as_task_states, settings_of_task

_log = logging.getLogger(__name__)


def listing_dag(dag_id: str, schedule: BaseTimetable, description: str) -> DAG:
    """Return a DAG with one task per venue, so that one that is away keeps no other back."""
    with new_dag(dag_id, description, schedule=schedule, tags=["live", *VENUES]) as dag:
        _sync_task().expand(venue=list(VENUES))
    return dag


def _sync_task() -> Any:
    @task(task_id="sync", map_index_template="{{ venue }}")
    def sync(venue: str) -> dict[str, int]:
        """Ask one venue for its instruments, and write down what is new, what changed, and what is gone."""
        get_current_context()["venue"] = venue  # type: ignore[typeddict-unknown-key]
        with errors_as_task_states():
            change = sync_instruments(settings_of_task(), venue)
        if change is None:
            raise AirflowSkipException(f"no key is set for {venue}: nothing is asked")
        _log.info("%s lists %d: %d new, %d delisted, %d back", venue, *change)
        return change._asdict()

    return sync
