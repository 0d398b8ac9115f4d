"""What the status page asks the database: sums over one row per series, never a scan of data or of coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

_TOTALS: Final = """
    SELECT
        series.dataset,
        count(*),
        coalesce(sum(total.rows_held), 0)::bigint,
        coalesce(sum(total.held), 0)::bigint,
        coalesce(sum(total.explained), 0)::bigint,
        coalesce(sum(total.expected), 0)::bigint,
        coalesce(sum(least(total.held + total.explained, total.expected)), 0)::bigint,
        min(total.first_event_time),
        max(total.last_event_time)
    FROM series
    LEFT JOIN series_totals AS total USING (series_id)
    GROUP BY series.dataset
"""

# The tree of a table without partitions is empty, and a partitioned table itself has no size.
_TABLE_BYTES: Final = """
    SELECT coalesce(
        (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(%(table)s::regclass)),
        pg_total_relation_size(%(table)s::regclass)
    )::bigint
"""

# Two counts, because each has a partial index of its own.
_UNFINISHED_CHUNKS: Final = """
    SELECT coalesce(sum(pending.chunks), 0)::bigint, coalesce(sum(failed.chunks), 0)::bigint
    FROM backfill_runs AS run
    CROSS JOIN LATERAL (
        SELECT count(*) AS chunks FROM backfill_chunks AS chunk
        WHERE chunk.run_id = run.run_id AND chunk.state IN ('pending', 'running')
    ) AS pending
    CROSS JOIN LATERAL (
        SELECT count(*) AS chunks FROM backfill_chunks AS chunk
        WHERE chunk.run_id = run.run_id AND chunk.state = 'failed'
    ) AS failed
    WHERE run.dataset = %s AND run.state = 'running'
"""

_OPEN_GAPS: Final = """
    SELECT series.dataset, count(*)
    FROM data_gaps
    JOIN series USING (series_id)
    WHERE data_gaps.closed_at IS NULL
    GROUP BY series.dataset
"""

_LAST_RUN: Final = """
    SELECT run_id, run_key, state, cardinality(instruments), window_start, window_end, created_at, finished_at
    FROM backfill_runs
    WHERE dataset = %s
    ORDER BY run_id DESC
    LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class DatasetTotals:
    """The sums over all series of one dataset."""

    series_count: int = 0
    rows_held: int = 0
    """Rows in the database."""
    held: int = 0
    """What the dataset counts by: rows of candles and trades, for quotes the seconds with a whole feed."""
    explained: int = 0
    """What is missing for good and says why."""
    expected: int = 0
    """What the followed windows ask for."""
    accounted: int = 0
    """Held and explained, of each series at most as much as is expected of it."""
    first_event_time: datetime | None = None
    last_event_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest backfill run of a dataset."""

    run_id: int
    run_key: str
    state: str
    instrument_count: int
    window_start: datetime
    window_end: datetime
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """What the backfill runs of a dataset still have to do."""

    chunks_pending: int = 0
    """Chunks of running runs that are waiting or under way."""
    chunks_failed: int = 0
    """Chunks of running runs that were given up."""
    last_run: LastRun | None = None


def dataset_totals(cursor: Cursor) -> dict[str, DatasetTotals]:
    """Return the totals of every dataset that has a series, by name."""
    cursor.execute(_TOTALS)
    return {dataset: DatasetTotals(*sums) for dataset, *sums in cursor.fetchall()}


def table_bytes(cursor: Cursor, table: str) -> int:
    """Return the bytes of a table with its indexes, partitions and oversized values."""
    cursor.execute(_TABLE_BYTES, {"table": f"public.{table}"})
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def open_gap_counts(cursor: Cursor) -> dict[str, int]:
    """Return how many gaps of each dataset are not closed; a dataset without any is absent."""
    cursor.execute(_OPEN_GAPS)
    return dict(cursor.fetchall())


def backfill_progress(cursor: Cursor, dataset: str) -> BackfillProgress:
    """Return how far the backfills of a dataset are."""
    cursor.execute(_UNFINISHED_CHUNKS, (dataset,))
    pending, failed = cursor.fetchone() or (0, 0)
    cursor.execute(_LAST_RUN, (dataset,))
    last_run = cursor.fetchone()
    return BackfillProgress(pending, failed, LastRun(*last_run) if last_run else None)
