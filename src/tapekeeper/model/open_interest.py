"""Open interest travels as columns: one numpy array each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.model.columns import Columns

if TYPE_CHECKING:
    from tapekeeper.model.candle import Float64Column, Int64Column


@dataclass(frozen=True, slots=True, eq=False)
class OpenInterest(Columns):
    """Open interest of one instrument at n moments, ascending, each moment once.

    All columns have shape (n,). `event_time` is in microseconds since 1970, `open_interest` in the base currency, and
    `open_interest_value` in the quote currency.
    """

    event_time: Int64Column
    open_interest: Float64Column
    open_interest_value: Float64Column

    def __len__(self) -> int:
        return len(self.event_time)

    @property
    def moments(self) -> Int64Column:
        """The moments."""
        return self.event_time

    @classmethod
    def empty(cls) -> OpenInterest:
        """Return no rows at all."""
        nothing = np.empty(0, dtype=np.float64)
        return cls(np.empty(0, dtype=np.int64), nothing, nothing)
