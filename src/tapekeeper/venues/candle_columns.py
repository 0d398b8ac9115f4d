"""Candles that a venue told, and which of them can be believed: what holds at every venue."""

from __future__ import annotations

import logging
import math
import reprlib
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MILLISECONDS_MAXIMUM, format_moment
from tapekeeper.errors import InvariantBroken, WindowMismatch
from tapekeeper.model.answer import Answer, RejectedRow
from tapekeeper.model.candle import Candles, Float64Column, Int64Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window

    Column = list[object]
    Mask = npt.NDArray[np.bool_]

PRICES: Final = ("open", "high", "low", "close")
VALUES: Final = (*PRICES, "volume", "cost")
SIGNIFICANT_DIGITS: Final = 15
"""So many decimal digits a double holds for certain."""

COUNT_END: Final = 2**31
"""Counts are stored in 32 bits."""

_POWERS_OF_TEN: Final = np.array([float(10**exponent) for exponent in range(23)])
"""All powers of ten that a double holds exactly."""

log = logging.getLogger(__name__)


class CandleColumns:
    """Candles of one answer as they came, one numpy array per column; what cannot be read is NaN, or -1 as a time.

    Args:
        told: the venue's columns by its own names, equally long, for the rows that are put aside.
    """

    def __init__(self, told: Mapping[str, Column]) -> None:
        self._told = told
        self._reasons: dict[int, str] = {}

    def moments(self, name: str) -> Int64Column:
        """Return a column of milliseconds since 1970 as microseconds."""
        column = self._told[name]
        milliseconds = self.numbers(name)
        usable = (milliseconds == np.floor(milliseconds)) & (milliseconds >= 0) & (milliseconds < MILLISECONDS_MAXIMUM)
        for row in np.flatnonzero(~usable):
            self._reasons.setdefault(int(row), f"{name} {reprlib.repr(column[row])} is no time in milliseconds")
        moments = np.where(usable, milliseconds, -1).astype(np.int64)
        moments[usable] *= MICROSECONDS_PER_MILLISECOND
        return moments

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
        for row in np.flatnonzero(~usable):
            reason = f"{name} {reprlib.repr(self._told[name][row])} is no count"
            self._reasons.setdefault(int(row), reason)
        return np.where(usable, numbers, 0).astype(np.int64)

    def decimals(self, name: str) -> Float64Column:
        """Return a column of numbers that are written as text, such as "0.01634790", as doubles."""
        column = self._told[name]
        return self._finite(name, np.array([_decimal(value) for value in column], dtype=np.float64))

    def _finite(self, name: str, numbers: Float64Column) -> Float64Column:
        finite = np.isfinite(numbers)
        if not finite.all():
            for row in np.flatnonzero(~finite):
                reason = f"{name} {reprlib.repr(self._told[name][row])} is no finite number"
                self._reasons.setdefault(int(row), reason)
            numbers[~finite] = math.nan
        return numbers

    def believe(self, candles: Candles, window: Window, resolution: Resolution, now: int) -> Answer[Candles]:
        """Return the closed candles of a window, and apart from them the rows that contradict themselves.

        Args:
            candles: every row as it came, read by the methods above.
            window: what was wanted, on the grid of the resolution. One candle before it is accepted and left out: a
                request may begin a millisecond before the window, and the venue may round that down.
            resolution: length of a candle.
            now: microseconds since 1970; the candle that is still open then is left out.

        Raises:
            WindowMismatch: it holds a candle of another window or of another grid.
            InvariantBroken: the open times do not ascend.
        """
        open_time = candles.open_time
        timed = open_time >= 0
        _check_open_times(open_time[timed], window, resolution)
        unfinished = open_time + resolution.microseconds > now
        _log_unfinished(int(np.sum(unfinished & timed)), resolution)
        wanted = ~timed | ((open_time >= window.start) & ~unfinished)
        _check_values({name: getattr(candles, name) for name in VALUES}, self._reasons)
        believed = wanted.copy()
        believed[list(self._reasons)] = False
        rejected = tuple(
            RejectedRow(
                event_time=int(open_time[row]) if timed[row] else None,
                reason=self._reasons[row],
                row={name: column[row] for name, column in self._told.items()},
            )
            for row in sorted(self._reasons)
            if wanted[row]
        )
        return Answer(candles.select(believed), rejected)


