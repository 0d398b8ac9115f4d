"""Holes in what has no grid: ranges of the numbers that a venue gives, and windows that it does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import to_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.gap import Cause, Gap, GapState, Sequences, uncovered
from tapekeeper.model.series import DATASETS, Unit
from tapekeeper.model.window import Window
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.gap_counts import lack, numbers_lacking
from tapekeeper.store.gap_rows import insert_gap
from tapekeeper.store.series_lock import lock_series
from tapekeeper.store.told import TOLD_DATASETS, is_told, untold_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

# A repaired gap claims nothing: what it brought is held.
_CLAIMED_NUMBERS: Final = """
    SELECT first_sequence, last_sequence + 1 FROM data_gaps
    WHERE series_id = %s AND state <> 'repaired' AND first_sequence <= %s AND last_sequence >= %s
"""
_CLAIMED_WINDOWS: Final = """
    SELECT window_start, window_end FROM data_gaps
    WHERE series_id = %s AND first_sequence IS NULL AND state <> 'repaired' AND window_start < %s AND window_end > %s
"""
_WAITING: Final = """
    SELECT gap_id, series_id, window_start, window_end FROM data_gaps
    JOIN series USING (series_id)
    WHERE series_id = ANY(%s) AND closed_at IS NULL AND state IN ('open', 'classified')
        AND first_sequence IS NULL AND resolution_seconds = 0 AND dataset = ANY(%s)
    ORDER BY series_id, gap_id
"""


def open_gap(
    cursor: Cursor,
    series_id: int,
    window: Window,
    sequences: Sequences,
    *,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> list[Gap]:
    """Record that sequence numbers are missing, and return the gaps that are new: none if all is held or recorded.

    There can be several, because a sequence number belongs to one gap. The window reaches from the event before the
    hole to the one after it. What is missing is expected from now on, on the day of the window's end. A gap with a
    cause is classified at once, one whose cause is unknown stays open.

    Raises:
        InvariantBroken: the venue gives no numbers to the rows of the series.
    """
    _require_numbers(cursor, series_id)
    lock_series(cursor, series_id)
    cursor.execute(_CLAIMED_NUMBERS, (series_id, sequences.last, sequences.first))
    opened = []
    for first, end in uncovered(sequences.first, sequences.last + 1, cursor.fetchall()):
        part = Sequences(first, end - 1)
        lacking = lack(cursor, series_id, window, part)
        if lacking.missing:
            gap = insert_gap(cursor, series_id, window, part, lacking, cause=cause, by=by, evidence=evidence)
            change_account(cursor, [Change(series_id, gap.account_day, expected=gap.missing)])
            opened.append(gap)
    return opened


def filled_trade_gaps(cursor: Cursor, series_ids: Sequence[int]) -> list[int]:
    """Return the gaps in the numbers of series that nobody repairs and of which all is held."""
    waiting = numbers_lacking(cursor, series_ids, (GapState.OPEN, GapState.CLASSIFIED))
    return [gap.gap_id for gap in waiting if not gap.missing]


def open_untold_gap(
    cursor: Cursor, series_id: int, window: Window, *, cause: Cause, by: str, evidence: Mapping[str, object]
) -> Gap | None:
    """Record that a window was asked for and cannot be had; None if all of it is told or belongs to other gaps.

    What is missing is counted in pieces that were never told. These are expected already, so that what is expected
    does not change. A gap with a cause is classified at once, one whose cause is unknown stays open.

    Raises:
        InvariantBroken: the series is not told in windows.
    """
    if not is_told(cursor, series_id):
        raise InvariantBroken(f"series {series_id} is not told in windows, so none of it can be untold")
    lock_series(cursor, series_id)
    start, end = window.as_datetimes()
    cursor.execute(_CLAIMED_WINDOWS, (series_id, end, start))
    claimed = [(to_microseconds(first), to_microseconds(last)) for first, last in cursor.fetchall()]
    free = uncovered(window.start, window.end, claimed)
    if not free:
        return None
    unclaimed = Window(free[0][0], free[-1][1])
    lacking = lack(cursor, series_id, unclaimed, None)
    if not lacking.missing:
        return None
    return insert_gap(cursor, series_id, unclaimed, None, lacking, cause=cause, by=by, evidence=evidence)


def filled_untold_gaps(cursor: Cursor, series_ids: Sequence[int]) -> list[int]:
    """Return the gaps of series that are told in windows that nobody repairs and that were told whole meanwhile."""
    cursor.execute(_WAITING, (list(series_ids), list(TOLD_DATASETS)))
    waiting = [
        (gap_id, series_id, Window(to_microseconds(start), to_microseconds(end)))
        for gap_id, series_id, start, end in cursor.fetchall()
    ]
    return [gap_id for gap_id, series_id, window in waiting if not untold_pieces(cursor, series_id, window)]


def _require_numbers(cursor: Cursor, series_id: int) -> None:
    cursor.execute("SELECT dataset FROM series WHERE series_id = %s", (series_id,))
    (name,) = cursor.fetchone() or ("unknown",)
    if name not in DATASETS or DATASETS[name].unit is not Unit.SEQUENCE_NUMBERS:
        raise InvariantBroken(f"series {series_id} is {name}, which counts no trades")
