"""Candles: the tape added up, quiet minutes filled, every resolution made of minutes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.chart import COLUMNS, RESOLUTIONS, ChartMaker, volume_and_cost
from simulator.market import Market
from simulator.moments import DAY, MINUTE
from simulator.tape import Tape, Trades
from simulator.world import World
from tests.unit.simulator.venue import NOW, SEED, Venue, steady

INSTRUMENTS = st.sampled_from(["BTC-PERPETUAL", "PAXG_USDC-PERPETUAL", "XRP_USDC-PERPETUAL", "BTC-26JUN26"])
STARTS = st.integers(NOW - 30 * DAY, NOW - 4 * 60 * MINUTE).map(lambda moment: moment // MINUTE * MINUTE)


@steady
@given(name=INSTRUMENTS, start=STARTS)
def test_a_minute_is_the_sum_of_its_trades_or_the_close_before(world: World, name: str, start: int) -> None:
    instrument = Venue(world).instrument(name)
    chart = world.charts.candles(instrument, start, start + 120 * MINUTE, "1", NOW)
    trades = world.tape.between(instrument, start, start + 121 * MINUTE)
    positions = _positions_by_minute(trades)
    close = float(world.tape.select(instrument, trades.first_sequence - 1, trades.first_sequence - 1).price[0])
    for position, tick in enumerate(chart.ticks.tolist()):
        inside = positions.get(tick, [])
        if inside:
            prices = trades.price[inside]
            moved, cost = volume_and_cost(instrument, trades)
            close = float(prices[-1])
            expected = [prices[0], prices.max(), prices.min(), close, moved[inside].sum(), cost[inside].sum()]
        else:
            expected = [close, close, close, close, 0.0, 0.0]
        assert np.allclose(chart.rows[:, position], expected, rtol=0, atol=1e-8)


@steady
@given(name=INSTRUMENTS, resolution=st.sampled_from(sorted(RESOLUTIONS)), days_ago=st.integers(1, 40))
def test_every_resolution_is_made_of_minutes(world: World, name: str, resolution: str, days_ago: int) -> None:
    instrument, size = Venue(world).instrument(name), RESOLUTIONS[resolution]
    start = (NOW // DAY - days_ago) * DAY
    minutes = world.charts.candles(instrument, start, start + DAY - 1, "1", NOW)
    coarse = world.charts.candles(instrument, start, start + DAY - 1, resolution, NOW)
    assert coarse.ticks.tolist() == minutes.ticks[::size].tolist()
    groups = {column: minutes.column(column).reshape(-1, size) for column in COLUMNS}
    assert np.array_equal(coarse.column("open"), groups["open"][:, 0])
    assert np.array_equal(coarse.column("high"), groups["high"].max(axis=1))
    assert np.array_equal(coarse.column("low"), groups["low"].min(axis=1))
    assert np.array_equal(coarse.column("close"), groups["close"][:, -1])
    assert np.allclose(coarse.column("volume"), groups["volume"].sum(axis=1), rtol=0, atol=1e-7)
    assert np.allclose(coarse.column("cost"), groups["cost"].sum(axis=1), rtol=1e-12)


@steady
@given(name=INSTRUMENTS, start=STARTS, length=st.integers(0, 2_000))
def test_candles_do_not_depend_on_what_was_asked_before(world: World, name: str, start: int, length: int) -> None:
    instrument, end = Venue(world).instrument(name), start + length * MINUTE
    known = world.charts.candles(instrument, start, end, "1", NOW)
    fresh = ChartMaker(Tape(Market(SEED))).candles(instrument, start, end, "1", NOW)
    assert np.array_equal(known.ticks, fresh.ticks)
    assert np.array_equal(known.rows, fresh.rows)


@steady
@given(now=st.integers(NOW - DAY, NOW))
def test_what_is_over_does_not_change_with_time(world: World, now: int) -> None:
    instrument = Venue(world).instrument("BTC-PERPETUAL")
    then = world.charts.candles(instrument, now - 60 * MINUTE, now, "1", now)
    later = world.charts.candles(instrument, now - 60 * MINUTE, now, "1", NOW + DAY)
    complete = then.ticks + MINUTE <= now
    assert np.array_equal(then.rows[:, complete], later.rows[:, complete])


def test_a_candle_never_contradicts_itself(venue: Venue) -> None:
    for name in ("BTC-PERPETUAL", "PAXG_USDC-PERPETUAL"):
        chart = venue.world.charts.candles(venue.instrument(name), NOW - 5 * DAY, NOW, "1", NOW)
        opens, highs, lows, closes, volumes, costs = chart.rows
        assert (highs >= np.maximum(opens, closes)).all()
        assert (lows <= np.minimum(opens, closes)).all()
        assert ((volumes > 0) == (costs > 0)).all()


def test_a_quiet_minute_carries_a_close_that_is_days_old(venue: Venue) -> None:
    quiet = venue.instrument("PAXG_USDC-PERPETUAL")
    trades = venue.world.tape.between(quiet, NOW - 60 * DAY, NOW)
    longest = int(np.argmax(np.diff(trades.time)))
    assert trades.time[longest + 1] - trades.time[longest] > 2 * DAY
    last = int(trades.time[longest + 1]) // MINUTE * MINUTE - MINUTE
    chart = venue.world.charts.candles(quiet, last, last, "1", NOW)
    assert chart.rows[:, 0].tolist() == [*[trades.price[longest]] * 4, 0.0, 0.0]


def test_an_inverse_future_counts_cost_in_dollars_and_volume_in_coins(venue: Venue) -> None:
    chart = venue.world.charts.candles(venue.instrument("BTC-PERPETUAL"), NOW - DAY, NOW, "1", NOW)
    traded = chart.column("volume") > 0
    average = chart.column("cost")[traded] / chart.column("volume")[traded]
    assert (chart.column("cost") % 10 == 0).all()
    assert (average <= chart.column("high")[traded] * (1 + 1e-3)).all()
    assert (average >= chart.column("low")[traded] * (1 - 1e-3)).all()


def _positions_by_minute(trades: Trades) -> dict[int, list[int]]:
    positions: dict[int, list[int]] = defaultdict(list)
    for position, time in enumerate(trades.time.tolist()):
        positions[time // MINUTE * MINUTE].append(position)
    return positions
