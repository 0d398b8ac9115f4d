"""Books, tickers and summaries: what a quote looks like, and what the lack of one looks like."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.black import value
from simulator.errors import VenueError
from simulator.moments import DAY
from tests.unit.simulator.venue import NOW, Venue


def test_bids_are_below_asks_on_the_tick_grid(venue: Venue) -> None:
    for name in ("BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL", "BTC-26JUN26", "BTC_USDC"):
        book = venue.ask("get_order_book", instrument_name=name, depth=20)
        bids, asks = [level[0] for level in book["bids"]], [level[0] for level in book["asks"]]
        tick = venue.instrument(name).tick_size
        assert len(bids) == len(asks) == 20
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
        assert np.allclose(np.array(bids + asks) / tick, np.rint(np.array(bids + asks) / tick), atol=1e-6)
        assert (book["best_bid_price"], book["best_bid_amount"]) == tuple(book["bids"][0])
        assert (book["best_ask_price"], book["best_ask_amount"]) == tuple(book["asks"][0])


def test_an_unknown_depth_is_refused(venue: Venue) -> None:
    with pytest.raises(VenueError, match="-32602"):
        venue.ask("get_order_book", instrument_name="BTC-PERPETUAL", depth=3)


def test_a_missing_quote_is_zero_in_a_ticker_and_null_in_a_summary(venue: Venue) -> None:
    summaries = venue.ask("get_book_summary_by_currency", currency="BTC", kind="option")
    without_bid = next(row for row in summaries if row["bid_price"] is None and row["last"] is None)
    assert without_bid["mid_price"] is None
    row = venue.ask("ticker", instrument_name=without_bid["instrument_name"])
    assert (row["best_bid_price"], row["best_bid_amount"], row["bid_iv"]) == (0.0, 0.0, 0.0)
    assert row["last_price"] is None
    assert set(row["stats"].values()) == {None}


def test_a_summary_is_made_every_two_seconds(venue: Venue) -> None:
    even = NOW // 2_000 * 2_000
    method = "get_book_summary_by_currency"
    made = [venue.ask(method, now=now, currency="USDC", kind="future") for now in (even, even + 1_999, even + 2_000)]
    assert made[0] == made[1]
    assert [rows[0]["creation_timestamp"] for rows in made] == [even, even, even + 2_000]


@pytest.mark.parametrize(("currency", "reason"), [("any", "invalid currency"), (None, "missing required parameter")])
def test_a_summary_of_any_currency_is_refused(venue: Venue, currency: str | None, reason: str) -> None:
    with pytest.raises(VenueError) as caught:
        venue.ask("get_book_summary_by_currency", currency=currency)
    assert caught.value.data == {"reason": reason, "param": "currency"}


def test_an_expired_option_says_so_with_text_in_a_number(venue: Venue) -> None:
    expired = next(one for one in venue.world.catalogue.expired(NOW) if one.kind == "option")
    row = venue.ask("ticker", instrument_name=expired.name)
    assert (row["state"], row["estimated_delivery_price"], row["timestamp"]) == ("closed", "expired", expired.end)
    assert row["delivery_price"] > 0
    assert (row["best_bid_price"], row["best_ask_price"]) == (0.0, 0.0)


def test_statistics_are_those_of_the_last_day_of_the_tape(venue: Venue) -> None:
    row = venue.ask("ticker", instrument_name="ETH-PERPETUAL")
    chart = venue.candles("ETH-PERPETUAL", NOW // 60_000 * 60_000 - DAY + 60_000, NOW)
    assert row["stats"]["high"] >= max(chart["high"])
    assert row["stats"]["low"] <= min(chart["low"])
    assert row["last_price"] == chart["close"][-1]


def test_open_interest_orders_the_options(venue: Venue) -> None:
    summaries = venue.ask("get_book_summary_by_currency", currency="ETH", kind="option")
    interests = sorted((row["open_interest"] for row in summaries), reverse=True)
    assert interests[0] > 3 * interests[len(interests) // 2] > 0


def test_calls_and_puts_of_a_strike_are_in_parity() -> None:
    forward, years, volatility = np.array([100.0, 120.0]), np.array([0.5, 0.1]), np.array([0.6, 0.8])
    call, put = (value(forward, 110.0, years, volatility, is_call=is_call) for is_call in (True, False))
    assert np.allclose(call.price - put.price, forward - 110.0, atol=1e-9)
    assert np.allclose(call.delta - put.delta, 1.0)
    assert call.price[0] == pytest.approx(13.07, abs=0.05)


def test_an_index_is_told_by_its_name(venue: Venue) -> None:
    assert "btc_usd" in venue.ask("get_index_price_names")
    price = venue.ask("get_index_price", index_name="btc_usd")["index_price"]
    assert price == venue.ask("ticker", instrument_name="BTC-PERPETUAL")["index_price"]
    with pytest.raises(VenueError, match="-32602"):
        venue.ask("get_index_price", index_name="tulip_usd")
