"""Rows by the UTC day that they lie on, which is how they are accounted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of

if TYPE_CHECKING:
    from datetime import date

    from tapekeeper.model.candle import Int64Column


class DayExtent(NamedTuple):
    """The rows of one UTC day; times in microseconds since 1970."""

    day: date
    rows: int
    first: int
    last: int


def day_extents(moments: Int64Column) -> list[DayExtent]:
    """Return the days of at least one row; `moments`, of shape (n,), do not descend."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(moments // MICROSECONDS_PER_DAY)) + 1))
    ends = np.append(starts[1:], len(moments))
    extents = zip(moments[starts].tolist(), moments[ends - 1].tolist(), (ends - starts).tolist(), strict=True)
    return [DayExtent(day_of(first), rows, first, last) for first, last, rows in extents]
