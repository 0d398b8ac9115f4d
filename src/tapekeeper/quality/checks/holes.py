"""Holes in candles: the grid points that are expected and not held, found by looking into the days that say so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND, from_microseconds, to_microseconds
from tapekeeper.model.gap import uncovered
from tapekeeper.model.quality import Hole
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

PIECE: Final = 64
"""So many grid points are counted at once."""
# Coverage tells which days lack something, so rows are read of these alone: in the order of the key, from the index.
# What is expected of a day is what `store/coverage.py` counts: followed, inside the life, on the grid.
# Counting is three times as fast as comparing neighbours, so these are looked at only in the pieces that lack one: LEAD
# sees the holes between rows and after the last one, the first row tells of the hole before it.
_MISSING: Final = """
    WITH flagged AS MATERIALIZED (
        SELECT
            coverage.series_id,
            make_interval(secs => series.resolution_seconds) AS step,
            tstzrange(coverage.day AT TIME ZONE 'UTC', (coverage.day + 1) AT TIME ZONE 'UTC')
                * tstzrange(
                    date_bin(make_interval(secs => series.resolution_seconds), listed_at, 'epoch'),
                    date_bin(
                        make_interval(secs => series.resolution_seconds),
                        least(expires_at, delisted_at, %(now)s),
                        'epoch'
                    )
                ) AS living
        FROM coverage
        JOIN series USING (series_id)
        JOIN instruments USING (instrument_id)
        WHERE series.dataset = %(dataset)s AND series.resolution_seconds > 0
            AND coverage.day >= %(first_day)s AND coverage.day < %(end_day)s
            AND coverage.held < coverage.expected
            AND least(expires_at, delisted_at, %(now)s) > listed_at
    ), asked AS MATERIALIZED (
        SELECT series_id, range_agg(tstzrange(window_start, coalesce(window_end, 'infinity'))) AS ranges
        FROM followed
        WHERE series_id IN (SELECT series_id FROM flagged)
        GROUP BY series_id
    ), part AS MATERIALIZED (
        SELECT
            series_id,
            step,
            date_bin(step, lower(piece) + step - interval '1 microsecond', 'epoch') AS part_start,
            date_bin(step, upper(piece) + step - interval '1 microsecond', 'epoch') AS part_end
        FROM flagged
        JOIN asked USING (series_id)
        CROSS JOIN LATERAL unnest(asked.ranges * tstzmultirange(living)) AS piece
    ), piece AS MATERIALIZED (
        SELECT series_id, step, piece_start, least(piece_start + %(piece)s * step, part_end) AS piece_end
        FROM part
        CROSS JOIN LATERAL generate_series(part_start, part_end - step, %(piece)s * step) AS piece_start
    ), broken AS MATERIALIZED (
        SELECT series_id, step, piece_start, piece_end
        FROM piece
        WHERE extract(epoch FROM piece_end - piece_start) > extract(epoch FROM step) * (
            SELECT count(*) FROM grid_points
            WHERE grid_points.series_id = piece.series_id AND point >= piece_start AND point < piece_end
        )
    )
    SELECT broken.series_id, extract(epoch FROM step)::bigint, hole_start, hole_end
    FROM broken
    CROSS JOIN LATERAL (
        SELECT
            piece_start AS hole_start,
            coalesce((
                SELECT min(point) FROM grid_points
                WHERE grid_points.series_id = broken.series_id AND point >= piece_start AND point < piece_end
            ), piece_end) AS hole_end
        UNION ALL
        SELECT point + step, lead(point, 1, piece_end) OVER (ORDER BY point)
        FROM grid_points
        WHERE grid_points.series_id = broken.series_id AND point >= piece_start AND point < piece_end
    ) AS hole
    WHERE hole_end > hole_start
    ORDER BY broken.series_id, hole_start
"""
_EXPLAINED: Final = """
    SELECT series_id, window_start, window_end FROM data_gaps
    WHERE series_id = ANY(%s) AND state IN ('permanent', 'accepted')
"""
_UNDER_WAY: Final = """
    SELECT series_id, chunk.window_start, chunk.window_end
    FROM backfill_runs AS run
    JOIN backfill_chunks AS chunk USING (run_id)
    WHERE chunk.series_id = ANY(%s) AND run.state = 'running' AND chunk.state IN ('pending', 'running')
"""


def missing_runs(cursor: Cursor, scope: Scope) -> list[Hole]:
    """Return the maximal runs of missing grid points on the closed days of a scope, whatever explains them."""
    values = {"dataset": scope.dataset.name, "first_day": scope.first_day, "end_day": scope.end_day}
    cursor.execute(_MISSING, {**values, "now": from_microseconds(scope.now), "piece": PIECE})
    runs: list[Hole] = []
    for series_id, step, start, end in cursor.fetchall():
        window = Window(to_microseconds(start), to_microseconds(end))
        run = Hole(series_id, window, window.grid_points(step * MICROSECONDS_PER_SECOND))
        last = runs[-1] if runs else None
        if last is not None and last.series_id == series_id and last.window.end == window.start:
            joined = Window(last.window.start, window.end)
            runs[-1] = replace(last, window=joined, missing=last.missing + run.missing)
        else:
            runs.append(run)
    return runs


def unexplained(cursor: Cursor, runs: Sequence[Hole]) -> list[Hole]:
    """Return the parts of missing runs that no permanent or accepted gap explains."""
    return _outside(cursor, runs, _EXPLAINED)


def not_under_way(cursor: Cursor, runs: Sequence[Hole]) -> list[Hole]:
    """Return the parts of missing runs that no backfill is about to fetch: those would be repaired twice."""
    return _outside(cursor, runs, _UNDER_WAY)


def _outside(cursor: Cursor, runs: Sequence[Hole], windows: str) -> list[Hole]:
    """Return the parts of missing runs that lie outside windows; their statement is asked for some series."""
    cursor.execute(windows, (sorted({run.series_id for run in runs}),))
    taken: dict[int, list[tuple[int, int]]] = {}
    for series_id, start, end in cursor.fetchall():
        taken.setdefault(series_id, []).append((to_microseconds(start), to_microseconds(end)))
    holes = []
    for run in runs:
        step = (run.window.end - run.window.start) // run.missing
        for start, end in uncovered(run.window.start, run.window.end, taken.get(run.series_id, ())):
            window = Window(start, end)
            if window.grid_points(step):
                holes.append(replace(run, window=window, missing=window.grid_points(step)))
    return holes
