"""The quality run of the demo: through Airflow, as every night, and what it proves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import requests
from rich.table import Table

from tapekeeper.clock import format_moment, now_microseconds
from tapekeeper.errors import RetryLater, Stop
from tapekeeper.local.airflow import COMPONENTS
from tapekeeper.quality.report.words import ratio_percent
from tapekeeper.store.completeness import WINDOWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekeeper.local.airflow_client import AirflowClient
    from tapekeeper.local.installation import Installation
    from tapekeeper.status import DatasetStatus

QUALITY_DAG: Final = "quality_daily"
REPAIR_DAG: Final = "gap_repair"
LONGEST_SECONDS: Final = 600.0
_POLL_SECONDS: Final = 0.5


def check_quality(installation: Installation, client: AirflowClient, *, days: int) -> dict[str, Any]:
    """Run all checks over the last days and return the summary of the run, green or red.

    Raises:
        Stop: the run could not be done; the message says where its logs are.
    """
    client.pause(QUALITY_DAG, paused=False)
    run_id = f"local__{format_moment(now_microseconds())}"
    client.trigger(QUALITY_DAG, run_id, {"window": f"{days}d"})
    deadline, state = time.monotonic() + LONGEST_SECONDS, ""
    while state not in {"success", "failed"}:
        if time.monotonic() > deadline:
            raise Stop(f"the run {run_id} of {QUALITY_DAG} has not ended after {LONGEST_SECONDS:.0f} seconds")
        time.sleep(_POLL_SECONDS)
        installation.supervisor.check(COMPONENTS)
        try:
            state = client.run_state(QUALITY_DAG, run_id)
        except (requests.RequestException, RetryLater):
            # Something that died is being started again; the clock above runs on.
            continue
    tasks = client.task_states(QUALITY_DAG, run_id)
    if tasks["reports"] != "success":
        told = ", ".join(f"{task} {ended}" for task, ended in sorted(tasks.items()))
        raise Stop(f"the run {run_id} of {QUALITY_DAG} failed ({told}); logs: {installation.airflow.task_logs}")
    return dict(client.xcom(QUALITY_DAG, run_id, "verdict", "summary"))


def proof_table(statuses: Sequence[DatasetStatus]) -> Table:
    """Return what is proven of each dataset."""
    table = Table(title="What is proven")
    for column in ("dataset", *WINDOWS.values(), "all days", "open gaps"):
        table.add_column(column)
    for status in statuses:
        lately = [ratio_percent(status.quality.completeness[window]) for window in WINDOWS.values()]
        table.add_row(status.dataset, *lately, ratio_percent(status.completeness), f"{status.quality.gaps_open:,}")
    return table
