"""Candles of /fapi/v1/klines, and which of them can be believed.

A candle is a list of twelve: open time (milliseconds), open, high, low, close and volume (base currency) as text,
close time, volume in the quote currency as text, number of trades, two volumes of takers, and one that means nothing.
A minute without trades comes as the previous close with volume 0: a candle like any other.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Final

from tapekeeper.errors import ParseFailure
from tapekeeper.model.answer import Answer
from tapekeeper.model.candle import Candles
from tapekeeper.venues.binance_um.told_lists import list_told
from tapekeeper.venues.candle_columns import believe_candles
from tapekeeper.venues.told_columns import ToldColumns

if TYPE_CHECKING:
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window

FIELDS: Final = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "trades", "taker_base_volume",
    "taker_quote_volume", "ignore",
)  # fmt: skip
"""In the order in which they come."""


def parse_klines(result: object, window: Window, resolution: Resolution, now: int) -> Answer[Candles]:
    """Return the closed candles of a window, in the units of `Candles`.

    Args:
        result: the venue's, parsed JSON.
        window: what was asked for, on the grid of the resolution.
        resolution: length of a candle.
        now: microseconds since 1970; the candle that is still open then is left out.

    Raises:
        ParseFailure: the answer is not of the documented shape.
        WindowMismatch: it holds a candle of another window or of another grid.
        InvariantBroken: the open times do not ascend.
    """
    rows = list_told(result, "candles")
    for row in rows:
        if not isinstance(row, list) or len(row) != len(FIELDS):
            raise ParseFailure(f"a candle of Binance should be a list of {len(FIELDS)}, not {reprlib.repr(row)}")
    if not rows:
        return Answer(Candles.empty())
    told = ToldColumns(dict(zip(FIELDS, map(list, zip(*rows, strict=True)), strict=True)))
    candles = candles_of(told, trade_count="trades")
    return believe_candles(told, candles, window, resolution, now)


def candles_of(told: ToldColumns, *, trade_count: str) -> Candles:
    """Return every candle as it came; `trade_count` names the column, which REST and the archive do not agree on."""
    return Candles(
        open_time=told.moments("open_time"),
        open=told.decimals("open"),
        high=told.decimals("high"),
        low=told.decimals("low"),
        close=told.decimals("close"),
        volume=told.decimals("volume"),
        cost=told.decimals("quote_volume"),
        trade_count=told.counts(trade_count),
    )
