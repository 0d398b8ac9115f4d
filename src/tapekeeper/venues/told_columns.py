"""Rows that a venue told, and which of them can be believed: what holds at every venue, whatever the rows are."""

from __future__ import annotations

import logging
import math
import re
import reprlib
from datetime import date
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MILLISECONDS_MAXIMUM, day_start, format_moment
from tapekeeper.errors import InvariantBroken, WindowMismatch
from tapekeeper.model.answer import Answer, RejectedRow, Rows
from tapekeeper.model.candle import Float64Column, Int64Column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window

    Column = Sequence[object]
    Mask = npt.NDArray[np.bool_]

COUNT_END: Final = 2**31
"""Counts are stored in 32 bits."""
ID_END: Final = 2**63
"""Ids are stored in 64 bits."""

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

log = logging.getLogger(__name__)


class SelectableRows(Rows, Protocol):
    """Rows of which some can be taken."""

    def select(self, mask: npt.NDArray[np.bool_]) -> Self:
        """Return the rows where the mask, of shape (n,), is true."""
        ...


RowsT = TypeVar("RowsT", bound=SelectableRows)


class ToldColumns:
    """Rows of one answer as they came, one numpy array per column; what cannot be read is NaN, or -1 as a time.

    Args:
        told: the venue's columns by its own names, equally long, for the rows that are put aside.
    """

    def __init__(self, told: Mapping[str, Column]) -> None:
        self._told = told
        self._reasons: dict[int, str] = {}

    def moments(self, name: str) -> Int64Column:
        """Return a column of milliseconds since 1970 as microseconds."""
        milliseconds = self.numbers(name)
        usable = (milliseconds == np.floor(milliseconds)) & (milliseconds >= 0) & (milliseconds < MILLISECONDS_MAXIMUM)
        self._refuse(~usable, name, "no time in milliseconds")
        moments = np.where(usable, milliseconds, -1).astype(np.int64)
        moments[usable] *= MICROSECONDS_PER_MILLISECOND
        return moments

    def days(self, name: str) -> Int64Column:
        """Return a column of dates, such as "2024-06-16", as the first microseconds of these UTC days."""
        days = [_day(value) for value in self._told[name]]
        for row, day in enumerate(days):
            if day < 0:
                self.put_aside(row, f"{name} {reprlib.repr(self._told[name][row])} is no date")
        return np.array(days, dtype=np.int64)

    def numbers(self, name: str) -> Float64Column:
        """Return a column of numbers as doubles."""
        column = self._told[name]
        if set(map(type, column)) <= {int, float}:
            numbers = np.array(column, dtype=np.float64)
        else:
            # numpy would take true for 1 and "2" for 2.
            known = [value if type(value) in {int, float} else math.nan for value in column]
            numbers = np.array(known, dtype=np.float64)
        return self._finite(name, numbers)

    def counts(self, name: str) -> Int64Column:
        """Return a column of whole numbers from 0 on; one that is none is 0, and its row is put aside."""
        numbers = self.numbers(name)
        usable = (numbers >= 0) & (numbers == np.floor(numbers)) & (numbers < COUNT_END)
        self._refuse(~usable, name, "no count")
        return np.where(usable, numbers, 0).astype(np.int64)

    def ids(self, name: str) -> Int64Column:
        """Return a column of whole numbers from 0 on, exactly; one that is none is -1, and its row is put aside."""
        # Not by way of doubles: beyond 2**53 two ids would become one.
        column = self._told[name]
        known = [value if type(value) is int and 0 <= value < ID_END else -1 for value in column]
        numbers = np.array(known, dtype=np.int64)
        self._refuse(numbers < 0, name, "no whole number from 0 on")
        return numbers

    def flags(self, name: str) -> Mask:
        """Return a column of truth values; one that is none is false, and its row is put aside."""
        column = self._told[name]
        self._refuse(np.array([type(value) is not bool for value in column], dtype=np.bool_), name, "no truth value")
        return np.array([value is True for value in column], dtype=np.bool_)

    def optional_decimals(self, name: str) -> Float64Column:
        """Return a column as `decimals` does; what is not told, or is an empty text, is NaN and no reason."""
        column = self._told[name]
        numbers = np.array([decimal_of(value) for value in column], dtype=np.float64)
        told = np.array([value is not None and value != "" for value in column], dtype=np.bool_)
        self._refuse(told & ~np.isfinite(numbers), name, "no finite number")
        return np.where(np.isfinite(numbers), numbers, math.nan)

    def decimals(self, name: str) -> Float64Column:
        """Return a column of numbers that are written as text, such as "0.01634790", as doubles."""
        column = self._told[name]
        return self._finite(name, np.array([decimal_of(value) for value in column], dtype=np.float64))

    def _finite(self, name: str, numbers: Float64Column) -> Float64Column:
        finite = np.isfinite(numbers)
        if not finite.all():
            self._refuse(~finite, name, "no finite number")
            numbers[~finite] = math.nan
        return numbers

    def _refuse(self, mask: Mask, name: str, what: str) -> None:
        """Put rows aside, by a mask of shape (n,), whose value in a column cannot be read."""
        for row in np.flatnonzero(mask).tolist():
            self.put_aside(row, f"{name} {reprlib.repr(self._told[name][row])} is {what}")

    def put_aside(self, row: int, reason: str) -> None:
        """Put one row aside; the first reason that was found is the one that is told."""
        self._reasons.setdefault(row, reason)

    def doubt(self, mask: Mask, template: str, values: Mapping[str, Float64Column | Int64Column]) -> None:
        """Put rows aside that contradict themselves.

        Args:
            mask: of shape (n,), true where it is so; a comparison with NaN is false, so it adds no second reason.
            template: the reason, with the names of the values in braces.
            values: columns by name.
        """
        for row in np.flatnonzero(mask):
            row_values = {name: column[row].item() for name, column in values.items()}
            self.put_aside(int(row), template.format(**row_values))

    def believe(
        self, rows: RowsT, window: Window, resolution: Resolution, *, latest: int, told_at: Int64Column | None = None
    ) -> Answer[RowsT]:
        """Return the rows of a window, and apart from them those that contradict themselves.

        Args:
            rows: every row as it came, read by the methods above.
            window: what was wanted, on the grid of the resolution. One row before it is accepted and left out: a
                request may begin a millisecond before the window, and the venue may round that down.
            resolution: the distance of the rows.
            latest: microseconds since 1970; a row after it is not over yet, and left out.
            told_at: see `sort_out`.

        Raises:
            WindowMismatch: there is a row of another window or of another grid.
            InvariantBroken: the rows do not ascend.
        """
        moments = rows.moments
        timed = moments >= 0
        _check_moments(moments[timed], window, resolution)
        unfinished = moments > latest
        _log_unfinished(int(np.sum(unfinished & timed)), resolution)
        return self.sort_out(rows, ~timed | ((moments >= window.start) & ~unfinished), told_at)

    def believe_numbered(self, rows: RowsT, numbers: Int64Column, window: Window | None) -> Answer[RowsT]:
        """Return rows that have numbers in place of a grid, and apart from them those that contradict themselves.

        Args:
            rows: every row as it came, read by the methods above.
            numbers: of shape (n,), the venue's own number of each row; some may be missing.
            window: what was wanted; None where it was asked for by numbers.

        Raises:
            WindowMismatch: there is a row of another window.
            InvariantBroken: the numbers do not ascend, or the moments descend.
        """
        moments = rows.moments
        if window is not None:
            _check_inside(moments[moments >= 0], window.start, window)
        believed = np.ones(len(moments), dtype=np.bool_)
        believed[list(self._reasons)] = False
        _check_ascent(numbers[believed], "the numbers do not ascend: {after} comes after {before}", str)
        _check_ascent(moments[believed], "the moments descend: {after} comes after {before}", format_moment, least=0)
        return self.sort_out(rows, np.ones(len(moments), dtype=np.bool_))

    def sort_out(self, rows: RowsT, wanted: Mask, told_at: Int64Column | None = None) -> Answer[RowsT]:
        """Return the rows that were wanted, and apart from them those that were put aside.

        Args:
            rows: every row as it came, read by the methods above.
            wanted: of shape (n,), true for the rows to return.
            told_at: of shape (n,), in microseconds since 1970, -1 for none: when a row says that it is, for those that
                are put aside; None where that is its moment.
        """
        moments = rows.moments if told_at is None else told_at
        believed = wanted.copy()
        believed[list(self._reasons)] = False
        rejected = tuple(
            RejectedRow(
                event_time=int(moments[row]) if moments[row] >= 0 else None,
                reason=self._reasons[row],
                row={name: column[row] for name, column in self._told.items()},
            )
            for row in sorted(self._reasons)
            if wanted[row]
        )
        return Answer(rows.select(believed), rejected)


