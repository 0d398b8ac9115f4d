"""Frames become messages, however the venue writes them; what is none is a ParseFailure and nothing else."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import ParseFailure
from tapekeeper.venues.deribit import messages
from tapekeeper.venues.deribit.messages import (
    BookMessage,
    Heartbeat,
    InstrumentCreatedMessage,
    InstrumentStateMessage,
    PlatformStateMessage,
    Reply,
    TestRequest,
    TickerMessage,
    TradesMessage,
    Unknown,
    VenueError,
    decode,
)
from tests.support.deribit_answers import OPTION
from tests.support.deribit_frames import NAME, TIME_MS, book, notification, ticker, trade

BOOK = f"book.{NAME}.100ms"
TICKER = f"ticker.{NAME}.100ms"
TRADES = f"trades.{NAME}.100ms"


def decoded_ticker(**changes: Any) -> TickerMessage:
    message = decode(notification(TICKER, ticker(**changes)))
    assert isinstance(message, TickerMessage)
    return message


def decoded_book(data: dict[str, Any]) -> BookMessage:
    message = decode(notification(BOOK, data))
    assert isinstance(message, BookMessage)
    return message


def decoded_trades(*rows: Any, channel: str = TRADES) -> TradesMessage:
    message = decode(notification(channel, rows))
    assert isinstance(message, TradesMessage)
    return message


def test_a_ticker() -> None:
    message = decoded_ticker()
    assert message.instrument_name == NAME
    assert message.event_time == TIME_MS * 1_000
    assert message.state == "open"
    assert (message.bid_price, message.bid_size, message.ask_price, message.ask_size) == (0.04, 12.0, 0.041, 3.0)
    assert (message.mark_price, message.underlying_price, message.index_price) == (0.0403, 3520.5, 3512.25)
    assert (message.mark_iv, message.bid_iv, message.ask_iv, message.open_interest) == (61.2, 60.9, 62.0, 120.0)


@pytest.mark.parametrize("nothing", [{"price": 0.0, "amount": 0.0}, {"price": None, "amount": None}, {"amount": 0}])
@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_side_without_an_order_has_neither_price_nor_size(side: str, nothing: dict[str, Any]) -> None:
    message = decoded_ticker(**{f"best_{side}_{name}": value for name, value in nothing.items()})
    sides = {"bid": (message.bid_price, message.bid_size), "ask": (message.ask_price, message.ask_size)}
    assert sides.pop(side) == (None, None)
    assert None not in next(iter(sides.values()))


def test_volatilities_of_zero_are_none_and_a_mark_price_of_zero_is_a_value() -> None:
    message = decoded_ticker(mark_iv=0.0, bid_iv=0, ask_iv=0.0, mark_price=0.0, open_interest=0.0)
    assert (message.mark_iv, message.bid_iv, message.ask_iv) == (None, None, None)
    assert (message.mark_price, message.open_interest) == (0.0, 0.0)


def test_a_price_below_zero_is_a_price_of_a_combo() -> None:
    assert decoded_ticker(best_bid_price=-7.0).bid_price == -7.0


def test_text_in_the_place_of_numbers_costs_those_numbers_alone() -> None:
    message = decoded_ticker(
        estimated_delivery_price="expired", mark_price="expired", best_bid_price="expired", state="delivered"
    )
    assert (message.mark_price, message.bid_price, message.bid_size) == (None, None, None)
    assert (message.ask_price, message.open_interest, message.state) == (0.041, 120.0, "delivered")


def test_what_is_missing_null_or_new_is_survived() -> None:
    message = decoded_ticker(
        stats=None, greeks=..., mark_iv=..., open_interest=None, underlying_price=..., a_new_field={"of": ["2027"]}
    )
    assert (message.mark_iv, message.open_interest, message.underlying_price) == (None, None, None)
    assert message.mark_price == 0.0403


@pytest.mark.parametrize("form", [b"1718452800123", b"1718452800123.0", b"1.718452800123e12"])
def test_times_in_every_form_of_a_number(form: bytes) -> None:
    frame = notification(TICKER, ticker()).replace(b"1718452800123", form)
    message = decode(frame.replace(b"0.0403", b"4.03e-2").replace(b"120.0", b"1.2e2"))
    assert isinstance(message, TickerMessage)
    assert (message.timestamp, message.mark_price, message.open_interest) == (TIME_MS, 0.0403, 120.0)


def test_a_book_in_every_form_of_a_number() -> None:
    levels = {"bids": [["new", 2200, 1054.0]], "asks": [["delete", 2.2e3, 0]]}
    frame = notification(BOOK, book(12, 11, **levels)).replace(b'"change_id":12', b'"change_id":1.2e1')
    message = decode(frame)
    assert isinstance(message, BookMessage)
    assert (message.change_id, message.prev_change_id, message.is_snapshot) == (12, 11, False)
    assert (message.bids, message.asks) == ([("new", 2200.0, 1054.0)], [("delete", 2200.0, 0.0)])


@pytest.mark.parametrize(
    ("data", "is_snapshot"),
    [
        (book(5, None), True),
        (book(5, 4), False),
        (book(5, 0), False),
        (book(5, 20, type="snapshot"), True),
        ({name: value for name, value in book(5, None).items() if name != "type"}, True),
        ({name: value for name, value in book(5, 4).items() if name != "type"}, False),
        (book(5, None, type="change"), False),
    ],
)
def test_what_a_snapshot_is(data: dict[str, Any], is_snapshot: bool) -> None:
    assert decoded_book(data).is_snapshot is is_snapshot


def test_keys_in_another_order_and_with_spaces() -> None:
    envelope = orjson.loads(notification(BOOK, book(5, 4)))
    turned = {"params": dict(reversed(envelope["params"].items())), "method": "subscription", "jsonrpc": "2.0"}
    assert decode(orjson.dumps(turned, option=orjson.OPT_INDENT_2)) == decoded_book(book(5, 4))


def test_trades_are_sorted_by_their_numbers() -> None:
    message = decoded_trades(*(trade(trade_seq=number) for number in (9, 7, 8)))
    assert [each.trade_seq for each in message.trades] == [7, 8, 9]
    assert message.rejected == ()


def test_trades_of_many_instruments_in_one_channel() -> None:
    message = decoded_trades(trade(), trade(instrument_name="B"), channel="trades.option.ETH.100ms")
    assert [each.instrument_name for each in message.trades] == [NAME, "B"]


@pytest.mark.parametrize("bad", [trade(price=0), trade(trade_seq=...), "no trade"])
def test_a_trade_that_cannot_be_believed_does_not_cost_the_others(bad: Any) -> None:
    message = decoded_trades(trade(trade_seq=8), bad, trade(trade_seq=7))
    assert [each.trade_seq for each in message.trades] == [7, 8]
    assert len(message.rejected) == 1


def test_a_state_and_a_new_instrument() -> None:
    state = {"timestamp": TIME_MS, "state": "settlement", "instrument_name": NAME}
    message = decode(notification("instrument.state.option.ETH", state))
    assert isinstance(message, InstrumentStateMessage)
    assert (message.instrument_name, message.state, message.event_time) == (NAME, "settlement", TIME_MS * 1_000)
    created = decode(notification("instrument.creation.any.any", OPTION))
    assert isinstance(created, InstrumentCreatedMessage)
    assert (created.instrument.name, created.instrument.kind) == ("XRP_USDC-21SEP26-1d25-C", "option")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"maintenance": True}, PlatformStateMessage(maintenance=True)),
        ({"price_index": "eth_usd", "locked": False}, PlatformStateMessage(locked=False, price_index="eth_usd")),
        ({"price_index": "x", "locked": True, "reasons": [1]}, PlatformStateMessage(locked=True, price_index="x")),
    ],
)
def test_the_state_of_the_platform(data: dict[str, Any], expected: PlatformStateMessage) -> None:
    assert decode(notification("platform_state", data)) == expected


@pytest.mark.parametrize(
    "channel",
    ["quote.X", "book.X.none.10.100ms", "chart.trades.X.1", "platform_state.public_methods_state", "a.new.channel"],
)
def test_channels_that_nobody_reads(channel: str) -> None:
    assert decode(notification(channel, {"anything": [1, 2]})) == Unknown(channel)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}', Heartbeat()),
        (b'{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}', TestRequest()),
        (b'{"jsonrpc":"2.0","method":"something_new","params":{}}', Unknown("something_new")),
        (b'{"jsonrpc":"2.0","id":3,"result":["a"],"usIn":1,"usOut":2,"testnet":false}', Reply(3, ["a"])),
        (b'{"jsonrpc":"2.0","result":null,"id":3}', Reply(3, None)),
        (
            b'{"jsonrpc":"2.0","error":{"code":11050,"message":"bad_request","data":"invalid json"}}',
            Reply(None, error=VenueError(11050, "bad_request", "invalid json")),
        ),
        (
            b'{"id":4,"error":{"code":13778,"message":"raw_subscriptions_not_available_for_unauthorized"}}',
            Reply(4, error=VenueError(13778, "raw_subscriptions_not_available_for_unauthorized")),
        ),
    ],
)
def test_what_is_no_data(frame: bytes, expected: messages.Message) -> None:
    assert decode(frame) == expected


BAD_FRAMES = [
    b"",
    b"<html>",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"{}",
    b'{"jsonrpc":"2.0","id":1}',
    b'{"method":"subscription"}',
    b'{"method":"subscription","params":{"channel":"ticker.X.100ms"}}',
    b'{"method":"subscription","params":{"channel":7,"data":{}}}',
    b'{"method":"subscription","params":[]}',
    b'{"id":1,"result":' + b"[" * 100_000,
    notification(TICKER, ticker())[:-20],
    notification(TICKER, ticker()).replace(b"0.0403", b"NaN"),
    notification(TICKER, ticker()).replace(b"0.0403", b"1e999"),
    notification(TICKER, ticker()).replace(NAME.encode(), b"\xff"),
    notification(TICKER, ticker(timestamp=None)),
    notification(TICKER, ticker(timestamp=-1)),
    notification(TICKER, ticker(timestamp=1.5)),
    notification(TICKER, ticker(timestamp=10**15)),
    notification(TICKER, ticker(instrument_name="")),
    notification(TICKER, [ticker()]),
    notification(BOOK, book(1, None, bids=[["new", "100", 1.0]])),
    notification(BOOK, book(1, None, bids=[["moved", 100.0, 1.0]])),
    notification(BOOK, book(1, None, asks=[[100.0, 1.0]])),
    notification(BOOK, book(1, None, type="merge")),
    notification(BOOK, book(-1, None)),
    notification(TRADES, {"trades": []}),
    notification("instrument.creation.any.any", {"kind": "lottery"}),
    notification("instrument.state.any.any", {"timestamp": TIME_MS}),
]


@pytest.mark.parametrize("frame", BAD_FRAMES)
def test_what_is_no_message_is_a_parse_failure(frame: bytes) -> None:
    with pytest.raises(ParseFailure, match="frame of Deribit"):
        decode(frame)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=8,
)
FIELDS = sorted({*ticker(), *trade(), *book(1, 0)})


@given(
    channel=st.sampled_from(
        [BOOK, TICKER, TRADES, "platform_state", "instrument.state.a.b", "instrument.creation.a.b"]
    ),
    changes=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3),
    base=st.sampled_from([book(5, 4), ticker(), trade()]),
    listed=st.booleans(),
)
def test_no_value_anywhere_raises_anything_else(
    channel: str, changes: dict[str, Any], base: dict[str, Any], listed: bool
) -> None:
    data = base | changes
    envelope = {"method": "subscription", "params": {"channel": channel, "data": [data] if listed else data}}
    # Python's own writer also writes NaN, lone surrogates and whole numbers of any size.
    frame = json.dumps(envelope).encode()
    try:
        message = decode(frame)
    except ParseFailure:
        return
    if isinstance(message, TradesMessage):
        assert len(message.trades) + len(message.rejected) == 1


@given(frame=st.binary(max_size=40))
def test_no_bytes_raise_anything_else(frame: bytes) -> None:
    with pytest.raises(ParseFailure):
        decode(frame)
