"""Frames of Deribit's WebSocket, made by hand."""

from __future__ import annotations

from typing import Any, Final

import orjson

NAME: Final = "ETH-27DEC30-3000-C"
TIME_MS: Final = 1_718_452_800_123


def notification(channel: str, data: Any) -> bytes:
    """Return what arrives in a channel."""
    return orjson.dumps({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}})


def trade(**changes: Any) -> dict[str, Any]:
    """Return a trade as the venue tells it, with these fields changed; those that are changed to ... are left out."""
    fields = {
        "timestamp": TIME_MS,
        "price": 0.0405,
        "amount": 2.0,
        "direction": "sell",
        "index_price": 3512.25,
        "instrument_name": NAME,
        "trade_seq": 7,
        "mark_price": 0.0403,
        "iv": 61.5,
        "tick_direction": 1,
        "contracts": 2.0,
        "trade_id": "ETH-284830839",
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def ticker(**changes: Any) -> dict[str, Any]:
    """Return a ticker of an option with these fields changed; those that are changed to ... are left out."""
    fields = {
        "timestamp": TIME_MS,
        "state": "open",
        "stats": {"high": None, "low": None, "price_change": None, "volume": 0.0, "volume_usd": 0.0},
        "greeks": {"delta": 0.5, "gamma": 0.001, "vega": 1.0, "theta": -1.0, "rho": 0.1},
        "index_price": 3512.25,
        "instrument_name": NAME,
        "last_price": None,
        "open_interest": 120.0,
        "mark_price": 0.0403,
        "mark_iv": 61.2,
        "bid_iv": 60.9,
        "ask_iv": 62.0,
        "underlying_price": 3520.5,
        "underlying_index": "ETH-27DEC30",
        "estimated_delivery_price": 3512.25,
        "best_bid_price": 0.04,
        "best_bid_amount": 12.0,
        "best_ask_price": 0.041,
        "best_ask_amount": 3.0,
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def book(change_id: int, previous: int | None, **changes: Any) -> dict[str, Any]:
    """Return a frame of a book: a snapshot where there is none before it."""
    fields: dict[str, Any] = {
        "type": "snapshot" if previous is None else "change",
        "timestamp": TIME_MS,
        "instrument_name": NAME,
        "change_id": change_id,
        "bids": [],
        "asks": [],
    }
    return fields | ({} if previous is None else {"prev_change_id": previous}) | changes