def decimal_of(value: object) -> float:
    """Return a number written as text, NaN where it is none; Python's underscores and words are not a venue's."""
    if not isinstance(value, str) or not value.isascii() or "_" in value:
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


def _day(value: object) -> int:
    """Return the first microsecond of a date that is written as text, -1 where it is none since 1970."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return -1
    try:
        return day_start(date.fromisoformat(value))
    except ValueError:
        return -1


def _check_moments(moments: Int64Column, window: Window, resolution: Resolution) -> None:
    step = resolution.microseconds
    _check_inside(moments, window.start - step, window)
    off_grid = moments[moments % step != 0]
    if len(off_grid):
        raise WindowMismatch(
            f"{len(off_grid)} of {len(moments)} rows do not lie on a multiple of {resolution},"
            f" such as {format_moment(int(off_grid[0]))}"
        )
    _check_ascent(moments, "the open times do not ascend: {after} comes after {before}", format_moment)


def _check_inside(moments: Int64Column, start: int, window: Window) -> None:
    """Raise WindowMismatch if a moment is before the start, or not before the end of the window."""
    strays = moments[(moments < start) | (moments >= window.end)]
    if len(strays):
        raise WindowMismatch(
            f"{len(strays)} of {len(moments)} rows lie outside the asked window {window},"
            f" such as {format_moment(int(strays[0]))}"
        )


def _check_ascent(column: Int64Column, template: str, words: Callable[[int], str], *, least: int = 1) -> None:
    """Raise InvariantBroken unless each value is at least so much above the one before."""
    descents = np.flatnonzero(np.diff(column) < least)
    if len(descents):
        before, after = (words(int(column[descents[0] + offset])) for offset in (0, 1))
        raise InvariantBroken(template.format(before=before, after=after))


def _log_unfinished(count: int, resolution: Resolution) -> None:
    if count > 1:
        log.warning(
            "left out %d rows of %s that are not over yet: at most one can be, so the clocks differ",
            count,
            resolution,
        )
