"""Books: when they change, what stays, and what the truth about them is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.books import FIRST_QUOTE_AFTER, Books, Level, Schedule
from simulator.hashing import uniform_at, uniforms
from simulator.instruments import VenueInstrument
from simulator.market import Market
from simulator.moments import DAY, HOUR, MINUTE
from tests.unit.simulator.venue import NOW, SEED, Venue, steady

NO_QUOTE = Level(0.0, 0.0)


@pytest.fixture(scope="module")
def books() -> Books:
    return Books(Market(SEED), 10.0)


@pytest.fixture(scope="module")
def option(venue: Venue) -> VenueInstrument:
    live = venue.world.catalogue.live(NOW)
    return max((one for one in live if one.kind == "option"), key=lambda one: one.trades_per_hundred_days)


@steady
@given(key=st.integers(0, 2**64 - 1), index=st.integers(0, 2**48))
def test_one_random_number_is_the_same_alone_and_in_a_column(key: int, index: int) -> None:
    assert uniform_at(key, index) == uniforms(key, np.array([index]))[0]


@steady
@given(key=st.integers(0, 2**64 - 1), step=st.integers(100, 30_000), number=st.integers(0, 10**9))
def test_changes_are_at_least_100_ms_apart(key: int, step: int, number: int) -> None:
    schedule = Schedule(key, step)
    time = schedule.time_of(number)
    assert schedule.time_of(number + 1) - time >= 100
    assert time == schedule.times_of(np.array([number]))[0]
    assert schedule.number_at(time) == number
    assert schedule.number_at(time - 1) == number - 1


@pytest.mark.parametrize("rate", [0.2, 1.0, 4.0, 10.0])
def test_the_rate_is_the_one_asked_for(option: VenueInstrument, rate: float) -> None:
    tops = Books(Market(SEED), rate).changes(option, NOW - HOUR, NOW)
    assert len(tops.time) == pytest.approx(3_600 * rate, rel=0.02)


def test_every_change_changes_the_top(books: Books, option: VenueInstrument) -> None:
    tops = books.changes(option, NOW - MINUTE, NOW)
    assert len(tops.time) == 600
    assert tops.differ().all()
    assert (np.diff(tops.number) == 1).all()


def test_the_truth_is_the_top_of_the_book(books: Books, venue: Venue, option: VenueInstrument) -> None:
    for instrument in (option, venue.instrument("BTC-PERPETUAL"), venue.instrument("XRP_USDC-PERPETUAL")):
        tops = books.changes(instrument, NOW - 3_000, NOW)
        for position, number in enumerate(tops.number.tolist()):
            book = books.book(instrument, number)
            assert book == books.at(instrument, int(tops.time[position]))
            told = (tops.bid_price, tops.bid_amount, tops.ask_price, tops.ask_amount)
            bid, ask = (side[0] if side else NO_QUOTE for side in (book.bids, book.asks))
            assert [np.nan_to_num(column[position]) for column in told] == [
                bid.price,
                bid.amount,
                ask.price,
                ask.amount,
            ]
            assert bid.price < ask.price or NO_QUOTE in (bid, ask)


def test_most_levels_stay_as_they_are(books: Books, venue: Venue) -> None:
    perpetual = venue.instrument("ETH-PERPETUAL")
    number = books.schedule(perpetual).number_at(NOW)
    before, after = (set(books.book(perpetual, one).bids) for one in (number, number + 1))
    assert len(before) == len(after) == 25
    assert len(before & after) >= 15


def test_change_ids_grow_and_start_anew_with_the_venue(option: VenueInstrument) -> None:
    books = Books(Market(SEED), 10.0)
    ids = [books.change_id(option, time) for time in range(NOW, NOW + 1_000, 100)]
    assert ids == sorted(set(ids))
    assert min(np.diff(ids)) > 1
    books.restarts.append(NOW + 1_000)
    assert 0 < books.change_id(option, NOW + 1_000) < books.change_id(option, NOW + 1_100) < ids[0]
    assert books.change_id(option, NOW) == ids[0]


def test_a_life_without_quotes_before_and_after(books: Books, option: VenueInstrument) -> None:
    first = books.changes(option, option.listed_at - DAY, option.listed_at + 2 * FIRST_QUOTE_AFTER)
    assert first.time[0] >= option.listed_at + FIRST_QUOTE_AFTER
    assert first.time[0] < option.listed_at + FIRST_QUOTE_AFTER + 100
    assert not books.at(option, int(first.time[0]) - 1).change_id
    last = books.changes(option, option.end - 1_000, option.end + DAY)
    assert option.end - 100 <= last.time[-1] < option.end
    assert books.at(option, option.end).bids == ()


def test_a_combo_has_no_quotes(venue: Venue, books: Books) -> None:
    combo = next(one for one in venue.world.catalogue.live(NOW) if one.legs)
    tops = books.changes(combo, NOW - MINUTE, NOW)
    assert np.isnan(tops.bid_price).all()
    assert len(tops.time) <= 1
