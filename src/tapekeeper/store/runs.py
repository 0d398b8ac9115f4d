"""Runs and their chunks: the work to do, who is doing it, and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from psycopg2.extras import execute_values

from tapekeeper.clock import from_microseconds, to_microseconds
from tapekeeper.errors import RetryLater
from tapekeeper.model.backfill import (
    BackfillRequest,
    Chunk,
    Direction,
    Mode,
    PlannedChunk,
    RowCounts,
    Source,
)
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import dataset_named
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from psycopg2.extensions import cursor as Cursor

# The oldest position that is free, or whose worker has been silent beyond its lease.
_CLAIM: Final = """
    UPDATE backfill_chunks AS chunk SET
        state = 'running', attempts = chunk.attempts + 1, lease_owner = %(owner)s,
        lease_until = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
    FROM (
        SELECT series_id, window_start FROM backfill_chunks
        WHERE run_id = %(run_id)s AND (%(series_id)s IS NULL OR series_id = %(series_id)s)
            AND state IN ('pending', 'running')
            AND not_before <= clock_timestamp()
            AND (state = 'pending' OR lease_until < clock_timestamp())
        ORDER BY position
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS next_chunk, series, instruments
    WHERE chunk.run_id = %(run_id)s
        AND chunk.series_id = next_chunk.series_id AND chunk.window_start = next_chunk.window_start
        AND series.series_id = chunk.series_id AND instruments.instrument_id = series.instrument_id
    RETURNING chunk.series_id, instruments.name, chunk.window_start, chunk.window_end, chunk.attempts,
        series.resolution_seconds, chunk.source
"""

_SETTLE: Final = """
    UPDATE backfill_chunks SET
        state = %(state)s,
        error = %(error)s,
        lease_owner = CASE %(state)s WHEN 'running' THEN lease_owner END,
        lease_until = CASE %(state)s WHEN 'running' THEN lease_until END,
        not_before = CASE WHEN %(after_seconds)s > 0
            THEN clock_timestamp() + make_interval(secs => %(after_seconds)s) ELSE not_before END,
        rows_fetched = rows_fetched + %(fetched)s,
        rows_inserted = rows_inserted + %(inserted)s,
        rows_updated = rows_updated + %(updated)s,
        rows_unchanged = rows_unchanged + %(unchanged)s,
        rows_rejected = rows_rejected + %(rejected)s,
        finished_at = clock_timestamp()
    WHERE run_id = %(run_id)s AND series_id = %(series_id)s AND window_start = %(window_start)s
        AND state = 'running' AND lease_owner = %(owner)s
"""
_ROLL_UP: Final = """
    UPDATE series_totals SET
        rows_backfilled = rows_backfilled + %(written)s,
        backfilled_at = CASE %(state)s WHEN 'done' THEN clock_timestamp() ELSE backfilled_at END
    WHERE series_id = %(series_id)s
"""


class LeaseLost(RetryLater):
    """Another worker took the chunk because this one was silent for too long; nothing of it was written here."""


def create_run(cursor: Cursor, run_key: str, request: BackfillRequest) -> int | None:
    """Return the id of a new run, or None if there is one of this key already."""
    start, end = request.window.as_datetimes()
    cursor.execute(
        """
        INSERT INTO backfill_runs
            (run_key, dataset, instruments, resolution_seconds, window_start, window_end, direction, mode)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (run_key) DO NOTHING
        RETURNING run_id
        """,
        (
            run_key,
            request.dataset.name,
            list(request.instruments),
            request.resolution.seconds,
            start,
            end,
            request.direction.value,
            request.mode.value,
        ),
    )
    row = cursor.fetchone()
    return int(row[0]) if row else None


def begin_run(cursor: Cursor, run_key: str, request: BackfillRequest) -> tuple[int, bool]:
    """Return the id of the run of this key, and whether it is new: one that exists already is gone on with."""
    run_id = create_run(cursor, run_key, request)
    if run_id is not None:
        return run_id, True
    existing = find_run(cursor, run_key)
    if existing is None:
        raise AssertionError(f"the run {run_key} was deleted while it was looked up")
    return existing, False


def find_run(cursor: Cursor, run_key: str) -> int | None:
    """Return the id of the run of this key, or None."""
    cursor.execute("SELECT run_id FROM backfill_runs WHERE run_key = %s", (run_key,))
    row = cursor.fetchone()
    return int(row[0]) if row else None


def request_of(cursor: Cursor, run_id: int) -> BackfillRequest:
    """Return what the run was asked to do."""
    cursor.execute(
        """
        SELECT dataset, instruments, resolution_seconds, window_start, window_end, direction, mode
        FROM backfill_runs WHERE run_id = %s
        """,
        (run_id,),
    )
    row = cursor.fetchone()
    if row is None:
        raise LookupError(f"there is no run {run_id}")
    return BackfillRequest(
        dataset=dataset_named(row[0]),
        instruments=tuple(row[1]),
        resolution=Resolution(row[2]),
        window=Window(to_microseconds(row[3]), to_microseconds(row[4])),
        direction=Direction(row[5]),
        mode=Mode(row[6]),
    )


def add_chunks(cursor: Cursor, run_id: int, series_id: int, chunks: Iterable[PlannedChunk]) -> None:
    """Add the chunks of one series, in the order of work."""
    execute_values(
        cursor,
        "INSERT INTO backfill_chunks (run_id, series_id, window_start, window_end, position, source) VALUES %s",
        [
            (run_id, series_id, *chunk.window.as_datetimes(), position, chunk.source.value)
            for position, chunk in enumerate(chunks)
        ],
        page_size=1000,
    )


def claim(cursor: Cursor, run_id: int, series_id: int | None, owner: UUID, lease_seconds: float) -> Chunk | None:
    """Lease the next chunk of a run, of one of its series if named; None if none can be had now."""
    cursor.execute(
        _CLAIM,
        {"run_id": run_id, "series_id": series_id, "owner": str(owner), "lease_seconds": lease_seconds},
    )
    row = cursor.fetchone()
    if row is None:
        return None
    series_id, name, start, end, attempts, resolution_seconds, source = row
    window = Window(to_microseconds(start), to_microseconds(end))
    return Chunk(run_id, series_id, name, window, attempts, Resolution(resolution_seconds), Source(source))


def renew(cursor: Cursor, chunk: Chunk, owner: UUID, lease_seconds: float) -> None:
    """Keep a chunk for longer; raise LeaseLost if another worker has it."""
    cursor.execute(
        """
        UPDATE backfill_chunks SET lease_until = clock_timestamp() + make_interval(secs => %s)
        WHERE run_id = %s AND series_id = %s AND window_start = %s AND state = 'running' AND lease_owner = %s
        """,
        (lease_seconds, *_key(chunk), str(owner)),
    )
    _still_mine(cursor, chunk)


def count(cursor: Cursor, chunk: Chunk, owner: UUID, rows: RowCounts) -> None:
    """Add rows to what came of a chunk that is not done with them, in their transaction.

    Raises LeaseLost if another worker has it.
    """
    _settle(cursor, chunk, owner, "running", rows, error=None, after_seconds=0)


def finish(cursor: Cursor, chunk: Chunk, owner: UUID, rows: RowCounts) -> None:
    """Mark a chunk as done, in the transaction of its rows; raise LeaseLost if another worker has it."""
    _settle(cursor, chunk, owner, "done", rows, error=None, after_seconds=0)


def give_back(
    cursor: Cursor, chunk: Chunk, owner: UUID, rows: RowCounts, *, error: str, after_seconds: float, counts: bool
) -> None:
    """Let the chunk be tried again after some seconds; `counts` says whether this try counts as one."""
    _settle(cursor, chunk, owner, "pending", rows, error=error, after_seconds=after_seconds)
    if not counts:
        cursor.execute(
            "UPDATE backfill_chunks SET attempts = attempts - 1"
            " WHERE run_id = %s AND series_id = %s AND window_start = %s",
            _key(chunk),
        )


def fail(cursor: Cursor, chunk: Chunk, owner: UUID, rows: RowCounts, *, error: str) -> None:
    """Give a chunk up with the reason; the rest of the run goes on."""
    _settle(cursor, chunk, owner, "failed", rows, error=error, after_seconds=0)


def seconds_until_next(cursor: Cursor, run_id: int, series_id: int | None) -> float | None:
    """Return when the next unfinished chunk can be had, in seconds from now; None if all are finished."""
    cursor.execute(
        """
        SELECT extract(epoch FROM min(
            greatest(not_before, CASE state WHEN 'running' THEN lease_until END, clock_timestamp())
        ) - clock_timestamp()), count(*)
        FROM backfill_chunks
        WHERE run_id = %(run_id)s AND (%(series_id)s IS NULL OR series_id = %(series_id)s)
            AND state IN ('pending', 'running')
        """,
        {"run_id": run_id, "series_id": series_id},
    )
    row = cursor.fetchone()
    if row is None or row[1] == 0:
        return None
    return max(0.0, float(row[0]))


def series_with_work(cursor: Cursor, run_id: int) -> list[tuple[int, str]]:
    """Return the id and the instrument of the series that have chunks in the run."""
    cursor.execute(
        """
        SELECT DISTINCT series_id, name
        FROM backfill_chunks JOIN series USING (series_id) JOIN instruments USING (instrument_id)
        WHERE run_id = %s ORDER BY name
        """,
        (run_id,),
    )
    return [(int(series_id), str(name)) for series_id, name in cursor.fetchall()]


def close_run(cursor: Cursor, run_id: int) -> None:
    """Give the run its end and its state, if nothing of it is left to do."""
    cursor.execute(
        """
        UPDATE backfill_runs SET
            finished_at = coalesce(finished_at, clock_timestamp()),
            state = CASE WHEN EXISTS (
                SELECT FROM backfill_chunks WHERE run_id = %(run_id)s AND state = 'failed'
            ) THEN 'failed' ELSE 'done' END
        WHERE run_id = %(run_id)s AND NOT EXISTS (
            SELECT FROM backfill_chunks WHERE run_id = %(run_id)s AND state IN ('pending', 'running')
        )
        """,
        {"run_id": run_id},
    )


def _settle(
    cursor: Cursor,
    chunk: Chunk,
    owner: UUID,
    state: str,
    rows: RowCounts,
    *,
    error: str | None,
    after_seconds: float,
) -> None:
    run_id, series_id, window_start = _key(chunk)
    values = {"run_id": run_id, "series_id": series_id, "window_start": window_start, "owner": str(owner)}
    values |= {"state": state, "error": error, "after_seconds": after_seconds, **asdict(rows)}
    cursor.execute(_SETTLE, values)
    _still_mine(cursor, chunk)
    cursor.execute(_ROLL_UP, {"series_id": chunk.series_id, "written": rows.inserted + rows.updated, "state": state})


def _still_mine(cursor: Cursor, chunk: Chunk) -> None:
    if cursor.rowcount != 1:
        raise LeaseLost(
            f"another worker took {chunk.instrument_name} {chunk.window}: nothing is lost, it goes on there",
            after_seconds=0,
        )


def _key(chunk: Chunk) -> tuple[object, ...]:
    return chunk.run_id, chunk.series_id, from_microseconds(chunk.window.start)
