"""Numbers as the venue writes them: whole numbers of the last decimal, turned into text column by column."""

from __future__ import annotations

import numpy as np

from tapekeeper.model.candle import Float64Column, Int64Column


def place(decimals: int) -> str:
    """Return the part of a %-template that one number with so many decimals needs."""
    return f"%d.%0{decimals}d" if decimals else "%d"


def parts(values: Int64Column, decimals: int) -> list[list[int]]:
    """Return what fills such a place, for every value (0 or above): before the point, and behind it."""
    if not decimals:
        return [values.tolist()]
    whole, rest = np.divmod(values, 10**decimals)
    return [whole.tolist(), rest.tolist()]


def as_floats(values: Int64Column, decimals: int) -> Float64Column:
    """Return the doubles nearest to the numbers, same shape."""
    return values / 10.0**decimals


def text(value: int, decimals: int) -> str:
    """Return one number, which may be negative."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, rest = divmod(value, 10**decimals)
    return f"{sign}{whole}.{rest:0{decimals}d}"
