"""Daily candles of the options of a whole chain travel as columns: one numpy array each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.model.columns import Columns

if TYPE_CHECKING:
    from tapekeeper.model.candle import Float64Column, Int64Column
    from tapekeeper.model.instrument import Instrument


@dataclass(frozen=True, slots=True, eq=False)
class OptionCandles(Columns):
    """n daily candles of many options, ascending by day and then by option, each option and day once.

    All columns have shape (n,). `option` is the position of the candle's option in `options`. `day` is midnight of the
    date that the venue names, `open_time` when its day begins; both in microseconds since 1970. Prices and volume are
    as the venue tells them; a day without a trade repeats the close before it, with volume 0.
    """

    options: tuple[Instrument, ...]
    """Each once; `listed_at` is the first day of these rows, as the venue tells no listing."""
    option: Int64Column
    day: Int64Column
    open_time: Int64Column
    open: Float64Column
    high: Float64Column
    low: Float64Column
    close: Float64Column
    volume: Float64Column

    def __len__(self) -> int:
        return len(self.day)

    @property
    def moments(self) -> Int64Column:
        """The days."""
        return self.day

    @classmethod
    def empty(cls) -> OptionCandles:
        """Return no candles at all."""
        whole, real = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        return cls((), whole, whole, whole, real, real, real, real, real)
