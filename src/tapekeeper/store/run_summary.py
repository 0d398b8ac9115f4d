"""What came of a run: counted from its chunks, its requests, and what is held of its windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import format_moment, to_microseconds
from tapekeeper.model.backfill import RowCounts, RunSummary

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_ERRORS_SHOWN: Final = 20


def summarise(cursor: Cursor, run_id: int) -> RunSummary:
    """Return what the run did so far."""
    cursor.execute(
        """
        SELECT run.state, run.instruments,
            extract(epoch FROM coalesce(run.finished_at, clock_timestamp()) - run.created_at),
            coalesce(sum(
                extract(epoch FROM chunk.window_end - chunk.window_start) / nullif(series.resolution_seconds, 0)
            ), 0),
            coalesce(sum(rows_fetched), 0), coalesce(sum(rows_inserted), 0), coalesce(sum(rows_updated), 0),
            coalesce(sum(rows_unchanged), 0), coalesce(sum(rows_rejected), 0),
            count(*) FILTER (WHERE chunk.state = 'done'), count(*) FILTER (WHERE chunk.state = 'failed'),
            (SELECT count(*) FROM api_requests WHERE api_requests.run_id = run.run_id)
        FROM backfill_runs AS run
        LEFT JOIN backfill_chunks AS chunk USING (run_id)
        LEFT JOIN series USING (series_id)
        WHERE run_id = %s
        GROUP BY run.run_id
        """,
        (run_id,),
    )
    row = cursor.fetchone()
    if row is None:
        raise LookupError(f"there is no run {run_id}")
    earliest, latest = _extent(cursor, run_id)
    return RunSummary(
        run_id=run_id,
        state=row[0],
        instruments=tuple(row[1]),
        seconds=float(row[2]),
        requested=int(row[3]),
        rows=RowCounts(*(int(count) for count in row[4:9])),
        chunks_done=int(row[9]),
        chunks_failed=int(row[10]),
        requests=int(row[11]),
        earliest=earliest,
        latest=latest,
        errors=_errors(cursor, run_id),
    )


def _extent(cursor: Cursor, run_id: int) -> tuple[str | None, str | None]:
    """Return the first and last moment that is held inside the run's chunks; without a grid, of the days they touch."""
    cursor.execute(
        """
        SELECT min(coalesce(held.first, day.first)), max(coalesce(held.last, day.last))
        FROM (
            SELECT series_id, min(window_start) AS span_start, max(window_end) AS span_end
            FROM backfill_chunks WHERE run_id = %s GROUP BY series_id
        ) AS span
        CROSS JOIN LATERAL (
            SELECT min(point) AS first, max(point) AS last FROM grid_points
            WHERE grid_points.series_id = span.series_id AND point >= span_start AND point < span_end
        ) AS held
        CROSS JOIN LATERAL (
            SELECT min(first_event_time) AS first, max(last_event_time) AS last FROM coverage
            WHERE coverage.series_id = span.series_id
                AND day BETWEEN (span_start AT TIME ZONE 'UTC')::date AND (span_end AT TIME ZONE 'UTC')::date
        ) AS day
        """,
        (run_id,),
    )
    row = cursor.fetchone() or (None, None)
    first, last = (None if moment is None else format_moment(to_microseconds(moment)) for moment in row)
    return first, last


def _errors(cursor: Cursor, run_id: int) -> tuple[str, ...]:
    cursor.execute(
        """
        SELECT name, window_start, error
        FROM backfill_chunks JOIN series USING (series_id) JOIN instruments USING (instrument_id)
        WHERE run_id = %s AND state = 'failed' ORDER BY name, window_start LIMIT %s
        """,
        (run_id, _ERRORS_SHOWN),
    )
    return tuple(
        f"{name} from {format_moment(to_microseconds(start))}: {error}" for name, start, error in cursor.fetchall()
    )
