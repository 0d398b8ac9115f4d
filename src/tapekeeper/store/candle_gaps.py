"""Holes in candles: windows on the grid of a series, of which coverage expects every point already."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import to_microseconds
from tapekeeper.model.gap import Cause, Gap, uncovered
from tapekeeper.model.window import Window
from tapekeeper.store.gap_counts import lack
from tapekeeper.store.gap_rows import insert_gap
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

# A repaired gap claims nothing: what it brought is held.
_CLAIMED: Final = """
    SELECT window_start, window_end FROM data_gaps
    WHERE series_id = %s AND state <> 'repaired' AND window_start < %s AND window_end > %s
    ORDER BY window_start
"""
# One look into the index of candles per gap: nothing else is read of a gap that is still a hole.
_FILLED: Final = """
    SELECT gap_id
    FROM data_gaps AS gap
    JOIN series USING (series_id)
    WHERE series_id = ANY(%s) AND closed_at IS NULL AND state IN ('open', 'classified')
        AND first_sequence IS NULL AND resolution_seconds > 0
        AND (
            SELECT count(*) FROM grid_points
            WHERE grid_points.series_id = gap.series_id
                AND point >= gap.window_start AND point < gap.window_end
        ) >= extract(epoch FROM gap.window_end - gap.window_start) / resolution_seconds
    ORDER BY series_id, gap_id
"""


def open_candle_gaps(
    cursor: Cursor,
    series_id: int,
    windows: Sequence[Window],
    *,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> list[Gap]:
    """Record that candles of windows are missing, and return the gaps that are new: none if all is held or recorded.

    There can be several of a window, because a grid point belongs to one gap that is not repaired. What is expected
    does not change. A gap with a cause is classified at once, one whose cause is unknown stays open.

    Raises:
        InvariantBroken: the series has no grid.
    """
    if not windows:
        return []
    lock_series(cursor, series_id)
    opened = []
    for part in _unclaimed(cursor, series_id, sorted(windows)):
        lacking = lack(cursor, series_id, part, None)
        if lacking.missing:
            opened.append(insert_gap(cursor, series_id, part, None, lacking, cause=cause, by=by, evidence=evidence))
    return opened


def _unclaimed(cursor: Cursor, series_id: int, windows: Sequence[Window]) -> list[Window]:
    """Return the parts of ascending windows that belong to no gap, each once."""
    whole = Window(windows[0].start, max(window.end for window in windows))
    start, end = whole.as_datetimes()
    cursor.execute(_CLAIMED, (series_id, end, start))
    # Ascending and disjoint, so that each window only meets its neighbours.
    claimed = [(to_microseconds(first), to_microseconds(last)) for first, last in cursor.fetchall()]
    starts = [first for first, _ in claimed]
    parts, done = [], whole.start
    for window in windows:
        near = claimed[max(0, bisect_right(starts, window.start) - 1) : bisect_left(starts, window.end)]
        parts += [Window(*part) for part in uncovered(max(window.start, done), window.end, near)]
        done = max(done, window.end)
    return parts


def filled_candle_gaps(cursor: Cursor, series_ids: Sequence[int]) -> list[int]:
    """Return the gaps in the candles of series that nobody repairs and that are held whole."""
    cursor.execute(_FILLED, (list(series_ids),))
    return [gap_id for (gap_id,) in cursor.fetchall()]
