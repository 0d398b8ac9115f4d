"""Candles travel as columns: one numpy array each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tapekeeper.model.columns import Columns

Int64Column = npt.NDArray[np.int64]
Float64Column = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candles(Columns):
    """n candles of one series, ascending by open time, each open time once.

    All columns have shape (n,). `open_time` is in microseconds since 1970; prices are in the quote currency, `volume`
    in the base currency, `cost` in the quote currency. `trade_count` is None where the venue does not tell it.
    """

    open_time: Int64Column
    open: Float64Column
    high: Float64Column
    low: Float64Column
    close: Float64Column
    volume: Float64Column
    cost: Float64Column
    trade_count: Int64Column | None = None

    def __len__(self) -> int:
        return len(self.open_time)

    @property
    def moments(self) -> Int64Column:
        """The open times."""
        return self.open_time

    @classmethod
    def empty(cls) -> Candles:
        """Return no candles at all."""
        nothing = np.empty(0, dtype=np.float64)
        return cls(np.empty(0, dtype=np.int64), nothing, nothing, nothing, nothing, nothing, nothing)
