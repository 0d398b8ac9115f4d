"""Good results of Deribit, made by hand."""

from __future__ import annotations

from typing import Any, Final

from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.venues.candle_columns import VALUES

MINUTE: Final = Resolution(60)
STEP_MS: Final = 60_000
START_MS: Final = 1_718_452_800_000
"""2024-06-15 12:00 UTC."""
LONG_AFTER: Final = (START_MS + 10**9) * 1_000
COLUMNS: Final = ("ticks", *VALUES)


def window(minutes: int) -> Window:
    """Return the window from START_MS on."""
    return Window(START_MS * 1_000, (START_MS + minutes * STEP_MS) * 1_000)


def good(minutes: int) -> dict[str, Any]:
    """Return candles that can be believed, with prices 100, 101, ..."""
    return {
        "status": "ok",
        "ticks": [START_MS + STEP_MS * minute for minute in range(minutes)],
        "open": [100 + minute for minute in range(minutes)],
        "high": [100.5 + minute for minute in range(minutes)],
        "low": [99.5 + minute for minute in range(minutes)],
        "close": [100.25 + minute for minute in range(minutes)],
        "volume": [0.125 * minute for minute in range(minutes)],
        "cost": [10 * minute for minute in range(minutes)],
    }


PERPETUAL: Final[dict[str, Any]] = {
    "kind": "future",
    "instrument_name": "BTC-PERPETUAL",
    "settlement_period": "perpetual",
    "base_currency": "BTC",
    "quote_currency": "USD",
    "creation_timestamp": 1534242287000,
    "expiration_timestamp": 32503708800000,
    "tick_size": 0.5,
    "is_active": True,
    "something_new": {"of": ["2026"]},
}
OPTION: Final[dict[str, Any]] = {
    "kind": "option",
    "instrument_name": "XRP_USDC-21SEP26-1d25-C",
    "settlement_period": "week",
    "base_currency": "XRP",
    "creation_timestamp": 1779100724000,
    "expiration_timestamp": 1789977600000,
    "tick_size": 1e-4,
    "strike": 1.25,
    "option_type": "call",
}
