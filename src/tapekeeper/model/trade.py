"""Trade: one execution of an instrument."""

from __future__ import annotations

from typing import Literal, NamedTuple

Side = Literal["buy", "sell"]


class Trade(NamedTuple):
    """One trade; a tuple in the order of the columns, ready for COPY.

    Moments in microseconds since 1970, price and size as the venue counts them, `iv` in percent. What the venue does
    not tell is None.
    """

    instrument_id: int
    event_time: int
    """When the venue matched it."""
    received_at: int
    trade_seq: int
    """Counts the trades of the instrument: 1, 2, 3, without a hole."""
    trade_id: str
    """The venue's name for it, unique within a currency."""
    price: float
    """As the venue quotes the instrument: an inverse option in its base currency. Only a combo's may be below zero."""
    size: float
    side: Side
    """Of the taker."""
    iv: float | None
    index_price: float | None
    mark_price: float | None
    liquidation: str | None
    """Whose order was a liquidation: M the maker's, T the taker's, MT both."""
    combo_id: str | None
    """The combo of which this is a leg."""
    block_trade_id: str | None
