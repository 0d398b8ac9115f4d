"""The tape: pure, contiguous, and within the life of its instrument."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.market import Market
from simulator.moments import DAY, MINUTE
from simulator.tape import Tape
from simulator.world import World
from tests.unit.simulator.venue import NOW, SEED, Venue, steady

INSTRUMENTS = st.sampled_from(
    ["BTC-PERPETUAL", "ETH-PERPETUAL", "PAXG_USDC-PERPETUAL", "XRP_USDC-PERPETUAL", "BTC-26JUN26", "BTC_USDC"]
)
DAYS_AGO = st.integers(0, 60)


@steady
@given(name=INSTRUMENTS, days_ago=DAYS_AGO)
def test_a_day_is_a_pure_function_of_seed_instrument_and_day(world: World, name: str, days_ago: int) -> None:
    instrument, day = Venue(world).instrument(name), NOW // DAY - days_ago
    known, fresh = world.tape.day(instrument, day), Tape(Market(SEED)).day(instrument, day)
    assert known.first_sequence == fresh.first_sequence
    for column in ("time", "price", "amount", "is_buy"):
        assert np.array_equal(getattr(known, column), getattr(fresh, column))


def test_another_seed_makes_another_tape(world: World) -> None:
    instrument, day = Venue(world).instrument("BTC-PERPETUAL"), NOW // DAY
    other = Tape(Market(SEED + 1)).day(instrument, day)
    assert not np.array_equal(other.time, world.tape.day(instrument, day).time)


@steady
@given(name=INSTRUMENTS, days_ago=DAYS_AGO)
def test_days_join_without_a_hole_in_the_sequence(world: World, name: str, days_ago: int) -> None:
    instrument, day = Venue(world).instrument(name), NOW // DAY - days_ago
    before, after = world.tape.day(instrument, day - 1), world.tape.day(instrument, day)
    assert after.first_sequence == before.first_sequence + len(before)


@steady
@given(name=INSTRUMENTS, start=st.integers(NOW - 40 * DAY, NOW), length=st.integers(0, 3 * DAY))
def test_a_window_holds_the_trades_of_its_days_and_no_others(world: World, name: str, start: int, length: int) -> None:
    instrument = Venue(world).instrument(name)
    window = world.tape.between(instrument, start, start + length)
    days = [world.tape.day(instrument, day) for day in range(start // DAY, (start + length) // DAY + 1)]
    times = np.concatenate([day.time for day in days])
    assert np.array_equal(window.time, times[(times >= start) & (times < start + length)])


@steady
@given(name=INSTRUMENTS, sequence=st.integers(1, 5_000))
def test_the_day_of_a_trade_is_known_from_its_sequence_number(world: World, name: str, sequence: int) -> None:
    instrument = Venue(world).instrument(name)
    if sequence <= instrument.trades_before(instrument.expires_at):
        trades = world.tape.day(instrument, instrument.day_of_trade(sequence))
        assert trades.first_sequence <= sequence < trades.first_sequence + len(trades)


@steady
@given(name=INSTRUMENTS, days_ago=DAYS_AGO)
def test_prices_are_on_the_tick_grid_and_amounts_are_whole_lots(world: World, name: str, days_ago: int) -> None:
    instrument = Venue(world).instrument(name)
    trades = world.tape.day(instrument, NOW // DAY - days_ago)
    assert (np.diff(trades.time) >= 0).all()
    for values, unit in ((trades.price, instrument.tick_size), (trades.amount, instrument.min_trade_amount)):
        assert (values > 0).all()
        assert np.allclose(values / unit, np.rint(values / unit), rtol=0, atol=1e-6)


def test_a_full_day_has_its_fixed_number_of_trades(venue: Venue) -> None:
    bitcoin = venue.instrument("BTC-PERPETUAL")
    lengths = {len(venue.world.tape.day(bitcoin, NOW // DAY - days_ago)) for days_ago in range(5)}
    assert lengths == {4_320}


def test_the_first_trade_falls_on_the_listing(venue: Venue) -> None:
    for name in ("BTC-PERPETUAL", "ETH-PERPETUAL", "PAXG_USDC-PERPETUAL"):
        instrument = venue.instrument(name)
        first = venue.world.tape.select(instrument, 1, 1)
        assert first.time.tolist() == [instrument.listed_at]
        assert venue.world.tape.count_before(instrument, instrument.listed_at) == 0


def test_some_trades_share_a_millisecond(venue: Venue) -> None:
    trades = venue.world.tape.day(venue.instrument("BTC-PERPETUAL"), NOW // DAY - 1)
    assert (np.diff(trades.time) == 0).sum() > 100


def test_an_instrument_that_seldom_trades_has_days_without_a_trade(venue: Venue) -> None:
    quiet = venue.instrument("PAXG_USDC-PERPETUAL")
    lengths = [len(venue.world.tape.day(quiet, NOW // DAY - days_ago)) for days_ago in range(20)]
    assert 0 in lengths
    assert 1 in lengths


def test_the_price_does_not_jump_over_midnight(venue: Venue) -> None:
    bitcoin = venue.instrument("BTC-PERPETUAL")
    for day in range(NOW // DAY - 30, NOW // DAY):
        midnight = day * DAY
        around = venue.world.tape.between(bitcoin, midnight - 2 * MINUTE, midnight + 2 * MINUTE)
        assert around.price.max() / around.price.min() < 1.01


def test_an_instrument_that_is_settled_early_keeps_the_trades_it_had(venue: Venue) -> None:
    bitcoin = venue.instrument("BTC-26JUN26")
    settled = bitcoin.settled(NOW)
    tape = venue.world.tape
    count = tape.count_before(bitcoin, NOW)
    assert tape.count_before(settled, NOW + DAY) == count
    assert np.array_equal(tape.select(settled, count - 9, count).time, tape.select(bitcoin, count - 9, count).time)