def count_long_numbers(candles: Candles) -> int:
    """Count the numbers with more than 15 significant digits; they are stored as the nearest double."""
    return sum(_long_numbers(getattr(candles, name)) for name in VALUES)


def _decimal(value: object) -> float:
    """Return a number written as text, NaN where it is none; Python's underscores and words are not a venue's."""
    if not isinstance(value, str) or not value.isascii() or "_" in value:
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan


def _check_open_times(open_time: Int64Column, window: Window, resolution: Resolution) -> None:
    step = resolution.microseconds
    strays = open_time[(open_time < window.start - step) | (open_time >= window.end)]
    if len(strays):
        raise WindowMismatch(
            f"{len(strays)} of {len(open_time)} candles lie outside the asked window {window},"
            f" such as {format_moment(int(strays[0]))}"
        )
    off_grid = open_time[open_time % step != 0]
    if len(off_grid):
        raise WindowMismatch(
            f"{len(off_grid)} of {len(open_time)} candles do not begin on a multiple of {resolution},"
            f" such as {format_moment(int(off_grid[0]))}"
        )
    descents = np.flatnonzero(np.diff(open_time) <= 0)
    if len(descents):
        before, after = (int(open_time[descents[0] + offset]) for offset in (0, 1))
        raise InvariantBroken(
            f"the open times do not ascend: {format_moment(after)} comes after {format_moment(before)}"
        )


def _log_unfinished(count: int, resolution: Resolution) -> None:
    if count > 1:
        log.warning(
            "left out %d candles of %s that are not over yet: at most one can be, so the clocks differ",
            count,
            resolution,
        )


def _check_values(values: dict[str, Float64Column], reasons: dict[int, str]) -> None:
    """Add the reasons for rows that contradict themselves; a comparison with NaN is false, so it adds no second one."""
    low, high = values["low"], values["high"]
    broken: list[tuple[Mask, str]] = [(high < low, "high {high!r} is below low {low!r}")]
    broken += [
        (
            (values[name] < low) | (values[name] > high),
            f"{name} {{{name}!r}} is outside low {{low!r}} and high {{high!r}}",
        )
        for name in ("open", "close")
    ]
    broken += [(values[name] <= 0, f"{name} {{{name}!r}} is not above zero") for name in PRICES]
    broken += [(values[name] < 0, f"{name} {{{name}!r}} is below zero") for name in ("volume", "cost")]
    for mask, template in broken:
        for row in np.flatnonzero(mask):
            row_values = {name: float(column[row]) for name, column in values.items()}
            reasons.setdefault(int(row), template.format(**row_values))


def _long_numbers(column: Float64Column) -> int:
    """Count the doubles that no decimal number of 15 significant digits is nearest to.

    Rounding to 15 digits in doubles is exact here: the rounded digits and the power of ten are whole numbers that a
    double holds, so that their quotient is the double nearest to the decimal number. Numbers beyond 1e-8 and 1e37 would
    need larger powers and are not counted.
    """
    magnitudes = np.abs(column[np.isfinite(column) & (column != 0)])
    shift = SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(magnitudes)).astype(np.int64)
    known = np.abs(shift) < len(_POWERS_OF_TEN)
    magnitudes, shift = magnitudes[known], shift[known]
    power = _POWERS_OF_TEN[np.abs(shift)]
    digits = np.rint(np.where(shift >= 0, magnitudes * power, magnitudes / power))
    return int(np.sum(np.where(shift >= 0, digits / power, digits * power) != magnitudes))
