"""Trades as the venue tells them: rows that can be believed, and those that cannot with their reasons."""

from __future__ import annotations

from typing import Any

import pytest

from tapekeeper.model.trade import Trade
from tapekeeper.venues.deribit.trades import VenueTrade, parse_trades
from tests.support.deribit_frames import TIME_MS, trade

RECEIVED = TIME_MS * 1_000 + 250_000


def parsed(**changes: Any) -> VenueTrade:
    answer = parse_trades([trade(**changes)])
    assert answer.rejected == ()
    return answer.trades[0]


def row(**changes: Any) -> Trade:
    return parsed(**changes).as_trade(5, RECEIVED)


def test_a_trade_as_a_row() -> None:
    assert row(liquidation="MT", combo_id="ETH-CS-1", block_trade_id="BLOCK-7") == Trade(
        instrument_id=5,
        event_time=TIME_MS * 1_000,
        received_at=RECEIVED,
        trade_seq=7,
        trade_id="ETH-284830839",
        price=0.0405,
        size=2.0,
        side="sell",
        iv=61.5,
        index_price=3512.25,
        mark_price=0.0403,
        liquidation="MT",
        combo_id="ETH-CS-1",
        block_trade_id="BLOCK-7",
    )


def test_what_the_venue_does_not_tell_is_none() -> None:
    told = row(iv=..., index_price=None, mark_price=...)
    assert (told.iv, told.index_price, told.mark_price) == (None, None, None)
    assert (told.liquidation, told.combo_id, told.block_trade_id) == (None, None, None)


def test_a_volatility_of_zero_and_text_for_numbers_are_none() -> None:
    told = row(iv=0.0, mark_price="expired")
    assert (told.iv, told.mark_price, told.price) == (None, None, 0.0405)


def test_ids_that_come_as_numbers_are_text() -> None:
    told = row(trade_id=403691824, combo_id=43, block_trade_id=9)
    assert (told.trade_id, told.combo_id, told.block_trade_id) == ("403691824", "43", "9")


def test_whole_numbers_in_other_forms_and_unknown_fields() -> None:
    told = parsed(trade_seq=7.0, timestamp=float(TIME_MS), amount=2, a_new_field=[{"of": 2027}])
    assert (told.trade_seq, told.timestamp, told.event_time) == (7, TIME_MS, TIME_MS * 1_000)
    assert told.amount == 2.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": 0}, "price 0.0 is not above zero"),
        ({"price": -0.5}, "price -0.5 is not above zero"),
        ({"price": float("nan")}, "price nan is not above zero"),
        ({"price": float("inf")}, "price inf is not above zero"),
        ({"price": "0.04"}, "Expected `float`, got `str` - at `$.price`"),
        ({"price": ...}, "missing required field `price`"),
        ({"amount": 0}, "amount 0.0 is not above zero"),
        ({"amount": -1.0}, "amount -1.0 is not above zero"),
        ({"amount": float("nan")}, "amount nan is not above zero"),
        ({"trade_seq": ...}, "missing required field `trade_seq`"),
        ({"trade_seq": 0}, "trade_seq 0 is not above zero"),
        ({"trade_seq": 1.5}, "Expected `int`, got `float` - at `$.trade_seq`"),
        ({"trade_seq": 2**63}, "Expected `int` <= 9223372036854775807"),
        ({"trade_id": ...}, "missing required field `trade_id`"),
        ({"trade_id": ""}, "at `$.trade_id`"),
        ({"instrument_name": ""}, "at `$.instrument_name`"),
        ({"direction": "hold"}, "Invalid enum value 'hold' - at `$.direction`"),
    ],
)
def test_a_trade_that_contradicts_itself_is_kept_apart_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    bad = trade(**changes)
    answer = parse_trades([trade(trade_seq=1), bad, trade(trade_seq=2)])
    assert [each.trade_seq for each in answer.trades] == [1, 2]
    (rejected,) = answer.rejected
    assert reason in rejected.reason
    assert rejected.event_time == TIME_MS * 1_000
    assert repr(rejected.row) == repr(bad)


@pytest.mark.parametrize("timestamp", [..., None, "now", -1, 10**15])
def test_a_trade_without_a_time(timestamp: Any) -> None:
    (rejected,) = parse_trades([trade(timestamp=timestamp)]).rejected
    assert rejected.event_time is None
    assert "timestamp" in rejected.reason


@pytest.mark.parametrize("no_trade", [None, 7, "text", [], [1]])
def test_what_is_no_trade_at_all(no_trade: Any) -> None:
    (rejected,) = parse_trades([no_trade]).rejected
    assert rejected.row == {"row": no_trade}


def test_a_combo_is_one_trade_of_its_own_and_may_cost_less_than_nothing() -> None:
    legs = [trade(instrument_name="A", combo_id="C"), trade(instrument_name="B", combo_id="C")]
    combo = parsed(instrument_name="C", price=-0.002, legs=legs)
    assert (combo.instrument_name, combo.price) == ("C", -0.002)
    answer = parse_trades([trade(price=-0.002, legs=[])])
    assert [each.reason for each in answer.rejected] == ["price -0.002 is not above zero"]
