"""Losses: windows of quotes that nobody can bring back, recorded as permanent gaps at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg2.extras import Json, execute_values

from tapekeeper.clock import MICROSECONDS_PER_SECOND, from_microseconds, to_microseconds
from tapekeeper.model.gap import Loss, uncovered
from tapekeeper.model.window import Window
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.quarantine import storable
from tapekeeper.store.series_lock import lock_all_series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor as Cursor

_PAGE: Final = 10_000
_RECORDED: Final = """
    SELECT series_id, window_start, window_end FROM data_gaps
    WHERE series_id = ANY(%s) AND window_end > %s AND window_start < %s
"""
_ACCOUNTED: Final = """
    SELECT series_id, window_start, least(window_end, accounted_until)
    FROM followed JOIN series_totals USING (series_id)
    WHERE series_id = ANY(%s) AND window_start < accounted_until
"""
_RECORD: Final = """
    INSERT INTO data_gaps (series_id, window_start, window_end, missing, cause, state, evidence, closed_at)
    SELECT series_id, window_start, window_end, missing, cause, 'permanent', evidence::jsonb, clock_timestamp()
    FROM (VALUES %s) AS loss (series_id, window_start, window_end, missing, cause, evidence)
    RETURNING gap_id
"""
_NOTE: Final = """
    INSERT INTO data_gap_events (gap_id, to_state, by, why, evidence)
    SELECT gap_id, 'permanent', %s, 'quotes cannot be asked for again', '{}'
    FROM unnest(%s::bigint[]) AS gap_id
"""
Range = tuple[int, int]


class _Recorded(NamedTuple):
    """The half-open ranges of time that gaps of one series take, in microseconds and in the seconds they touch."""

    microseconds: list[Range]
    seconds: list[Range]

    def add(self, window: Window) -> None:
        """Take one more window."""
        self.microseconds.append((window.start, window.end))
        self.seconds.append(_seconds(window))


def record_losses(cursor: Cursor, losses: Sequence[Loss], *, by: str) -> list[int]:
    """Record losses as permanent gaps, and return the ids of those that were not recorded before.

    Every second that a loss touches counts as lost, once, whatever other losses touch it. As much of it as was
    followed and not verified becomes explained, whether `account_seconds` comes before or after. A second that was
    accounted before anybody noticed the loss is verified no longer.
    """
    if not losses:
        return []
    series_ids = [loss.series_id for loss in losses]
    lock_all_series(cursor, series_ids)
    recorded = _recorded(cursor, [(loss.series_id, loss.window) for loss in losses])
    accounted = _accounted(cursor, series_ids)
    rows, changes = [], []
    for loss in losses:
        taken = recorded[loss.series_id]
        if not uncovered(loss.window.start, loss.window.end, taken.microseconds):
            continue
        parts = [_window(part) for part in uncovered(*_seconds(loss.window), taken.seconds)]
        days = [(day, _length(piece)) for part in parts for day, piece in part.days()]
        changes += [Change(loss.series_id, day, lost=seconds) for day, seconds in days]
        changes += _taken_back(loss.series_id, parts, accounted.get(loss.series_id, ()))
        missing, evidence = sum(seconds for _, seconds in days), Json(storable(dict(loss.evidence)))
        rows.append((loss.series_id, *loss.window.as_datetimes(), missing, loss.cause.value, evidence))
        taken.add(loss.window)
    gap_ids = [gap_id for (gap_id,) in execute_values(cursor, _RECORD, rows, page_size=_PAGE, fetch=True)]
    cursor.execute(_NOTE, (by, gap_ids))
    change_account(cursor, changes)
    return gap_ids


def touched_seconds(cursor: Cursor, windows: Mapping[int, Window]) -> dict[int, list[Range]]:
    """Return the half-open ranges of seconds since 1970 that recorded gaps touch, around a window of each series."""
    if not windows:
        return {}
    return {series_id: taken.seconds for series_id, taken in _recorded(cursor, list(windows.items())).items()}


def _recorded(cursor: Cursor, windows: Sequence[tuple[int, Window]]) -> dict[int, _Recorded]:
    """Return what gaps take already around windows, of each series."""
    series_ids = [series_id for series_id, _ in windows]
    # Another gap may touch the same second without touching the window.
    first = min(window.start for _, window in windows) - MICROSECONDS_PER_SECOND
    last = max(window.end for _, window in windows) + MICROSECONDS_PER_SECOND
    cursor.execute(_RECORDED, (series_ids, from_microseconds(first), from_microseconds(last)))
    recorded = {series_id: _Recorded([], []) for series_id in series_ids}
    for series_id, start, end in cursor.fetchall():
        recorded[series_id].add(Window(to_microseconds(start), to_microseconds(end)))
    return recorded


def _accounted(cursor: Cursor, series_ids: Sequence[int]) -> dict[int, list[Window]]:
    """Return the windows of each series whose seconds are accounted."""
    cursor.execute(_ACCOUNTED, (series_ids,))
    accounted: dict[int, list[Window]] = {}
    for series_id, start, end in cursor.fetchall():
        accounted.setdefault(series_id, []).append(Window(to_microseconds(start), to_microseconds(end)))
    return accounted


def _taken_back(series_id: int, parts: Sequence[Window], accounted: Sequence[Window]) -> list[Change]:
    """Return what is held no longer: the seconds of `parts`, which no gap touched so far, that are accounted."""
    common = [both for part in parts for window in accounted if (both := part.intersect(window))]
    return [Change(series_id, day, held=-_length(piece)) for both in common for day, piece in both.days()]


def _seconds(window: Window) -> Range:
    """Return the seconds since 1970 that a window touches."""
    return window.start // MICROSECONDS_PER_SECOND, -(-window.end // MICROSECONDS_PER_SECOND)


def _window(seconds: Range) -> Window:
    start, end = seconds
    return Window(start * MICROSECONDS_PER_SECOND, end * MICROSECONDS_PER_SECOND)


def _length(window: Window) -> int:
    return (window.end - window.start) // MICROSECONDS_PER_SECOND
