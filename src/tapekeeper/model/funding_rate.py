"""Funding rates travel as columns: one numpy array each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.model.columns import Columns

if TYPE_CHECKING:
    from tapekeeper.model.candle import Float64Column, Int64Column


@dataclass(frozen=True, slots=True, eq=False)
class FundingRates(Columns):
    """The funding rates of one instrument at n moments, ascending, each moment once.

    All columns have shape (n,). `due_at` is when the venue's schedule says, on the grid of the interval, for joins;
    `paid_at` is what the venue tells, some milliseconds later. Both in microseconds since 1970. `funding_rate` is the
    share of the position's value that the long side pays; `mark_price`, in the quote currency, is NaN where it is not
    told.
    """

    due_at: Int64Column
    paid_at: Int64Column
    funding_rate: Float64Column
    mark_price: Float64Column

    def __len__(self) -> int:
        return len(self.due_at)

    @property
    def moments(self) -> Int64Column:
        """When they were due."""
        return self.due_at

    @classmethod
    def empty(cls) -> FundingRates:
        """Return no rates at all."""
        whole, real = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        return cls(whole, whole, real, real)
