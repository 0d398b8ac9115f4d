"""Parsed candles made from a seed, in the chunks that a backfill writes."""

from __future__ import annotations

from typing import Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.candle import Candles
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window

CHUNK_ROWS: Final = 5_000
ONE_MINUTE: Final = Resolution(60)
START: Final = 1_577_836_800 * MICROSECONDS_PER_SECOND
"""2020-01-01 in microseconds since 1970."""
INSTRUMENT: Final = Instrument("deribit", "BTC-PERPETUAL", "perpetual", "BTC", listed_at=START, tick_size=0.5)


def sample_chunks(rows: int, seed: int) -> list[Candles]:
    """Return one-minute candles in chunks of 5,000, each a window that follows the one before."""
    random = np.random.default_rng(seed)
    return [_chunk(random, first, min(CHUNK_ROWS, rows - first)) for first in range(0, rows, CHUNK_ROWS)]


def window_of(candles: Candles) -> Window:
    """Return the window from the first candle to the end of the last."""
    return Window(int(candles.open_time[0]), int(candles.open_time[-1]) + ONE_MINUTE.microseconds)


def _chunk(random: np.random.Generator, first: int, count: int) -> Candles:
    ticks = random.integers(10_000, 120_000, count) + random.integers(-40, 41, (4, count))
    opens, high, low, close = ticks[0] / 2, ticks.max(axis=0) / 2, ticks.min(axis=0) / 2, ticks[3] / 2
    cost = (random.integers(0, 100_000, count) * 10).astype(np.float64)
    open_time = START + (first + np.arange(count, dtype=np.int64)) * ONE_MINUTE.microseconds
    volume = np.round(cost / close, 8)
    return Candles(open_time, opens, high, low, close, volume, cost)
