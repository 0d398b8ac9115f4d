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
    from collections.abc import Mapping, Sequence

    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window

    Column = Sequence[object]
    Mask = npt.NDArray[np.bool_]

COUNT_END: Final = 2**31
"""Counts are stored in 32 bits."""

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

    def doubt(self, mask: Mask, template: str, values: Mapping[str, Float64Column]) -> None:
        """Put rows aside that contradict themselves.

        Args:
            mask: of shape (n,), true where it is so; a comparison with NaN is false, so it adds no second reason.
            template: the reason, with the names of the values in braces.
            values: columns by name.
        """
        for row in np.flatnonzero(mask):
            row_values = {name: float(column[row]) for name, column in values.items()}
            self.put_aside(int(row), template.format(**row_values))

    def believe(self, rows: RowsT, window: Window, resolution: Resolution, *, latest: int) -> Answer[RowsT]:
        """Return the rows of a window, and apart from them those that contradict themselves.

        Args:
            rows: every row as it came, read by the methods above.
            window: what was wanted, on the grid of the resolution. One row before it is accepted and left out: a
                request may begin a millisecond before the window, and the venue may round that down.
            resolution: the distance of the rows.
            latest: microseconds since 1970; a row after it is not over yet, and left out.

        Raises:
            WindowMismatch: there is a row of another window or of another grid.
            InvariantBroken: the rows do not ascend.
        """
        moments = rows.moments
        timed = moments >= 0
        _check_moments(moments[timed], window, resolution)
        unfinished = moments > latest
        _log_unfinished(int(np.sum(unfinished & timed)), resolution)
        return self.sort_out(rows, ~timed | ((moments >= window.start) & ~unfinished))

    def sort_out(self, rows: RowsT, wanted: Mask) -> Answer[RowsT]:
        """Return the rows that were wanted, and apart from them those that were put aside.

        Args:
            rows: every row as it came, read by the methods above.
            wanted: of shape (n,), true for the rows to return.
        """
        moments = rows.moments
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
    strays = moments[(moments < window.start - step) | (moments >= window.end)]
    if len(strays):
        raise WindowMismatch(
            f"{len(strays)} of {len(moments)} rows lie outside the asked window {window},"
            f" such as {format_moment(int(strays[0]))}"
        )
    off_grid = moments[moments % step != 0]
    if len(off_grid):
        raise WindowMismatch(
            f"{len(off_grid)} of {len(moments)} rows do not lie on a multiple of {resolution},"
            f" such as {format_moment(int(off_grid[0]))}"
        )
    descents = np.flatnonzero(np.diff(moments) <= 0)
    if len(descents):
        before, after = (int(moments[descents[0] + offset]) for offset in (0, 1))
        raise InvariantBroken(
            f"the open times do not ascend: {format_moment(after)} comes after {format_moment(before)}"
        )


def _log_unfinished(count: int, resolution: Resolution) -> None:
    if count > 1:
        log.warning(
            "left out %d rows of %s that are not over yet: at most one can be, so the clocks differ",
            count,
            resolution,
        )
