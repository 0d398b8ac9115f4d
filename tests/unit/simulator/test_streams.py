"""What streams say: one world, told by books, tickers, trades and candles alike, and at its time."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pytest

from simulator.chart import COLUMNS
from simulator.data_faults import StopData
from simulator.errors import VenueError
from simulator.instruments import VenueInstrument
from simulator.moments import MINUTE
from tests.unit.simulator.listener import Studio
from tests.unit.simulator.venue import NOW, Venue

SECOND: Final = 1_000


@pytest.fixture
def studio() -> Studio:
    return Studio()


def option_of(studio: Studio, *, position: int = 0) -> VenueInstrument:
    options = [one for one in studio.world.catalogue.live(NOW) if one.kind == "option" and one.base == "ETH"]
    return sorted(options, key=lambda one: -one.trades_per_hundred_days)[position]


def applied(book: dict[str, dict[float, float]], data: Any) -> dict[str, dict[float, float]]:
    """Return a book with the levels of a frame applied, strictly: new must be new, the rest must be there."""
    for side in ("bids", "asks"):
        for action, price, amount in data[side]:
            assert (price in book[side]) == (action != "new")
            if action == "delete":
                assert amount == 0.0
                del book[side][price]
            else:
                book[side][price] = amount
    return book


@pytest.mark.parametrize("name", ["BTC-PERPETUAL", "ETH-PERPETUAL", "option"])
@pytest.mark.parametrize("interval", ["100ms", "agg2"])
def test_a_book_can_be_followed(studio: Studio, name: str, interval: str) -> None:
    name = option_of(studio).name if name == "option" else name
    channel = f"book.{name}.{interval}"
    heard = studio.listen(channel)
    studio.publisher.publish_until(NOW + 10 * SECOND)
    snapshot, *changes = heard.heard(channel)
    assert snapshot["type"] == "snapshot"
    assert "prev_change_id" not in snapshot
    assert len(changes) == pytest.approx(40 if interval == "100ms" else 10, abs=1)
    book, last = applied({"bids": {}, "asks": {}}, snapshot), snapshot["change_id"]
    for change in changes:
        assert (change["type"], change["prev_change_id"]) == ("change", last)
        book, last = applied(book, change), change["change_id"]
        asked = Venue(studio.world).ask("get_order_book", instrument_name=name, depth=50, now=change["timestamp"])
        assert asked["change_id"] == last
        assert asked["bids"] == [[price, book["bids"][price]] for price in sorted(book["bids"], reverse=True)]
        assert asked["asks"] == [[price, book["asks"][price]] for price in sorted(book["asks"])]


def test_books_quotes_tickers_and_the_truth_tell_the_same_changes(studio: Studio) -> None:
    option = option_of(studio)
    channels = [f"book.{option.name}.100ms", f"quote.{option.name}", f"ticker.{option.name}.100ms"]
    channels.append(f"book.{option.name}.none.1.100ms")
    heard = studio.listen(*channels)
    studio.publisher.publish_until(NOW + 10 * SECOND)
    books = studio.world.quotes.books
    truth = books.changes(option, NOW, NOW + 10 * SECOND + 1)
    assert [data["timestamp"] for data in heard.heard(channels[0])[1:]] == truth.time.tolist()
    ids = [books.change_id(option, time) for time in truth.time.tolist()]
    assert [data["change_id"] for data in heard.heard(channels[0])[1:]] == ids
    tops = [
        (quote["timestamp"], quote["best_bid_price"], quote["best_bid_amount"], quote["best_ask_price"])
        for quote in heard.heard(channels[1])[1:]
    ]
    columns = (truth.time, truth.bid_price, truth.bid_amount, truth.ask_price)
    assert tops == list(zip(*(np.nan_to_num(column).tolist() for column in columns), strict=True))
    tickers = heard.heard(channels[2])[1:]
    assert [(one["timestamp"], one["best_bid_price"], one["best_bid_amount"]) for one in tickers] == [
        top[:3] for top in tops
    ]
    windows = heard.heard(channels[3])[1:]
    assert [(one["timestamp"], *one["bids"][0]) for one in windows] == [top[:3] for top in tops]
    assert all("type" not in one and "prev_change_id" not in one for one in windows)


def test_a_window_sums_up_price_steps(studio: Studio) -> None:
    channel = "book.BTC-PERPETUAL.10.10.100ms"
    window = studio.listen(channel).heard(channel)[0]
    asked = Venue(studio.world).ask("get_order_book", instrument_name="BTC-PERPETUAL", depth=50)
    for side in ("bids", "asks"):
        expected: dict[float, float] = {}
        for price, amount in asked[side]:
            step = (math.floor if side == "bids" else math.ceil)(price / 10) * 10.0
            expected[step] = expected.get(step, 0.0) + amount
        assert window[side] == [list(pair) for pair in list(expected.items())[:10]]


def test_a_ticker_is_the_ticker_of_http(studio: Studio) -> None:
    option = option_of(studio)
    names = [option.name, "BTC-PERPETUAL"]
    heard = studio.listen(*(f"ticker.{name}.100ms" for name in names), *(f"ticker.{name}.agg2" for name in names))
    studio.publisher.publish_until(NOW + 3 * SECOND)
    venue = Venue(studio.world)
    for channel, data, moment in heard.told:
        assert data == venue.ask("ticker", instrument_name=channel.split(".")[1], now=moment)
    assert "funding_8h" in heard.heard("ticker.BTC-PERPETUAL.100ms")[0]
    assert "greeks" in heard.heard(f"ticker.{option.name}.agg2")[0]


def test_an_incremental_ticker_adds_up(studio: Studio) -> None:
    channel = "incremental_ticker.ETH-PERPETUAL"
    heard = studio.listen(channel)
    studio.publisher.publish_until(NOW + 5 * SECOND)
    state, *changes = heard.heard(channel)
    assert state["type"] == "snapshot"
    assert len(changes) == 5
    for change in changes:
        assert change["type"] == "change"
        assert len(change) < len(state)
        state |= change
    del state["type"]
    last = heard.told[-1][2]
    assert state == Venue(studio.world).ask("ticker", instrument_name="ETH-PERPETUAL", now=last)


def test_mark_prices_of_a_chain_are_those_of_its_tickers(studio: Studio) -> None:
    channel = "markprice.options.eth_usd"
    heard = studio.listen(channel)
    studio.publisher.publish_until(NOW + 2 * SECOND)
    assert len(heard.heard(channel)) == 3
    last = {row["instrument_name"]: row for row in heard.heard(channel)[-1]}
    live = [one for one in studio.world.catalogue.live(NOW) if one.kind == "option" and one.base == "ETH"]
    assert set(last) == {one.name for one in live}
    for option in live[::40]:
        ticker = Venue(studio.world).ask("ticker", instrument_name=option.name, now=heard.told[-1][2])
        row = last[option.name]
        assert (row["mark_price"], row["iv"]) == pytest.approx((ticker["mark_price"], ticker["mark_iv"]), abs=1e-5)


@pytest.mark.parametrize("interval", ["100ms", "agg2"])
def test_trades_are_the_tape(studio: Studio, interval: str) -> None:
    channel = f"trades.BTC-PERPETUAL.{interval}"
    heard = studio.listen(channel)
    end = NOW // SECOND * SECOND + 5 * MINUTE
    studio.publisher.publish_until(end)
    rows = [row for _, data, _ in heard.told for row in data]
    perpetual = Venue(studio.world).instrument("BTC-PERPETUAL")
    trades = studio.world.tape.between(perpetual, NOW, end + 1)
    assert [row["trade_seq"] for row in rows] == trades.sequence.tolist()
    assert [row["timestamp"] for row in rows] == trades.time.tolist()
    assert [row["price"] for row in rows] == trades.price.tolist()
    for _, data, moment in heard.told:
        assert moment - (0 if interval == "100ms" else SECOND) <= min(row["timestamp"] for row in data)
        assert max(row["timestamp"] for row in data) <= moment


def test_trades_of_a_currency_are_those_of_its_instruments(studio: Studio) -> None:
    options = [one for one in studio.world.catalogue.live(NOW) if one.kind == "option" and one.settlement == "ETH"]
    channel = "trades.option.ETH.100ms"
    heard = studio.listen(channel, *(f"trades.{one.name}.100ms" for one in options))
    studio.publisher.publish_until(NOW + 20 * MINUTE)
    wide = [row for data in heard.heard(channel) for row in data]
    narrow = [row for name, data, _ in heard.told if name != channel for row in data]
    assert len(wide) > 20
    assert sorted(wide, key=lambda row: row["trade_id"]) == sorted(narrow, key=lambda row: row["trade_id"])
    assert [row["timestamp"] for row in wide] == sorted(row["timestamp"] for row in wide)


def test_some_trades_of_options_are_legs_of_combos_and_blocks(studio: Studio) -> None:
    option = option_of(studio)
    rows = Venue(studio.world).ask("get_last_trades_by_instrument", instrument_name=option.name, count=1_000)["trades"]
    combos = {row["combo_id"] for row in rows if "combo_id" in row}
    assert len(combos) == 1
    assert all(studio.world.catalogue.find(combo, NOW) for combo in combos)
    assert all(isinstance(row["combo_trade_id"], str) for row in rows if "combo_id" in row)
    assert any("block_trade_id" in row for row in rows)
    assert not any("block_trade_id" in row and "combo_id" in row for row in rows)


def test_a_tape_that_stops_is_silent() -> None:
    stopped = Studio(facts=(StopData(kind="stop_data", at=NOW + MINUTE),))
    heard = stopped.listen("trades.BTC-PERPETUAL.100ms")
    stopped.publisher.publish_until(NOW + 5 * MINUTE)
    rows = [row for _, data, _ in heard.told for row in data]
    assert rows
    assert max(row["timestamp"] for row in rows) < NOW + MINUTE


def test_candles_are_those_of_http(studio: Studio) -> None:
    channel = "chart.trades.BTC-PERPETUAL.1"
    heard = studio.listen(channel)
    studio.publisher.publish_until(NOW + 5 * MINUTE)
    last: dict[int, Any] = {data["tick"]: data for data in heard.heard(channel)}
    closed = sorted(last)[1:-1]
    asked = Venue(studio.world).candles("BTC-PERPETUAL", closed[0], closed[-1], now=NOW + 5 * MINUTE)
    assert asked["ticks"] == closed
    for position, tick in enumerate(closed):
        assert [last[tick][name] for name in COLUMNS] == [asked[name][position] for name in COLUMNS]
    opened = [moment for _, data, moment in heard.told if moment == data["tick"]]
    assert opened == sorted(last)[1:]


def test_indices_and_noise(studio: Studio) -> None:
    heard = studio.listen("deribit_price_index.btc_usd", "platform_state", "platform_state.public_methods_state")
    studio.publisher.publish_until(NOW + 10 * SECOND)
    index = heard.heard("deribit_price_index.btc_usd")
    assert len(index) == 11
    price = Venue(studio.world).ask("get_index_price", index_name="btc_usd", now=index[-1]["timestamp"])
    assert index[-1]["price"] == price["index_price"]
    noise = heard.heard("platform_state")
    assert len(noise) == pytest.approx(26, abs=1)
    assert {one["locked"] for one in noise} == {False}
    assert heard.heard("platform_state.public_methods_state") == [{"allow_unauthenticated_public_requests": True}]


def test_nothing_comes_from_the_future_and_nothing_comes_twice(studio: Studio) -> None:
    option = option_of(studio)
    heard = studio.listen("quote.BTC-PERPETUAL", "trades.any.any.100ms", f"ticker.{option.name}.100ms")
    for moment in range(NOW, NOW + 20 * SECOND, 333):
        studio.publisher.publish_until(moment)
        newest = max(at for _, _, at in heard.told)
        assert newest <= moment
    ids = [row["trade_id"] for data in heard.heard("trades.any.any.100ms") for row in data]
    assert len(ids) == len(set(ids)) > 0


def test_two_subscribers_share_a_chain_and_leave_one_by_one(studio: Studio) -> None:
    channel = "book.ETH-PERPETUAL.100ms"
    early = studio.listen(channel)
    studio.publisher.publish_until(NOW + SECOND)
    late = Studio(NOW)
    late.publisher, late.listener._publisher = studio.publisher, studio.publisher
    heard = late.listen(channel)
    studio.publisher.publish_until(NOW + 2 * SECOND)
    number = len(heard.heard(channel)) - 1
    assert early.heard(channel)[-number:] == heard.heard(channel)[1:]
    assert heard.heard(channel)[1]["prev_change_id"] == heard.heard(channel)[0]["change_id"]
    studio.publisher.leave(channel, early)
    studio.publisher.publish_until(NOW + 3 * SECOND)
    assert len(heard.heard(channel)) > number + 1
    studio.publisher.leave(channel, heard)
    studio.publisher.publish_until(NOW + 4 * SECOND)
    assert studio.publisher.listeners(channel) == []
    assert studio.publisher.next_at is None


@pytest.mark.parametrize(
    "name",
    [
        "book.ETH-NOTHING.100ms",
        "book.BTC-PERPETUAL.50ms",
        "book.BTC-PERPETUAL.none.7.100ms",
        "book.BTC-PERPETUAL.fine.10.100ms",
        "book.BTC-PERPETUAL",
        "ticker.BTC-PERPETUAL.1s",
        "quote.BTC-PERPETUAL.100ms",
        "trades.option.DOGE.100ms",
        "trades.bond.ETH.100ms",
        "chart.trades.BTC-PERPETUAL.7",
        "chart.quotes.BTC-PERPETUAL.1",
        "markprice.futures.eth_usd",
        "markprice.options.tulip_usd",
        "deribit_price_index.tulip_usd",
        "instrument.death.any.any",
        "platform_state.private",
        "user.trades.any.any.100ms",
        "",
        ".",
    ],
)
def test_an_unknown_channel_is_none(studio: Studio, name: str) -> None:
    assert studio.publisher.find(name) is None


@pytest.mark.parametrize("name", ["book.BTC-PERPETUAL.raw", "trades.ETH-NOTHING.raw", "ticker.BTC-PERPETUAL.raw"])
def test_raw_is_for_those_who_are_logged_in(studio: Studio, name: str) -> None:
    with pytest.raises(VenueError, match="13778"):
        studio.publisher.find(name)
