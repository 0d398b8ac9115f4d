"""Candles that a venue told, and which of them can be believed: what holds at every venue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekeeper.model.answer import Answer
    from tapekeeper.model.candle import Candles, Float64Column
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window
    from tapekeeper.venues.told_columns import ToldColumns

PRICES: Final = ("open", "high", "low", "close")
VALUES: Final = (*PRICES, "volume", "cost")
SIGNIFICANT_DIGITS: Final = 15
"""So many decimal digits a double holds for certain."""

_POWERS_OF_TEN: Final = np.array([float(10**exponent) for exponent in range(23)])
"""All powers of ten that a double holds exactly."""


def believe_candles(
    told: ToldColumns, candles: Candles, window: Window, resolution: Resolution, now: int
) -> Answer[Candles]:
    """Return the closed candles of a window, and apart from them the rows that contradict themselves.

    Args:
        told: what the candles were read from.
        candles: every row as it came.
        window: what was wanted, on the grid of the resolution; see `ToldColumns.believe`.
        resolution: length of a candle.
        now: microseconds since 1970; the candle that is still open then is left out.

    Raises:
        WindowMismatch: there is a candle of another window or of another grid.
        InvariantBroken: the open times do not ascend.
    """
    doubt_candles(told, candles)
    return told.believe(candles, window, resolution, latest=now - resolution.microseconds)


def doubt_candles(told: ToldColumns, candles: Candles) -> None:
    """Put candles aside that contradict themselves.

    Args:
        told: what the candles were read from.
        candles: every row as it came.
    """
    values = {name: getattr(candles, name) for name in VALUES}
    doubt_shape(told, values)
    for name in PRICES:
        told.doubt(values[name] <= 0, f"{name} {{{name}!r}} is not above zero", values)
    for name in ("volume", "cost"):
        told.doubt(values[name] < 0, f"{name} {{{name}!r}} is below zero", values)


def doubt_shape(told: ToldColumns, values: Mapping[str, Float64Column]) -> None:
    """Put candles aside whose open or close is outside of their low and high.

    Args:
        told: what the candles were read from.
        values: columns by name, the four prices among them.
    """
    low, high = values["low"], values["high"]
    told.doubt(high < low, "high {high!r} is below low {low!r}", values)
    for name in ("open", "close"):
        outside = (values[name] < low) | (values[name] > high)
        told.doubt(outside, f"{name} {{{name}!r}} is outside low {{low!r}} and high {{high!r}}", values)


def count_long_numbers(candles: Candles) -> int:
    """Count the numbers with more than 15 significant digits; they are stored as the nearest double."""
    return sum(_long_numbers(getattr(candles, name)) for name in VALUES)


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
