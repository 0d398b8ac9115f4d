"""What a gap lacks: counted in the table of its dataset, which alone proves a repair."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import MICROSECONDS_PER_SECOND, day_of
from tapekeeper.errors import InvariantBroken
from tapekeeper.store.told import is_told, untold_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.gap import GapState, Sequences
    from tapekeeper.model.window import Window

    _WindowOfGap = tuple[int, datetime, datetime]

_SLACK: Final = timedelta(days=1)
"""Numbers of a gap are looked for this far around its window, which spares the partitions of all other days."""
_HELD_NUMBERS: Final = """
    SELECT count(*), md5(coalesce(string_agg(sequence::text, ',' ORDER BY sequence), ''))
    FROM (
        SELECT DISTINCT sequence
        FROM sequence_points
        WHERE series_id = %(series_id)s AND sequence BETWEEN %(first)s AND %(last)s
            AND event_time >= %(from)s AND event_time < %(to)s
    ) AS held
"""
_NUMBERED_GAPS: Final = """
    SELECT gap_id, window_start, window_end FROM data_gaps
    WHERE series_id = ANY(%s) AND state = ANY(%s) AND first_sequence IS NOT NULL
    ORDER BY window_start, gap_id
"""
# The bounds of all of them are told apart from those of each, so that the planner opens and locks no other partition.
_NUMBERS_LACKING: Final = """
    SELECT
        gap_id, series_id, ((window_end - interval '1 microsecond') AT TIME ZONE 'UTC')::date,
        last_sequence - first_sequence + 1 - held.numbers
    FROM data_gaps
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT sequence) AS numbers FROM sequence_points
        WHERE sequence_points.series_id = data_gaps.series_id AND sequence BETWEEN first_sequence AND last_sequence
            AND event_time >= window_start - %(slack)s AND event_time < window_end + %(slack)s
            AND event_time >= %(from)s AND event_time < %(to)s
    ) AS held
    WHERE gap_id = ANY(%(gaps)s)
    ORDER BY series_id, gap_id
"""
_TOGETHER: Final = timedelta(days=30)
"""Gaps that begin within so much time are looked at together."""
_HELD_ROWS: Final = """
    SELECT (point AT TIME ZONE 'UTC')::date, count(*)
    FROM grid_points
    WHERE series_id = %(series_id)s AND point >= %(start)s AND point < %(end)s
    GROUP BY 1
"""
# Time and values, so that a receipt tells a row that was changed from one that was not.
_DIGEST_OF_ROWS: Final = """
    SELECT md5(coalesce(string_agg(
        concat_ws(',', extract(epoch FROM point)::bigint, content), ';' ORDER BY point
    ), ''))
    FROM grid_points
    WHERE series_id = %(series_id)s AND point >= %(start)s AND point < %(end)s
"""


_DIGEST_OF_TOLD: Final = """
    SELECT md5(coalesce(string_agg(
        concat_ws(',', extract(epoch FROM window_start), extract(epoch FROM window_end)), ';' ORDER BY window_start
    ), ''))
    FROM told_windows
    WHERE series_id = %s AND window_start < %s AND window_end > %s
"""


class Lack(NamedTuple):
    """What is not held of a gap, in the unit of the dataset."""

    by_day: dict[date, int]
    """Only days that lack something; sequence numbers count for the day of the window's end."""
    digest: str
    """MD5 of what is held, in order: numbers, rows, or windows that were told."""

    @property
    def missing(self) -> int:
        """How much is not held."""
        return sum(self.by_day.values())


class NumbersLacking(NamedTuple):
    """How many sequence numbers of a gap are not held; maybe none."""

    gap_id: int
    series_id: int
    day: date
    """That they count for."""
    missing: int


def lack(cursor: Cursor, series_id: int, window: Window, sequences: Sequences | None) -> Lack:
    """Count what a series does not hold of sequence numbers or, without them, of a window.

    Of a window that is the points of the series' grid, or the pieces that were never told where it has none.

    Raises:
        InvariantBroken: no sequence numbers were given, and the series has no grid and is not told in windows.
    """
    if sequences is not None:
        return _lack_of_numbers(cursor, series_id, window, sequences)
    if is_told(cursor, series_id):
        return _lack_of_told(cursor, series_id, window)
    cursor.execute("SELECT resolution_seconds FROM series WHERE series_id = %s", (series_id,))
    row = cursor.fetchone()
    if row is None or not row[0]:
        raise InvariantBroken(f"series {series_id} has no grid, and no sequence numbers were given: nothing is counted")
    return _lack_of_rows(cursor, series_id, window, row[0] * MICROSECONDS_PER_SECOND)


def numbers_lacking(cursor: Cursor, series_ids: Sequence[int], states: Iterable[GapState]) -> list[NumbersLacking]:
    """Count what is not held of all gaps of series that have sequence numbers and are in one of some states."""
    cursor.execute(_NUMBERED_GAPS, (list(series_ids), [state.value for state in states]))
    lacking: list[NumbersLacking] = []
    for together in _near_each_other(cursor.fetchall()):
        bounds = {
            "from": together[0][1] - _SLACK,
            "to": max(window_end for _, _, window_end in together) + _SLACK,
            "slack": _SLACK,
        }
        cursor.execute(_NUMBERS_LACKING, {"gaps": [gap_id for gap_id, _, _ in together], **bounds})
        lacking += [NumbersLacking(*row) for row in cursor.fetchall()]
    return lacking


def _near_each_other(windows: Sequence[_WindowOfGap]) -> list[list[_WindowOfGap]]:
    """Part the windows of gaps, ascending by their starts, into those that begin within a month."""
    parts: list[list[_WindowOfGap]] = []
    for window in windows:
        if not parts or window[1] - parts[-1][0][1] > _TOGETHER:
            parts.append([])
        parts[-1].append(window)
    return parts


def _lack_of_numbers(cursor: Cursor, series_id: int, window: Window, sequences: Sequences) -> Lack:
    start, end = window.as_datetimes()
    numbers = {"series_id": series_id, "first": sequences.first, "last": sequences.last}
    cursor.execute(_HELD_NUMBERS, {**numbers, "from": start - _SLACK, "to": end + _SLACK})
    ((rows, digest),) = cursor.fetchall()
    missing = len(sequences) - rows
    return Lack({day_of(window.end - 1): missing} if missing else {}, digest)


def _lack_of_told(cursor: Cursor, series_id: int, window: Window) -> Lack:
    start, end = window.as_datetimes()
    cursor.execute(_DIGEST_OF_TOLD, (series_id, end, start))
    ((digest,),) = cursor.fetchall()
    return Lack(untold_pieces(cursor, series_id, window), digest)


def _lack_of_rows(cursor: Cursor, series_id: int, window: Window, step: int) -> Lack:
    start, end = window.as_datetimes()
    values = {"series_id": series_id, "start": start, "end": end}
    cursor.execute(_HELD_ROWS, values)
    held = dict(cursor.fetchall())
    wanted = {day: part.grid_points(step) for day, part in window.days()}
    cursor.execute(_DIGEST_OF_ROWS, values)
    ((digest,),) = cursor.fetchall()
    return Lack({day: points - held.get(day, 0) for day, points in wanted.items() if points > held.get(day, 0)}, digest)
