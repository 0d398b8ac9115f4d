"""Aggregate trades, funding rates and daily candles of options of which nothing is wrong, as they are written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, from_microseconds
from tapekeeper.model.agg_trade import AggTrades
from tapekeeper.model.funding_rate import FundingRates
from tapekeeper.model.gap import Cause
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.option_candle import OptionCandles
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_FUNDING_RATES,
    CRYPTODATADOWNLOAD_OPTION_CANDLES,
)
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue
from tapekeeper.store.agg_trades import INCOMING_AGG_TRADES, settle_window, write_agg_trades
from tapekeeper.store.grid_rows import FUNDING_RATES, INCOMING_GRID_TABLES, write_rows
from tapekeeper.store.option_chain import write_chain
from tapekeeper.store.series_lock import lock_series
from tapekeeper.store.told import expect_untold
from tests.support.candles import MINUTE, START
from tests.support.market import BITCOIN, DAY, FOLLOWED_TWICE, NOW, TODAY, follow, market

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset

PREPARE = f"{INCOMING_GRID_TABLES}; {INCOMING_AGG_TRADES}"
"""What a database that these are written to has to prepare."""
HOUR = 60 * MINUTE
TRADES_FROM = START + 13 * DAY + 6 * HOUR
"""From there on aggregate trades are followed; two days after it are over and whole."""
FIRST_ID = 9_001
EIGHT_HOURS, FOUR_HOURS = Resolution(8 * 3_600), Resolution(4 * 3_600)
SHORTENED = START + 8 * DAY
"""From there on the interval of one instrument is four hours."""
ETHER = Instrument(CRYPTODATADOWNLOAD_OPTION_CANDLES.venue, "ETH", "option_chain", "ETH", listed_at=START - 365 * DAY)


def keep_told(cursor: Cursor, dataset: Dataset, instrument: Instrument, window: Window, *, horizon: int) -> int:
    """Follow a series that has no grid from a window's start on, as a plan does, and return its id."""
    own = replace(instrument, venue=dataset.venue)
    series_id = catalogue.ensure_series(cursor, dataset, own, Resolution(0)).series_id
    lock_series(cursor, series_id)
    catalogue.follow(cursor, series_id, window, keep_fresh=True, reason="test")
    expect_untold(cursor, series_id, window, horizon=horizon)
    return series_id


def trades_within(window: Window) -> AggTrades:
    """Return the aggregate trades that the candles of an instrument are made of: two of a minute that has any."""
    candles = market(START, 16 * 1_440 + 720)
    traded = candles.select((candles.volume > 0) & (candles.open_time >= window.start - window.start % MINUTE))
    moments = np.column_stack((traded.open_time, traded.open_time + MINUTE - 1_000)).ravel()
    quantity = np.column_stack((traded.volume * 0.25, traded.volume * 0.75)).ravel()
    ids = FIRST_ID + np.arange(len(moments), dtype=np.int64)
    price = np.repeat(traded.close, 2)
    everything = AggTrades(ids, moments, price, quantity, ids * 3, ids * 3 + 1, ids % 2 == 0)
    return everything.select((moments >= window.start) & (moments < window.end))


def healthy_agg_trades(cursor: Cursor) -> int:
    """Write aggregate trades that are followed still, told day by day, and return the id of their series."""
    window = Window(TRADES_FROM, NOW)
    series_id = keep_told(cursor, BINANCE_UM_AGG_TRADES, BITCOIN, window, horizon=NOW)
    everything = trades_within(window)
    for _, part in window.days():
        within = (everything.event_time >= part.start) & (everything.event_time < part.end)
        write_agg_trades(cursor, series_id, everything.select(within), source="rest")
        settle_window(cursor, series_id, part, cause=Cause.UNKNOWN, by="test", evidence={})
        # The next write may be in the same transaction, which a writer's never is.
        cursor.execute("TRUNCATE incoming_agg_trades")
    return series_id


def funding_rates(window: Window, interval: Resolution) -> FundingRates:
    """Return the rates of a window, some milliseconds late; the price is not told of every one."""
    due_at = np.arange(window.start, window.end, interval.microseconds)
    count = np.arange(len(due_at))
    price = np.array(np.where(count % 3 == 0, np.nan, 50_000.0 + count), dtype=np.float64)
    rate = np.array(1e-4 * (count % 5 - 1.0), dtype=np.float64)
    return FundingRates(due_at, due_at + count % 9 * MICROSECONDS_PER_MILLISECOND, rate, price)


def healthy_funding_rates(cursor: Cursor) -> dict[str, int]:
    """Write the rates of two instruments, the interval of one of which changed, and return the ids of their series."""
    followed = {
        "bitcoin": (BITCOIN, Window(START, NOW), EIGHT_HOURS, True),
        "before": (FOLLOWED_TWICE, Window(START, SHORTENED), EIGHT_HOURS, False),
        "after": (FOLLOWED_TWICE, Window(SHORTENED, NOW), FOUR_HOURS, True),
    }
    found = {}
    for name, (instrument, window, interval, keep_fresh) in followed.items():
        found[name] = follow(
            cursor,
            instrument,
            window,
            keep_fresh=keep_fresh,
            resolution=interval,
            dataset=BINANCE_UM_FUNDING_RATES,
        )
        write_rows(cursor, FUNDING_RATES, found[name], funding_rates(window, interval))
    return found


def chain_of(days: Mapping[int, tuple[int, ...]]) -> OptionCandles:
    """Return candles of options, by strike, on days counted from the start of the market."""
    rows = sorted((day, strike) for day, strikes in days.items() for strike in strikes)
    strikes = sorted({strike for _, strike in rows})
    first_days = {strike: min(day for day, other in rows if other == strike) for strike in strikes}
    day = np.array([START + day * DAY for day, _ in rows], dtype=np.int64)
    close = np.array([0.05 + strike / 1e6 + day / 1e3 for day, strike in rows])
    return OptionCandles(
        tuple(option(strike, first_days[strike]) for strike in strikes),
        np.array([strikes.index(strike) for _, strike in rows], dtype=np.int64),
        day,
        day + 8 * HOUR,
        close,
        close + 0.01,
        close * 0,
        close,
        np.array([float(strike % 7) for _, strike in rows]),
    )


def option(strike: int, first_day: int) -> Instrument:
    """Return an option that expires after the last day of the market."""
    return Instrument(
        ETHER.venue,
        f"ETH-16OCT20-{strike}-C",
        "option",
        "ETH",
        listed_at=START + first_day * DAY,
        expires_at=START + 32 * DAY + 8 * HOUR,
        strike=float(strike),
        option_type="call",
    )


def healthy_option_candles(cursor: Cursor) -> int:
    """Write the days of a chain up to the day before yesterday, and return the id of the chain's series.

    One option is told all the time, one begins later, one ends early. Nothing is worth less than that.
    """
    window = Window(START, TODAY)
    chain = keep_told(cursor, CRYPTODATADOWNLOAD_OPTION_CANDLES, ETHER, window, horizon=TODAY - DAY)
    for day, part in enumerate(part for _, part in Window(START, TODAY - DAY).days()):
        told = {300, *([310] if day >= 4 else []), *([320] if day < 9 else [])}
        write_chain(cursor, chain, part, chain_of({day: tuple(sorted(told))}), source="rest")
        cursor.execute("TRUNCATE incoming_option_candles")
    return chain


def day_of_market(number: int) -> object:
    """Return a UTC day, counted from the start of the market."""
    return from_microseconds(START + number * DAY).date()
