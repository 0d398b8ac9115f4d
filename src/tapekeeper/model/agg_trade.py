"""Aggregate trades travel as columns: one numpy array each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.model.columns import Columns

if TYPE_CHECKING:
    import numpy.typing as npt

    from tapekeeper.model.candle import Float64Column, Int64Column

    BoolColumn = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class AggTrades(Columns):
    """n aggregate trades of one instrument, ascending by id, each id once; times never descend.

    An aggregate trade sums up what one taker took at one price within a moment. All columns have shape (n,).
    `event_time` is in microseconds since 1970, `price` in the quote currency, `quantity` in the base currency. The ids
    of aggregate trades have no hole; those of the trades in them (`first_trade_id` to `last_trade_id`) do.
    """

    agg_trade_id: Int64Column
    event_time: Int64Column
    price: Float64Column
    quantity: Float64Column
    first_trade_id: Int64Column
    last_trade_id: Int64Column
    is_buyer_maker: BoolColumn
    """True where the taker sold."""

    def __len__(self) -> int:
        return len(self.agg_trade_id)

    @property
    def moments(self) -> Int64Column:
        """When they happened; several may share a moment."""
        return self.event_time

    @classmethod
    def empty(cls) -> AggTrades:
        """Return no trades at all."""
        whole, real = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        return cls(whole, whole, real, real, whole, whole, np.empty(0, dtype=np.bool_))
