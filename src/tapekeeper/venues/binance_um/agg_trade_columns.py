"""Aggregate trades that Binance told, and which of them can be believed: over REST and in files alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.clock import format_moment
from tapekeeper.errors import InvariantBroken

if TYPE_CHECKING:
    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.venues.told_columns import ToldColumns


def doubt_agg_trades(told: ToldColumns, trades: AggTrades) -> None:
    """Put trades aside that contradict themselves.

    Args:
        told: what the trades were read from.
        trades: every row as it came.
    """
    values = {"price": trades.price, "quantity": trades.quantity}
    for name, column in values.items():
        told.doubt(column <= 0, f"{name} {{{name}!r}} is not above zero", values)
    told.doubt(trades.last_trade_id < trades.first_trade_id, "the last trade id is below the first", {})


def check_order(trades: AggTrades, after: AggTrades | None = None) -> None:
    """Check that ids ascend, and that times never descend.

    Args:
        trades: those that are believed.
        after: the last one before them, where there is one.

    Raises:
        InvariantBroken: they do not.
    """
    ids, times = trades.agg_trade_id, trades.event_time
    if after is not None:
        ids, times = np.concatenate([after.agg_trade_id, ids]), np.concatenate([after.event_time, times])
    descents = np.flatnonzero((np.diff(ids) <= 0) | (np.diff(times) < 0))
    if len(descents):
        row = int(descents[0])
        earlier, later = (f"{ids[each]} at {format_moment(int(times[each]))}" for each in (row, row + 1))
        raise InvariantBroken(f"the aggregate trades do not ascend: {later} comes after {earlier}")
