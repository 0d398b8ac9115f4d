"""Book summary: one line per instrument about its book and its open interest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BookSummary:
    """What a venue tells about one instrument in a list of all; a value that it does not tell is None."""

    instrument_name: str
    summarised_at: int
    """When the venue made the summary, in microseconds since 1970."""
    open_interest: float
    """In the base currency for options and linear contracts, in US dollars for inverse ones."""
    mark_price: float
    """In the quote currency, as all prices here."""
    bid_price: float | None
    ask_price: float | None
    underlying_price: float | None
    mark_iv: float | None
    """Implied volatility of the mark price in percent; options only."""
    volume_usd: float | None
    """Of the last 24 hours, in US dollars."""
