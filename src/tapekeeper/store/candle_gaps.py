"""Holes in candles: windows on the grid of a series, of which coverage expects every point already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import to_microseconds
from tapekeeper.model.gap import Cause, Gap, uncovered
from tapekeeper.model.window import Window
from tapekeeper.store.candles import lock_series
from tapekeeper.store.gap_counts import lack
from tapekeeper.store.gap_rows import insert_gap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

# A repaired gap claims nothing: what it brought is held.
_CLAIMED: Final = """
    SELECT window_start, window_end FROM data_gaps
    WHERE series_id = %s AND state <> 'repaired' AND window_start < %s AND window_end > %s
"""
# One look into the index of candles per gap: nothing else is read of a gap that is still a hole.
_FILLED: Final = """
    SELECT gap_id
    FROM data_gaps AS gap
    JOIN series USING (series_id)
    WHERE series_id = ANY(%s) AND closed_at IS NULL AND state IN ('open', 'classified')
        AND first_sequence IS NULL AND resolution_seconds > 0
        AND (
            SELECT count(*) FROM candles
            WHERE candles.series_id = gap.series_id
                AND open_time >= gap.window_start AND open_time < gap.window_end
        ) >= extract(epoch FROM gap.window_end - gap.window_start) / resolution_seconds
    ORDER BY series_id, gap_id
"""


def open_candle_gap(
    cursor: Cursor, series_id: int, window: Window, *, cause: Cause, by: str, evidence: Mapping[str, object]
) -> list[Gap]:
    """Record that candles of a window are missing, and return the gaps that are new: none if all is held or recorded.

    There can be several, because a grid point belongs to one gap that is not repaired. What is expected does not
    change. A gap with a cause is classified at once, one whose cause is unknown stays open.

    Raises:
        InvariantBroken: the series has no grid.
    """
    lock_series(cursor, series_id)
    start, end = window.as_datetimes()
    cursor.execute(_CLAIMED, (series_id, end, start))
    claimed = [
        (to_microseconds(taken_start), to_microseconds(taken_end)) for taken_start, taken_end in cursor.fetchall()
    ]
    opened = []
    for part in uncovered(window.start, window.end, claimed):
        lacking = lack(cursor, series_id, Window(*part), None)
        if lacking.missing:
            opened.append(
                insert_gap(cursor, series_id, Window(*part), None, lacking, cause=cause, by=by, evidence=evidence)
            )
    return opened


def filled_candle_gaps(cursor: Cursor, series_ids: Sequence[int]) -> list[int]:
    """Return the gaps in the candles of series that nobody repairs and that are held whole."""
    cursor.execute(_FILLED, (list(series_ids),))
    return [gap_id for (gap_id,) in cursor.fetchall()]
