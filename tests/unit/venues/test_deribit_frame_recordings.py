"""Recorded frames of the venue, read from the folder that TAPEKEEPER_PAYLOADS names."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tapekeeper.venues.deribit.book import Book, TopChange
from tapekeeper.venues.deribit.messages import BookMessage, TickerMessage, TradesMessage, Unknown, decode
from tapekeeper.venues.deribit.trades import parse_trades
from tests.support.payloads import recorded


def recorded_lines() -> list[bytes]:
    return recorded("deribit_tardis/deribit_messages.jsonl").read_bytes().splitlines()


def data_of(frame: bytes) -> Any:
    return orjson.loads(frame)["params"]["data"]


def number(value: Any) -> float | None:
    return value or None


def test_all_recorded_lines_say_what_they_say() -> None:
    lines = recorded_lines()
    kinds = [type(decode(line)) for line in lines]
    assert len(kinds) == 18
    assert (kinds.count(TradesMessage), kinds.count(BookMessage), kinds.count(TickerMessage)) == (3, 4, 10)
    assert kinds.count(Unknown) == 1
    for line in lines:
        message, data = decode(line), data_of(line)
        if isinstance(message, TickerMessage):
            assert_ticker(message, data)
        elif isinstance(message, BookMessage):
            assert message.event_time == data["timestamp"] * 1_000
            assert [list(level) for level in message.bids + message.asks] == data["bids"] + data["asks"]
            assert (message.change_id, message.prev_change_id) == (data["change_id"], data.get("prev_change_id"))
        elif isinstance(message, TradesMessage):
            assert_trades(message, data)


def assert_ticker(message: TickerMessage, data: Any) -> None:
    assert (message.instrument_name, message.event_time) == (data["instrument_name"], data["timestamp"] * 1_000)
    told = (message.bid_price, message.bid_size, message.ask_price, message.ask_size)
    sides = ("best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount")
    assert told == tuple(number(data[name]) for name in sides)
    assert (message.bid_iv, message.ask_iv) == (number(data.get("bid_iv")), number(data.get("ask_iv")))
    assert (message.mark_price, message.mark_iv) == (data["mark_price"], data.get("mark_iv"))
    assert (message.underlying_price, message.index_price) == (data.get("underlying_price"), data["index_price"])
    assert (message.open_interest, message.state) == (data["open_interest"], data["state"])


def assert_trades(message: TradesMessage, data: Any) -> None:
    assert message.rejected == ()
    for told, row in zip(message.trades, data, strict=True):
        assert (told.trade_seq, told.trade_id, told.timestamp) == (row["trade_seq"], row["trade_id"], row["timestamp"])
        assert (told.price, told.amount, told.direction) == (row["price"], row["amount"], row["direction"])
        assert (told.liquidation, told.index_price) == (row.get("liquidation"), row["index_price"])


def test_the_ticker_of_an_expiry() -> None:
    message = decode(recorded_lines()[6])
    assert isinstance(message, TickerMessage)
    assert (message.state, message.ask_iv, message.bid_iv, message.mark_price) == ("closed", 500.0, None, 0.0)


def test_the_odd_frames_of_books_begin_one() -> None:
    listed, snapshot = (decode(line) for line in recorded_lines()[12:14])
    assert isinstance(listed, BookMessage)
    assert isinstance(snapshot, BookMessage)
    assert (listed.is_snapshot, snapshot.is_snapshot) == (False, True)
    top = Book().apply(listed, listed.event_time)
    assert top == TopChange(listed.event_time, 14617771529, 0.019, 93.0, 0.037, 93.0)
    top = Book().apply(snapshot, snapshot.event_time)
    assert top == TopChange(snapshot.event_time, 1232767964, 7.562, 34.0, None, None)


def test_the_book_of_2019_has_no_type() -> None:
    snapshot, change = (decode(line) for line in recorded_lines()[2:4])
    assert isinstance(snapshot, BookMessage)
    assert isinstance(change, BookMessage)
    assert (snapshot.is_snapshot, change.is_snapshot) == (True, False)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ws_ticker.json", TickerMessage),
        ("ws_trades.json", TradesMessage),
        ("ws_trades_option_combo.json", TradesMessage),
        ("ws_quote.json", Unknown),
        ("ws_chart.json", Unknown),
        ("ws_volatility_index.json", Unknown),
    ],
)
def test_frames_of_a_newer_recording(name: str, kind: type) -> None:
    frame = (recorded("deribit_nautilus") / name).read_bytes()
    message = decode(frame)
    assert type(message) is kind
    if isinstance(message, TradesMessage):
        assert_trades(message, data_of(frame))
    elif isinstance(message, TickerMessage):
        assert_ticker(message, data_of(frame))
    else:
        assert message == Unknown(orjson.loads(frame)["params"]["channel"])


@pytest.mark.parametrize(
    ("name", "combos", "legs"),
    [
        ("http_get_last_trades.json", 0, 0),
        ("http_get_last_trades_perpetual_with_combo_tags.json", 0, 7),
        ("http_get_last_trades_option_combo.json", 1, 0),
        ("http_get_last_trades_future_combo.json", 3, 0),
    ],
)
def test_recorded_answers_of_trades(name: str, combos: int, legs: int) -> None:
    rows = orjson.loads((recorded("deribit_nautilus") / name).read_bytes())["result"]["trades"]
    answer = parse_trades(rows)
    assert answer.rejected == ()
    assert [each.trade_id for each in answer.trades] == [row["trade_id"] for row in rows]
    assert sum(each.legs is not None for each in answer.trades) == combos
    assert sum(each.combo_id is not None for each in answer.trades) == legs
