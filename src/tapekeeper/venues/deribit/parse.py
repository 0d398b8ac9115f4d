"""Candles of public/get_tradingview_chart_data, and which of them can be believed.

The answer is columnar: `ticks` (open times in milliseconds), `open`, `high`, `low`, `close`, `volume` (base currency)
and `cost` (quote currency), equally long. A minute without trades comes as the previous close with volume 0: that is a
candle like any other. A minute that is not there at all is a hole, and stays one.
"""

from __future__ import annotations

import logging
import math
import reprlib
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, format_moment
from tapekeeper.errors import InvariantBroken, ParseFailure, WindowMismatch
from tapekeeper.model.candle import CandleAnswer, Candles, Float64Column, Int64Column, RejectedRow
from tapekeeper.venues.deribit.limits import MILLISECONDS_MAXIMUM

if TYPE_CHECKING:
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window

    Column = list[object]
    Mask = npt.NDArray[np.bool_]

PRICES: Final = ("open", "high", "low", "close")
VALUES: Final = (*PRICES, "volume", "cost")
SIGNIFICANT_DIGITS: Final = 15
"""So many decimal digits a double holds for certain."""

_POWERS_OF_TEN: Final = np.array([float(10**exponent) for exponent in range(23)])
"""All powers of ten that a double holds exactly."""

log = logging.getLogger(__name__)


class CandleParser:
    """Turns answers into candles and counts what is unusual about them; one per thread."""

    def __init__(self) -> None:
        self.long_numbers = 0
        """Numbers so far with more than 15 significant digits; they are stored as the nearest double."""

    def parse(self, result: object, window: Window, resolution: Resolution, now: int) -> CandleAnswer:
        """Return the closed candles of a window.

        Args:
            result: the venue's, parsed JSON.
            window: what was wanted, on the grid of the resolution. One candle before it is accepted and left out: the
                request began a millisecond before the window, and the venue may round that down.
            resolution: length of a candle.
            now: microseconds since 1970; the candle that is still open then is left out.

        Raises:
            ParseFailure: the answer is not of the documented shape.
            WindowMismatch: it holds a candle of another window or of another grid.
            InvariantBroken: the open times do not ascend.
        """
        columns = _columns(result)
        if columns is None:
            return CandleAnswer(Candles.empty())
        open_time, reasons = _open_times(columns["ticks"])
        values = {name: _numbers(columns[name], name, reasons) for name in VALUES}
        timed = open_time >= 0
        _check_open_times(open_time[timed], window, resolution)
        unfinished = open_time + resolution.microseconds > now
        _log_unfinished(int(np.sum(unfinished & timed)), resolution)
        wanted = ~timed | ((open_time >= window.start) & ~unfinished)
        self._count_long_numbers(values)
        _check_values(values, reasons)
        believed = wanted.copy()
        believed[list(reasons)] = False
        rejected = tuple(
            RejectedRow(
                event_time=int(open_time[row]) if timed[row] else None,
                reason=reasons[row],
                row={name: column[row] for name, column in columns.items()},
            )
            for row in sorted(reasons)
            if wanted[row]
        )
        return CandleAnswer(_candles(open_time, values).select(believed), rejected)

    def _count_long_numbers(self, values: dict[str, Float64Column]) -> None:
        count = sum(_long_numbers(column) for column in values.values())
        if count:
            self.long_numbers += count
            log.debug("%d numbers with more than %d significant digits", count, SIGNIFICANT_DIGITS)


def _columns(result: object) -> dict[str, Column] | None:
    """Return the columns, equally long, or None where the venue has no data; then it may leave them out."""
    if not isinstance(result, dict):
        raise ParseFailure(f"candles should come as an object, not as {type(result).__name__}")
    status = result.get("status")
    if status == "no_data" and not result.get("ticks"):
        return None
    if status != "ok":
        raise ParseFailure(
            f"candles came with status {reprlib.repr(status)}: only 'ok', or 'no_data' without candles, is known"
        )
    columns: dict[str, Column] = {}
    for name in ("ticks", *VALUES):
        column = result.get(name)
        if not isinstance(column, list):
            raise ParseFailure(f"candles came without a list of {name!r}")
        columns[name] = column
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise ParseFailure(f"the columns of the candles differ in length: {lengths}")
    return columns


def _open_times(ticks: Column) -> tuple[Int64Column, dict[int, str]]:
    """Return open times in microseconds, -1 where a tick is no time, and the reasons by row."""
    reasons: dict[int, str] = {}
    milliseconds = _numbers(ticks, "ticks", reasons)
    usable = (milliseconds == np.floor(milliseconds)) & (milliseconds >= 0) & (milliseconds < MILLISECONDS_MAXIMUM)
    for row in np.flatnonzero(~usable):
        reasons.setdefault(int(row), f"ticks {reprlib.repr(ticks[row])} is no time in milliseconds")
    open_time = np.where(usable, milliseconds, -1).astype(np.int64)
    open_time[usable] *= MICROSECONDS_PER_MILLISECOND
    return open_time, reasons


def _numbers(column: Column, name: str, reasons: dict[int, str]) -> Float64Column:
    """Return a column as doubles, NaN where an element is no finite number, and add the reasons by row."""
    if set(map(type, column)) <= {int, float}:
        numbers = np.array(column, dtype=np.float64)
    else:
        # numpy would take true for 1 and "2" for 2.
        numbers = np.array([value if type(value) in {int, float} else math.nan for value in column], dtype=np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        for row in np.flatnonzero(~finite):
            reasons.setdefault(int(row), f"{name} {reprlib.repr(column[row])} is no finite number")
        numbers[~finite] = math.nan
    return numbers


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


def _candles(open_time: Int64Column, values: dict[str, Float64Column]) -> Candles:
    opens, high, low, close, volume, cost = (values[name] for name in VALUES)
    return Candles(open_time, opens, high, low, close, volume, cost)


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
