"""Names of the venue's channels (https://docs.deribit.com, subscriptions).

An interval is `100ms`, `agg2` (a second, measured) or, for those who are logged in, `raw`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple

ChannelKind = Literal[
    "book", "ticker", "trades", "all_trades", "instrument_state", "instrument_creation", "platform_state", "unknown"
]

INTERVAL: Final = "100ms"
"""The finest that needs no login."""
PLATFORM_STATE: Final = "platform_state"
"""Locks of currencies, and `maintenance` when a break begins."""
_REMEMBERED: Final = 16_384


class Channel(NamedTuple):
    """A channel by its parts; those that its kind has not are None."""

    kind: ChannelKind
    instrument_name: str | None = None
    instrument_kind: str | None = None
    """The venue's, such as option; `any` is possible."""
    currency: str | None = None
    """The venue's, such as ETH; `any` is possible."""
    interval: str | None = None


def book_channel(instrument_name: str, interval: str = INTERVAL) -> str:
    """Return the channel of a whole book: a snapshot, then changes."""
    return f"book.{instrument_name}.{interval}"


def ticker_channel(instrument_name: str, interval: str = INTERVAL) -> str:
    """Return the channel of an instrument's prices, volatilities and open interest."""
    return f"ticker.{instrument_name}.{interval}"


def trades_channel(instrument_name: str, interval: str = INTERVAL) -> str:
    """Return the channel of an instrument's trades."""
    return f"trades.{instrument_name}.{interval}"


def all_trades_channel(currency: str, instrument_kind: str = "option", interval: str = INTERVAL) -> str:
    """Return the channel of the trades of all instruments of a kind, those listed later among them."""
    return f"trades.{instrument_kind}.{currency}.{interval}"


def instrument_state_channel(instrument_kind: str = "any", currency: str = "any") -> str:
    """Return the channel that tells when instruments open, settle, expire."""
    return f"instrument.state.{instrument_kind}.{currency}"


def instrument_creation_channel(instrument_kind: str = "any", currency: str = "any") -> str:
    """Return the channel that tells of new instruments; older servers leave it out of the acknowledgement."""
    return f"instrument.creation.{instrument_kind}.{currency}"


@lru_cache(maxsize=_REMEMBERED)
def parse_channel(name: str) -> Channel:
    """Return the parts of a channel's name; kind `unknown` where it is none of the above."""
    match name.split("."):
        case ["book", instrument, interval]:
            return Channel("book", instrument_name=instrument, interval=interval)
        case ["ticker", instrument, interval]:
            return Channel("ticker", instrument_name=instrument, interval=interval)
        case ["trades", instrument, interval]:
            return Channel("trades", instrument_name=instrument, interval=interval)
        case ["trades", kind, currency, interval]:
            return Channel("all_trades", instrument_kind=kind, currency=currency, interval=interval)
        case ["instrument", "state", kind, currency]:
            return Channel("instrument_state", instrument_kind=kind, currency=currency)
        case ["instrument", "creation", kind, currency]:
            return Channel("instrument_creation", instrument_kind=kind, currency=currency)
        case ["platform_state"]:
            return Channel("platform_state")
        case _:
            return Channel("unknown")
