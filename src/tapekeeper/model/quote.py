"""Quote: the top of an instrument's book at one change of it, with the latest that the venue told about its value."""

from __future__ import annotations

from typing import NamedTuple


class Quote(NamedTuple):
    """One change of the top of a book; a tuple in the order of the columns, ready for COPY.

    Moments in microseconds since 1970, prices and sizes as the venue counts them, implied volatilities in percent.
    A side without an order has neither price nor size. The values from `mark_price` on are the latest known when the
    top changed: the venue sends them apart from the book.
    """

    instrument_id: int
    event_time: int
    """When the venue's book changed."""
    received_at: int
    change_id: int
    """The venue's number of the change; 0 for a row made from the ticker while the chain of changes was broken."""
    bid_price: float | None
    bid_size: float | None
    ask_price: float | None
    ask_size: float | None
    mark_price: float | None
    underlying_price: float | None
    mark_iv: float | None
    bid_iv: float | None
    ask_iv: float | None
    open_interest: float | None
    from_ticker: bool
    """Whether the top comes from the ticker, because the chain of changes was broken."""
