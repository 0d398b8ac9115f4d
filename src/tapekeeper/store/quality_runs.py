"""Quality runs and their results, kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg2.extras import Json, execute_values

from tapekeeper.store.quarantine import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.quality import CheckResult, QualityRequest

_BEGIN: Final = """
    INSERT INTO quality_runs AS run (run_key, datasets, checks, window_start, window_end, state, asked_by)
    VALUES (%s, %s, %s, %s, %s, 'running', %s)
    ON CONFLICT (run_key) DO UPDATE SET
        datasets = excluded.datasets, checks = excluded.checks,
        window_start = excluded.window_start, window_end = excluded.window_end,
        state = 'running', asked_by = excluded.asked_by, started_at = clock_timestamp(), finished_at = NULL
    RETURNING run_id
"""
_SAVE: Final = """
    INSERT INTO quality_results
        (run_id, dataset, check_name, severity, status, checked, found, figures, sample, error, seconds)
    VALUES %s
"""
_LAST: Final = """
    SELECT
        run.run_id, run.state, run.started_at, run.finished_at, run.window_start, run.window_end,
        count(result.check_name),
        count(*) FILTER (WHERE result.status <> 'green' AND result.severity = 'critical'),
        count(*) FILTER (WHERE result.status <> 'green' AND result.severity = 'warning')
    FROM (
        SELECT * FROM quality_runs WHERE %(dataset)s = ANY(datasets) ORDER BY run_id DESC LIMIT 1
    ) AS run
    LEFT JOIN quality_results AS result ON result.run_id = run.run_id AND result.dataset = %(dataset)s
    GROUP BY run.run_id, run.state, run.started_at, run.finished_at, run.window_start, run.window_end
"""


@dataclass(frozen=True, slots=True)
class LastQualityRun:
    """The newest quality run that looked at a dataset."""

    run_id: int
    state: str
    """Of the whole run: running, green, red or failed."""
    started_at: datetime
    finished_at: datetime | None
    window_start: datetime | None
    """None: from the first row on."""
    window_end: datetime
    checks: int
    """How many checks have a result for this dataset; also below without an alarm."""
    alarms: int
    """Critical ones that are not green."""
    warnings: int
    """Others that are not green."""


def begin(cursor: Cursor, run_key: str, request: QualityRequest, *, by: str) -> int:
    """Write down that a run begins and return its id; a run of this key begins anew, without its old results."""
    start, end = request.window.as_datetimes()
    datasets = [dataset.name for dataset in request.datasets]
    cursor.execute(_BEGIN, (run_key, datasets, list(request.checks), None if request.is_everything else start, end, by))
    ((run_id,),) = cursor.fetchall()
    cursor.execute("DELETE FROM quality_results WHERE run_id = %s", (run_id,))
    return int(run_id)


def save_results(cursor: Cursor, run_id: int, results: Iterable[CheckResult]) -> None:
    """Keep what checks found instead of what was kept of the run before."""
    cursor.execute("DELETE FROM quality_results WHERE run_id = %s", (run_id,))
    execute_values(cursor, _SAVE, [_row(run_id, result) for result in results])


def finish(cursor: Cursor, run_id: int, state: str) -> None:
    """Write down how a run ended: green, red or failed."""
    cursor.execute(
        "UPDATE quality_runs SET state = %s, finished_at = clock_timestamp() WHERE run_id = %s", (state, run_id)
    )


def last_run(cursor: Cursor, dataset: str) -> LastQualityRun | None:
    """Return the newest run that looked at a dataset, None before the first."""
    cursor.execute(_LAST, {"dataset": dataset})
    row = cursor.fetchone()
    return LastQualityRun(*row) if row else None


def newest_run(cursor: Cursor) -> tuple[int, datetime | None] | None:
    """Return which quality run is the newest and when it ended, None before the first."""
    cursor.execute("SELECT run_id, finished_at FROM quality_runs ORDER BY run_id DESC LIMIT 1")
    row = cursor.fetchone()
    return (row[0], row[1]) if row else None


def _row(run_id: int, result: CheckResult) -> Sequence[object]:
    return (
        run_id,
        result.dataset,
        result.check,
        result.severity.value,
        result.status.value,
        result.checked,
        result.found,
        Json(storable(dict(result.figures))),
        Json(storable([dict(row) for row in result.sample])),
        None if result.error is None else storable(result.error),
        result.seconds,
    )
