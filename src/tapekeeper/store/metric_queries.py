"""What the exporter of metrics asks the database: roll-ups, partial indexes, and runs of the last day; no scan of data.

A number that is told as a counter never falls, neither when the exporter starts anew nor when old rows are dropped:

- rows of backfills: `series_totals.rows_backfilled`, added to in the transaction of the rows; runs and chunks may go
- requests: `api_request_totals`, added to in the transaction of the request's row; days of requests may go
- gaps: counted in the ledger, which is kept for ever; a gap that is repaired stays so
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

RECENT_HOURS: Final = 24
"""For how long the chunks of a run that ended are told."""
RECENT_QUALITY_RUNS: Final = 200
"""A check that none of the last so many quality runs did is told no more."""

# From the few runs to their chunks by the key, whatever the planner thinks of the number of chunks.
_CHUNKS: Final = """
    SELECT run.dataset, chunk.state, sum(chunk.chunks)::bigint
    FROM backfill_runs AS run
    CROSS JOIN LATERAL (
        SELECT state, count(*) AS chunks FROM backfill_chunks WHERE run_id = run.run_id GROUP BY state
    ) AS chunk
    WHERE run.state = 'running' OR run.finished_at > clock_timestamp() - make_interval(hours => %s)
    GROUP BY run.dataset, chunk.state
"""
_BACKFILLED: Final = """
    SELECT series.dataset, sum(total.rows_backfilled)::bigint, max(total.backfilled_at)
    FROM series
    JOIN series_totals AS total USING (series_id)
    GROUP BY series.dataset
"""
_OPEN_GAPS: Final = """
    SELECT series.dataset, gap.cause, sum(gap.gaps)::bigint, sum(missing.seconds)::double precision
    FROM (
        SELECT series_id, cause, count(*) AS gaps, range_agg(tstzrange(window_start, window_end)) AS ranges
        FROM data_gaps
        WHERE closed_at IS NULL
        GROUP BY series_id, cause
    ) AS gap
    CROSS JOIN LATERAL (
        SELECT sum(extract(epoch FROM upper(piece) - lower(piece))) AS seconds FROM unnest(gap.ranges) AS piece
    ) AS missing
    JOIN series USING (series_id)
    GROUP BY series.dataset, gap.cause
"""
_WORST_GAPS: Final = """
    SELECT series.dataset, min(gap.opened_at),
        max(extract(epoch FROM gap.window_end - gap.window_start))::double precision
    FROM data_gaps AS gap
    JOIN series USING (series_id)
    WHERE gap.closed_at IS NULL
    GROUP BY series.dataset
"""
_GAPS: Final = """
    SELECT series.dataset, sum(ledger.detected)::bigint, coalesce(sum(closed.repaired), 0)::bigint
    FROM (SELECT series_id, count(*) AS detected FROM data_gaps GROUP BY series_id) AS ledger
    LEFT JOIN (
        SELECT series_id, count(*) AS repaired FROM data_gaps WHERE state = 'repaired' GROUP BY series_id
    ) AS closed USING (series_id)
    JOIN series USING (series_id)
    GROUP BY series.dataset
"""
_CHECKS: Final = """
    SELECT DISTINCT ON (dataset, check_name) dataset, check_name, severity, status
    FROM quality_results
    WHERE run_id > (SELECT max(run_id) FROM quality_runs) - %s AND dataset = ANY(%s)
    ORDER BY dataset, check_name, run_id DESC
"""
_LAST_QUALITY_RUNS: Final = """
    SELECT dataset, max(finished_at)
    FROM quality_runs CROSS JOIN LATERAL unnest(datasets) AS dataset
    WHERE state IN ('green', 'red')
    GROUP BY dataset
"""


class Backfilled(NamedTuple):
    """What backfills ever did for a dataset."""

    rows: int
    """Inserted or updated."""
    last_success_at: datetime | None
    """When the newest chunk was done; None before the first."""


class OpenGaps(NamedTuple):
    """The gaps of a dataset and a cause that are not closed."""

    gaps: int
    seconds: float
    """That their windows cover, added up over the series; where windows overlap it counts once."""


class WorstGaps(NamedTuple):
    """The extremes of the gaps of a dataset that are not closed."""

    oldest_opened_at: datetime
    """When the one was recorded that was recorded first."""
    longest_seconds: float
    """That the window of the longest one covers."""


class GapCounts(NamedTuple):
    """What became of the gaps of a dataset."""

    detected: int
    repaired: int


class CheckState(NamedTuple):
    """How a check ended the last time that it was done."""

    dataset: str
    check: str
    severity: str
    status: str
    """green, red, or error: it could not be done."""


def chunk_counts(cursor: Cursor) -> dict[tuple[str, str], int]:
    """Return the chunks of the runs that go on or ended within `RECENT_HOURS`, by dataset and state."""
    cursor.execute(_CHUNKS, (RECENT_HOURS,))
    return {(dataset, state): chunks for dataset, state, chunks in cursor.fetchall()}


def backfilled(cursor: Cursor) -> dict[str, Backfilled]:
    """Return what backfills did, by dataset."""
    cursor.execute(_BACKFILLED)
    return {dataset: Backfilled(*told) for dataset, *told in cursor.fetchall()}


def request_counts(cursor: Cursor) -> dict[tuple[str, str], int]:
    """Return how many requests were ever recorded, by the venue's method and outcome."""
    cursor.execute("SELECT method, outcome, sum(requests)::bigint FROM api_request_totals GROUP BY method, outcome")
    return {(method, outcome): requests for method, outcome, requests in cursor.fetchall()}


def open_gaps_by_cause(cursor: Cursor) -> dict[tuple[str, str], OpenGaps]:
    """Return what is open, by dataset and cause; where nothing is, there is no entry."""
    cursor.execute(_OPEN_GAPS)
    return {(dataset, cause): OpenGaps(*told) for dataset, cause, *told in cursor.fetchall()}


def worst_open_gaps(cursor: Cursor) -> dict[str, WorstGaps]:
    """Return the extremes of what is open, by dataset; where nothing is, there is no entry."""
    cursor.execute(_WORST_GAPS)
    return {dataset: WorstGaps(*told) for dataset, *told in cursor.fetchall()}


def gap_counts(cursor: Cursor) -> dict[str, GapCounts]:
    """Return how many gaps were ever recorded and repaired, by dataset; one without any has no entry."""
    cursor.execute(_GAPS)
    return {dataset: GapCounts(*told) for dataset, *told in cursor.fetchall()}


def check_states(cursor: Cursor, datasets: Iterable[str]) -> list[CheckState]:
    """Return how each check of these datasets ended the last time."""
    cursor.execute(_CHECKS, (RECENT_QUALITY_RUNS, list(datasets)))
    return [CheckState(*row) for row in cursor.fetchall()]


def last_quality_runs(cursor: Cursor) -> dict[str, datetime]:
    """Return when the newest quality run ended that could be finished, green or red, by dataset."""
    cursor.execute(_LAST_QUALITY_RUNS)
    return dict(cursor.fetchall())
