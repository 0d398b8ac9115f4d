"""Good answers of Binance USD-M, made by hand."""

from __future__ import annotations

from typing import Any, Final

from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window

MINUTE: Final = Resolution(60)
STEP_MS: Final = 60_000
START_MS: Final = 1_718_452_800_000
"""2024-06-15 12:00 UTC."""
LONG_AFTER: Final = (START_MS + 10**9) * 1_000


def window(minutes: int) -> Window:
    """Return the window from START_MS on."""
    return Window(START_MS * 1_000, (START_MS + minutes * STEP_MS) * 1_000)


def kline(minute: int) -> list[Any]:
    """Return a candle that can be believed, with prices 100, 101, ..."""
    opened = START_MS + STEP_MS * minute
    prices = [f"{price + minute}0" for price in (100.0, 100.5, 99.5, 100.25)]
    return [opened, *prices, f"{0.125 * minute:.3f}", opened + STEP_MS - 1, f"{10.0 * minute}", minute, "0", "0", "0"]


def klines(minutes: int) -> list[list[Any]]:
    """Return candles one after the other."""
    return [kline(minute) for minute in range(minutes)]


def symbol(name: str = "BTCUSDT", **changes: Any) -> dict[str, Any]:
    """Return one entry of exchangeInfo."""
    return {
        "symbol": name,
        "pair": name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": 1_567_965_420_000,
        "status": "TRADING",
        "baseAsset": name.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "filters": [{"filterType": "PRICE_FILTER", "minPrice": "556.80", "tickSize": "0.10"}],
        **changes,
    }
