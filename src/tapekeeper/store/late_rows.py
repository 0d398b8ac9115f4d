"""Late rows: what came after its gap was given up is lost no longer, so that it cannot explain another hole."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from tapekeeper.model.gap import GapState
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.arrays import array_of
from tapekeeper.store.gap_counts import numbers_lacking
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

    _Late = tuple[int, date, int]

# What gaps that are given up lack today, against what the account calls lost. They never share a grid point.
_LATE_CANDLES: Final = """
    WITH piece AS (
        SELECT
            series_id,
            resolution_seconds,
            day::date AS day,
            greatest(window_start, day AT TIME ZONE 'UTC') AS piece_start,
            least(window_end, (day + interval '1 day') AT TIME ZONE 'UTC') AS piece_end
        FROM data_gaps
        JOIN series USING (series_id)
        CROSS JOIN LATERAL generate_series(
            date_trunc('day', window_start AT TIME ZONE 'UTC'),
            window_end AT TIME ZONE 'UTC' - interval '1 microsecond',
            interval '1 day'
        ) AS day
        WHERE series_id = ANY(%s) AND resolution_seconds > 0 AND state IN ('permanent', 'accepted')
    ), lacking AS (
        SELECT
            series_id,
            day,
            sum(extract(epoch FROM piece_end - piece_start)::bigint / resolution_seconds - held.rows)::bigint AS lost
        FROM piece
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows FROM grid_points
            WHERE grid_points.series_id = piece.series_id AND point >= piece_start AND point < piece_end
        ) AS held
        GROUP BY series_id, day
    )
    SELECT series_id, day, coverage.lost - lacking.lost
    FROM lacking
    JOIN coverage USING (series_id, day)
    WHERE coverage.lost > lacking.lost
    ORDER BY series_id, day
"""
# What was never told and is given up is no part of this: whatever changes it counts it at once.
_LOST_NUMBERS: Final = """
    SELECT series_id, day, lost - untold_lost FROM coverage
    JOIN unnest(%s::integer[], %s::date[]) AS given_up (series_id, day) USING (series_id, day)
    ORDER BY series_id, day
"""


def settle_late_rows(cursor: Cursor, series_ids: Sequence[int]) -> int:
    """Take what is held meanwhile off what the account of series calls lost, and return how many rows that are.

    What has a number counted itself when it came late, so it is expected no longer on its gap's behalf either.
    """
    return _settle(cursor, _late_candles, series_ids, are_numbers=False) + _settle(
        cursor, _late_numbers, series_ids, are_numbers=True
    )


def _settle(
    cursor: Cursor,
    look: Callable[[Cursor, Sequence[int]], list[_Late]],
    series_ids: Sequence[int],
    *,
    are_numbers: bool,
) -> int:
    touched = sorted({series_id for series_id, _, _ in look(cursor, series_ids)})
    if not touched:
        return 0
    for series_id in touched:
        lock_series(cursor, series_id)
    # Counted again, now that nobody writes.
    late = look(cursor, touched)
    change_account(
        cursor,
        [Change(series_id, day, expected=-rows if are_numbers else 0, lost=-rows) for series_id, day, rows in late],
    )
    return sum(rows for _, _, rows in late)


def _late_candles(cursor: Cursor, series_ids: Sequence[int]) -> list[_Late]:
    cursor.execute(_LATE_CANDLES, (list(series_ids),))
    return cursor.fetchall()


def _late_numbers(cursor: Cursor, series_ids: Sequence[int]) -> list[_Late]:
    lacking: Counter[tuple[int, date]] = Counter()
    for gap in numbers_lacking(cursor, series_ids, (GapState.PERMANENT, GapState.ACCEPTED)):
        lacking[gap.series_id, gap.day] += gap.missing
    if not lacking:
        return []
    cursor.execute(_LOST_NUMBERS, tuple(map(array_of, zip(*lacking, strict=True))))
    return [
        (series_id, day, lost - lacking[series_id, day])
        for series_id, day, lost in cursor.fetchall()
        if lost > lacking[series_id, day]
    ]
