"""Faults planted in the data: where they were planted, nowhere else, and gone when they are cleared."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.data_faults import MissingTrades, RetoldTrades
from simulator.fault_basics import Fault
from simulator.moments import DAY, MINUTE
from tests.unit.simulator.listener import Studio
from tests.unit.simulator.venue import NOW, Venue

TICK = NOW // DAY * DAY - DAY
BITCOIN = "BTC-PERPETUAL"
SECOND_CANDLE = [TICK + 2 * MINUTE]
PRICES = ("open", "high", "low", "close")


def five(venue: Venue, *faults: dict[str, Any]) -> Any:
    return venue.candles(BITCOIN, TICK, TICK + 4 * MINUTE, faults=list(faults))


def by_sequence(venue: Venue, first: int, last: int, *faults: dict[str, Any], count: int = 1_000) -> Any:
    return venue.ask(
        "get_last_trades_by_instrument",
        instrument_name=BITCOIN,
        start_seq=first,
        end_seq=last,
        count=count,
        faults=list(faults),
    )


def sequences(answer: Any) -> list[int]:
    return [trade["trade_seq"] for trade in answer["trades"]]


def test_candles_are_left_out_of_an_answer(venue: Venue) -> None:
    told = five(venue, {"kind": "left_out_candles", "open_times": SECOND_CANDLE})
    truth = five(venue)
    assert told["ticks"] == [tick for tick in truth["ticks"] if tick not in SECOND_CANDLE]
    assert told["close"] == truth["close"][:2] + truth["close"][3:]


def test_an_answer_of_which_all_is_left_out_has_no_data(venue: Venue) -> None:
    told = five(venue, {"kind": "left_out_candles", "fraction": 1.0})
    assert (told["status"], told["ticks"], told["volume"]) == ("no_data", [], [])


def test_a_wrong_volume_changes_nothing_else(venue: Venue) -> None:
    truth = five(venue)
    told = five(venue, {"kind": "wrong_volume", "open_times": SECOND_CANDLE, "factor": 3.0})
    for name in ("volume", "cost"):
        assert told[name] == [*truth[name][:2], truth[name][2] * 3.0, *truth[name][3:]]
    assert {**told, "volume": 0, "cost": 0} == {**truth, "volume": 0, "cost": 0}
    assert truth["volume"][2] > 0


def test_a_price_jump_is_a_candle_that_contradicts_only_its_neighbours(venue: Venue) -> None:
    truth = five(venue)
    told = five(venue, {"kind": "price_jump", "open_times": SECOND_CANDLE})
    for name in PRICES:
        assert told[name] == [*truth[name][:2], truth[name][2] * 2.0, *truth[name][3:]]
    assert told["low"][2] <= min(told["open"][2], told["close"][2])
    assert told["volume"] == truth["volume"]


def test_candles_come_twice(venue: Venue) -> None:
    truth = five(venue)
    told = five(venue, {"kind": "duplicated_rows", "open_times": SECOND_CANDLE})
    for name in ("ticks", "close", "volume"):
        assert told[name] == [*truth[name][:3], *truth[name][2:]]


@pytest.mark.parametrize("kind", ["left_out_candles", "wrong_volume", "price_jump", "duplicated_rows"])
def test_without_a_choice_it_is_the_middle_candle(venue: Venue, kind: str) -> None:
    assert five(venue, {"kind": kind}) == five(venue, {"kind": kind, "open_times": SECOND_CANDLE})


def test_a_fraction_is_the_same_in_every_answer_and_another_for_each_kind(venue: Venue) -> None:
    window = {"fraction": 0.1, "start": TICK + 200 * MINUTE, "end": TICK + 900 * MINUTE}
    truth = venue.candles(BITCOIN, TICK, TICK + 999 * MINUTE)["ticks"]
    left_out = [{"kind": "left_out_candles", **window}]
    wide = venue.candles(BITCOIN, TICK, TICK + 999 * MINUTE, faults=left_out)["ticks"]
    part = venue.candles(BITCOIN, TICK + 500 * MINUTE, TICK + 999 * MINUTE, faults=left_out)["ticks"]
    gone = set(truth) - set(wide)
    assert 40 < len(gone) < 110
    assert window["start"] <= min(gone) < max(gone) < window["end"]
    assert part == [tick for tick in wide if tick >= TICK + 500 * MINUTE]
    doubled = venue.candles(BITCOIN, TICK, TICK + 999 * MINUTE, faults=[{"kind": "duplicated_rows", **window}])["ticks"]
    assert {tick for tick in doubled if doubled.count(tick) == 2} != gone


def test_missing_trades_make_the_numbers_jump_whoever_asks(venue: Venue) -> None:
    gone = {"kind": "missing_trades", "instrument": BITCOIN, "trade_seqs": [9_003, 9_004]}
    answer = by_sequence(venue, 9_000, 9_006, gone)
    assert sequences(answer) == [9_000, 9_001, 9_002, 9_005, 9_006]
    assert sequences(by_sequence(venue, 9_003, 9_004, gone)) == []
    assert sequences(by_sequence(venue, 9_003, 9_004)) == [9_003, 9_004], "healed"
    by_time = venue.ask(
        "get_last_trades_by_instrument_and_time",
        instrument_name=BITCOIN,
        start_timestamp=answer["trades"][0]["timestamp"],
        end_timestamp=answer["trades"][-1]["timestamp"],
        count=1_000,
        faults=[gone],
    )
    assert not {9_003, 9_004} & set(sequences(by_time))
    assert set(sequences(answer)) <= set(sequences(by_time))


def test_a_page_counts_trades_that_are_told(venue: Venue) -> None:
    gone = {"kind": "missing_trades", "fraction": 0.4}
    whole = by_sequence(venue, 9_000, 9_999, gone)
    first = by_sequence(venue, 9_000, 9_999, gone, count=100)
    assert 520 < len(whole["trades"]) < 680
    assert (sequences(first), first["has_more"]) == (sequences(whole)[:100], True)
    assert whole["has_more"] is False


def test_missing_trades_are_missing_in_the_trades_of_a_currency(venue: Venue) -> None:
    asked: dict[str, Any] = {
        "currency": "ETH",
        "start_timestamp": NOW - 5 * MINUTE,
        "end_timestamp": NOW,
        "count": 1_000,
    }
    truth = venue.ask("get_last_trades_by_currency_and_time", **asked)["trades"]
    first, _, third, *_ = (trade for trade in truth if trade["instrument_name"] == "ETH-PERPETUAL")
    numbers = [first["trade_seq"], third["trade_seq"]]
    gone = [{"kind": "missing_trades", "instrument": "ETH-PERPETUAL", "trade_seqs": numbers}]
    told = venue.ask("get_last_trades_by_currency_and_time", **asked, faults=gone)["trades"]
    expected = [trade["trade_id"] for trade in truth if trade not in (first, third)]
    assert [trade["trade_id"] for trade in told] == expected
    newest = venue.ask("get_last_trades_by_currency_and_time", **{**asked, "count": 30, "sorting": "desc"}, faults=gone)
    assert [trade["trade_id"] for trade in newest["trades"][::-1]] == expected[-30:]


def test_a_trade_is_told_twice_with_another_time(venue: Venue) -> None:
    twice = {"kind": "retold_trades", "trade_seqs": [9_002], "shift": -700}
    truth, told = by_sequence(venue, 9_000, 9_004)["trades"], by_sequence(venue, 9_000, 9_004, twice)["trades"]
    assert told == [*truth[:3], {**truth[2], "timestamp": truth[2]["timestamp"] - 700}, *truth[3:]]


def test_an_answer_by_time_tells_no_other_time(venue: Venue) -> None:
    [trade] = by_sequence(venue, 9_002, 9_002)["trades"]
    told = venue.ask(
        "get_last_trades_by_instrument_and_time",
        instrument_name=BITCOIN,
        start_timestamp=trade["timestamp"],
        end_timestamp=trade["timestamp"],
        count=1_000,
        faults=[{"kind": "retold_trades", "trade_seqs": [9_002]}],
    )
    assert sequences(told).count(9_002) == 1


def test_trades_come_twice_in_one_answer(venue: Venue) -> None:
    truth = by_sequence(venue, 9_000, 9_004)["trades"]
    told = by_sequence(venue, 9_000, 9_004, {"kind": "duplicated_rows", "trade_seqs": [9_001]})["trades"]
    assert told == [*truth[:2], *truth[1:]]
    assert by_sequence(venue, 9_000, 9_004, {"kind": "duplicated_rows"})["trades"] == [*truth[:3], *truth[2:]]


def heard_trades(*facts: Fault) -> list[tuple[int, int]]:
    studio = Studio(facts=facts)
    heard = studio.listen(f"trades.{BITCOIN}.100ms")
    studio.publisher.publish_until(NOW + 5 * MINUTE)
    return [(row["trade_seq"], row["timestamp"]) for _, data, _ in heard.told for row in data]


def test_streams_tell_the_same() -> None:
    truth = heard_trades()
    (gone, _), (twice, time) = truth[1], truth[3]
    told = heard_trades(
        MissingTrades(kind="missing_trades", trade_seqs=(gone,)),
        RetoldTrades(kind="retold_trades", trade_seqs=(twice,), shift=50),
    )
    expected = [truth[0], *truth[2:4], (twice, time + 50), *truth[4:]]
    assert sorted(told) == sorted(expected)
