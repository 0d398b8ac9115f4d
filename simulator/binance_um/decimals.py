"""Numbers as the venue writes them: whole numbers of the last decimal, and what they stand for."""

from __future__ import annotations

from tapekeeper.model.candle import Float64Column, Int64Column


def as_floats(values: Int64Column, decimals: int) -> Float64Column:
    """Return the doubles nearest to the numbers, same shape."""
    return values / 10.0**decimals


def text(value: int, decimals: int) -> str:
    """Return one number, which may be negative."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole, rest = divmod(value, 10**decimals)
    return f"{sign}{whole}.{rest:0{decimals}d}"
