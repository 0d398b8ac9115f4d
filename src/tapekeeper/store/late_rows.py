"""Late rows: what came after its gap was given up is lost no longer, so that it cannot explain another hole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.store.account import Change, change_account
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

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
# Numbers are looked for a day around the window of their gap, which spares the partitions of all other days. What was
# never told and is given up is no part of this: whatever changes it counts it at once.
_LATE_NUMBERS: Final = """
    WITH lacking AS (
        SELECT
            series_id,
            ((window_end - interval '1 microsecond') AT TIME ZONE 'UTC')::date AS day,
            sum(last_sequence - first_sequence + 1 - held.rows)::bigint AS lost
        FROM data_gaps
        CROSS JOIN LATERAL (
            SELECT count(DISTINCT sequence) AS rows FROM sequence_points AS held
            WHERE held.series_id = data_gaps.series_id
                AND sequence BETWEEN first_sequence AND last_sequence
                AND event_time >= window_start - interval '1 day' AND event_time < window_end + interval '1 day'
        ) AS held
        WHERE series_id = ANY(%s) AND first_sequence IS NOT NULL AND state IN ('permanent', 'accepted')
        GROUP BY 1, 2
    )
    SELECT series_id, day, coverage.lost - coverage.untold_lost - lacking.lost
    FROM lacking
    JOIN coverage USING (series_id, day)
    WHERE coverage.lost - coverage.untold_lost > lacking.lost
    ORDER BY series_id, day
"""


def settle_late_rows(cursor: Cursor, series_ids: Sequence[int]) -> int:
    """Take what is held meanwhile off what the account of series calls lost, and return how many rows that are.

    What has a number counted itself when it came late, so it is expected no longer on its gap's behalf either.
    """
    return _settle(cursor, _LATE_CANDLES, series_ids, are_numbers=False) + _settle(
        cursor, _LATE_NUMBERS, series_ids, are_numbers=True
    )


def _settle(cursor: Cursor, look: str, series_ids: Sequence[int], *, are_numbers: bool) -> int:
    cursor.execute(look, (list(series_ids),))
    touched = sorted({series_id for series_id, _, _ in cursor.fetchall()})
    if not touched:
        return 0
    for series_id in touched:
        lock_series(cursor, series_id)
    # Counted again, now that nobody writes.
    cursor.execute(look, (touched,))
    late = cursor.fetchall()
    change_account(
        cursor,
        [Change(series_id, day, expected=-rows if are_numbers else 0, lost=-rows) for series_id, day, rows in late],
    )
    return sum(rows for _, _, rows in late)
