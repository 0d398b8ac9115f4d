"""A market whose data contradict nothing, written as a backfill writes them, and what the checks say about it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from tapekeeper.model.candle import Candles
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.open_interest import OpenInterest
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_OPEN_INTEREST, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.checks.check import Findings, Scope
from tapekeeper.quality.job import CHECK_SESSION
from tapekeeper.settings import Settings
from tapekeeper.store import catalogue, coverage
from tapekeeper.store.grid_rows import CANDLES, OPEN_INTEREST, write_rows
from tapekeeper.store.series_lock import lock_series
from tests.support.candles import MINUTE, ONE_MINUTE, START

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset

DAY = MICROSECONDS_PER_DAY
SECOND = MICROSECONDS_PER_SECOND
TICK = 0.5
_COLUMNS = ("open", "high", "low", "close", "volume", "cost")


def perpetual(name: str, *, listed_at: int = START - 900 * DAY, expires_at: int | None = None) -> Instrument:
    """Return a perpetual."""
    return Instrument("deribit", name, "perpetual", "BTC", listed_at=listed_at, expires_at=expires_at, tick_size=TICK)


def market(start: int, minutes: int, *, seed: int = 1, quiet_share: float = 0.1) -> Candles:
    """Return one-minute candles of a market that moves a little every minute, but in the quiet ones.

    A quiet minute repeats the close before it and has no volume, as the venue tells it.
    """
    random = np.random.default_rng(seed)
    quiet = random.random(minutes) < quiet_share
    moves = np.where(quiet, 0, random.integers(-20, 21, minutes))
    close = (20_000 + np.cumsum(moves)) * TICK
    opened = np.append(close[0], close[:-1])
    wick = np.where(quiet, 0, random.integers(0, 10, minutes)) * TICK
    high, low = np.maximum(opened, close) + wick, np.minimum(opened, close) - wick
    volume = np.where(quiet, 0.0, random.uniform(5, 15, minutes))
    open_time = start + np.arange(minutes, dtype=np.int64) * MINUTE
    return Candles(open_time, opened, high, low, close, volume, volume * close)


def changed(candles: Candles, at: int, **values: float) -> Candles:
    """Return candles with other values in the one that opens at a moment."""
    columns = {name: getattr(candles, name).copy() for name in values}
    (position,) = np.flatnonzero(candles.open_time == at)
    for name, value in values.items():
        columns[name][position] = value
    return replace(candles, **columns)


def without(candles: Candles, *open_times: int) -> Candles:
    """Return candles without those that open at some moments."""
    return candles.select(~np.isin(candles.open_time, open_times))


def only(candles: Candles, *open_times: int) -> Candles:
    """Return those of candles that open at some moments."""
    return candles.select(np.isin(candles.open_time, open_times))


def since(candles: Candles, moment: int) -> Candles:
    """Return those of candles that open at a moment or later."""
    return candles.select(candles.open_time >= moment)


def coarser(candles: Candles, size: int) -> Candles:
    """Return candles that last `size` times as long, added up."""
    groups = {name: getattr(candles, name).reshape(-1, size) for name in ("open_time", *_COLUMNS)}
    return Candles(
        groups["open_time"][:, 0],
        groups["open"][:, 0],
        groups["high"].max(axis=1),
        groups["low"].min(axis=1),
        groups["close"][:, -1],
        groups["volume"].sum(axis=1),
        groups["cost"].sum(axis=1),
    )


def follow(
    cursor: Cursor,
    instrument: Instrument,
    window: Window,
    *,
    keep_fresh: bool = False,
    resolution: Resolution = ONE_MINUTE,
    horizon: int | None = None,
    dataset: Dataset = DERIBIT_PERPETUAL_CANDLES,
) -> int:
    """Follow a window of an instrument's candles as a plan does, and return the series' id."""
    series = catalogue.ensure_series(cursor, dataset, replace(instrument, venue=dataset.venue), resolution)
    lock_series(cursor, series.series_id)
    catalogue.follow(cursor, series.series_id, window, keep_fresh=keep_fresh, reason="test")
    step = resolution.microseconds
    life_start = instrument.listed_at // step * step
    coverage.expect(cursor, series.series_id, window, resolution, life_start=life_start, horizon=horizon or window.end)
    return series.series_id


def hold(cursor: Cursor, series_id: int, candles: Candles) -> None:
    """Write candles as a backfill does."""
    write_rows(cursor, CANDLES, series_id, candles)


def ask(
    cursor: Cursor, check: str, dataset: Dataset, window: Window, *, now: int, is_everything: bool = False
) -> Findings:
    """Return what a check finds, asked as a quality run asks it."""
    cursor.execute(CHECK_SESSION)
    scope = Scope(dataset, window, now, Settings(), seed="test", is_everything=is_everything)
    return CHECKS[check].run(cursor, scope)


def alarms(cursor: Cursor, dataset: Dataset, window: Window, *, now: int, is_everything: bool = True) -> dict[str, int]:
    """Return how much each check finds that finds something; those that need a venue are not asked."""
    found = {
        name: ask(cursor, name, dataset, window, now=now, is_everything=is_everything).found
        for name, check in CHECKS.items()
        if dataset.name in check.datasets and name != "refetch"
    }
    return {name: count for name, count in found.items() if count}


def minutes_after(start: int, count: int) -> Window:
    """Return the window of so many minutes."""
    return Window(start, start + count * MINUTE)


TODAY = START + 16 * DAY
NOW = TODAY + 12 * 60 * MINUTE
"""The middle of the running day; 16 days before it are over."""
BITCOIN = perpetual("BTC-PERPETUAL")
LISTED_LATE = perpetual("NEW-PERPETUAL", listed_at=START + 10 * DAY + 601 * MINUTE + 17 * SECOND)
EXPIRED = perpetual("OLD-PERPETUAL", expires_at=START + 12 * DAY + 480 * MINUTE)
FOLLOWED_TWICE = perpetual("ETH-PERPETUAL")
ALL_DAYS = Window(START, NOW)
HOURS_FROM = START + 13 * DAY
"""From there on candles of an hour are held beside those of a minute."""


def healthy_market(cursor: Cursor, dataset: Dataset = DERIBIT_PERPETUAL_CANDLES) -> dict[str, int]:
    """Write candles of which nothing is wrong, and return the ids of the series by name.

    A market with quiet minutes that is followed still, with hours beside it; one that was listed in the middle, one
    that expired, one that nobody followed for two days; and all of them on a day that is not over.
    """
    follow_it = partial(follow, dataset=dataset)
    bitcoin = follow_it(cursor, BITCOIN, ALL_DAYS, keep_fresh=True)
    hold(cursor, bitcoin, market(START, 16 * 1_440 + 720))
    hours = follow_it(cursor, BITCOIN, Window(HOURS_FROM, NOW), resolution=Resolution(3_600))
    hold(cursor, hours, since(coarser(market(START, 16 * 1_440 + 720), 60), HOURS_FROM))
    late = follow_it(cursor, LISTED_LATE, Window(START + 8 * DAY, NOW), keep_fresh=True)
    born = LISTED_LATE.listed_at // MINUTE * MINUTE
    hold(cursor, late, market(born, (NOW - born) // MINUTE, seed=2, quiet_share=0.9))
    expired = follow_it(cursor, EXPIRED, Window(START + 11 * DAY, EXPIRED.expires_at or 0))
    hold(cursor, expired, market(START + 11 * DAY, 1_440 + 480, seed=3))
    twice = follow_it(cursor, FOLLOWED_TWICE, minutes_after(START + 9 * DAY + 100 * MINUTE, 500))
    hold(cursor, twice, market(START + 9 * DAY + 100 * MINUTE, 500, seed=4))
    follow_it(cursor, FOLLOWED_TWICE, minutes_after(START + 12 * DAY + 700 * MINUTE, 1_440))
    hold(cursor, twice, market(START + 12 * DAY + 700 * MINUTE, 1_440, seed=5))
    return {"bitcoin": bitcoin, "hours": hours, "late": late, "expired": expired, "twice": twice}


def healthy_open_interest(cursor: Cursor) -> int:
    """Write open interest of which nothing is wrong, followed still, and return the id of its series."""
    period = Resolution(300)
    series_id = follow(cursor, BITCOIN, ALL_DAYS, keep_fresh=True, resolution=period, dataset=BINANCE_UM_OPEN_INTEREST)
    moments = np.arange(ALL_DAYS.start, ALL_DAYS.end, period.microseconds)
    held = np.array(1_000.0 + np.arange(len(moments)) % 7, dtype=np.float64)
    write_rows(cursor, OPEN_INTEREST, series_id, OpenInterest(moments, held, held * 50_000.0))
    return series_id
