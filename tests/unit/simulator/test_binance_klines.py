"""Klines of Binance: the trades added up to the last decimal, in the windows and forms of the venue."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from simulator.binance_um.errors import UmError
from simulator.binance_um.intervals import INTERVALS, following, opening
from simulator.moments import DAY, HOUR, MINUTE
from tests.unit.simulator.binance import START, Binance
from tests.unit.simulator.venue import NOW


@pytest.fixture(scope="module")
def binance() -> Binance:
    return Binance()


def refused(binance: Binance, **params: Any) -> int:
    with pytest.raises(UmError) as caught:
        binance.ask("fapi/v1/klines", **{"symbol": "BTCUSDT", "interval": "1m", **params})
    return caught.value.code


def added(rows: list[list[Any]]) -> list[Any]:
    """Return what klines sum to, without their times."""
    sums = [sum(Decimal(row[position]) for row in rows) for position in (5, 7, 9, 10)]
    ends = [Decimal(rows[0][1]), max(Decimal(row[2]) for row in rows), min(Decimal(row[3]) for row in rows)]
    return [*ends, Decimal(rows[-1][4]), *sums, sum(row[8] for row in rows)]


def test_a_kline_is_its_trades(binance: Binance) -> None:
    contract = binance.contract("ETHUSDT")
    traded = 0
    for row in binance.klines("ETHUSDT", "1m", startTime=START, limit=120):
        trades = binance.data.tape.between(contract, row[0], row[6] + 1)
        price, quantity = (
            [Decimal(int(one)) / 100 for one in trades.price],
            [Decimal(int(one)) / 1_000 for one in trades.quantity],
        )
        assert Decimal(row[5]) == sum(quantity)
        assert Decimal(row[7]) == sum(one * other for one, other in zip(price, quantity, strict=True))
        bought = [not maker for maker in trades.is_buyer_maker.tolist()]
        assert Decimal(row[9]) == sum(one for one, is_bought in zip(quantity, bought, strict=True) if is_bought)
        assert row[8] == int((trades.last - trades.first + 1).sum())
        if len(trades):
            traded += 1
            assert [Decimal(one) for one in row[1:5]] == [price[0], max(price), min(price), price[-1]]
        else:
            assert row[1] == row[2] == row[3] == row[4]
    assert 60 < traded < 120


def test_a_minute_without_trades_repeats_the_close_before_it(binance: Binance) -> None:
    rows = binance.klines("HUMAUSDT", "1m", startTime=START, limit=1_000)
    quiet = [(before, row) for before, row in pairwise(rows) if row[8] == 0]
    assert len(quiet) > 100
    for before, row in quiet:
        assert row[1:6] == [before[4]] * 4 + ["0"]
        assert Decimal(row[7]) == 0


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_is_its_minutes(binance: Binance, interval: str) -> None:
    first = opening(interval, START)
    [row] = binance.klines("SOLUSDT", interval, startTime=first, limit=1)
    end = following(interval, first)
    assert row[0] == first
    assert row[6] == end - 1
    small = "1m" if end - first <= DAY else "1d"
    rows = binance.klines("SOLUSDT", small, startTime=first, endTime=end - 1, limit=1_500)
    assert added([row]) == added(rows)


def test_an_interval_begins_where_the_one_before_ends() -> None:
    for interval in INTERVALS:
        moment = opening(interval, START)
        for _ in range(20):
            assert opening(interval, moment) == moment == opening(interval, following(interval, moment) - 1)
            moment = following(interval, moment)


def test_klines_have_twelve_fields_of_the_right_types(binance: Binance) -> None:
    [row] = binance.klines("BTCUSDT", "1m", limit=1)
    assert [type(field) for field in row] == [int, *[str] * 5, int, str, int, str, str, str]
    assert row[11] == "0"
    assert len(row[1].partition(".")[2]) == 2
    assert len(row[5].partition(".")[2]) == 3


def test_the_last_kline_is_open(binance: Binance) -> None:
    rows = binance.klines("BTCUSDT", "1h", limit=2)
    assert rows[0][6] < NOW < rows[1][6]
    later = binance.klines("BTCUSDT", "1h", limit=2, now=NOW + 10 * MINUTE)
    assert later[0] == rows[0]
    assert later[1][8] > rows[1][8]
    closed = binance.klines("BTCUSDT", "1h", startTime=rows[1][0], limit=1, now=NOW + 2 * HOUR)
    assert binance.klines("BTCUSDT", "1h", limit=3, now=NOW + 2 * HOUR)[0] == closed[0]


def test_which_rows_come_depends_on_what_is_sent(binance: Binance) -> None:
    def opened(**params: int) -> list[int]:
        return [row[0] for row in binance.klines("BTCUSDT", "1m", **params)]

    minute = NOW // MINUTE * MINUTE
    assert opened() == list(range(minute - 499 * MINUTE, minute + MINUTE, MINUTE))
    assert opened(startTime=START, limit=3) == [START, START + MINUTE, START + 2 * MINUTE]
    assert opened(startTime=START + 1, limit=1) == [START + MINUTE]
    assert opened(endTime=START, limit=2) == [START - MINUTE, START]
    assert opened(startTime=START, endTime=START + 2 * MINUTE, limit=2) == [START, START + MINUTE]
    assert opened(startTime=START, endTime=START + 2 * MINUTE) == [START, START + MINUTE, START + 2 * MINUTE]
    assert opened(startTime=NOW + DAY) == []
    assert len(opened(startTime=START, limit=1_500)) == 1_500


def test_klines_begin_with_the_first_trade_and_end_with_the_last(binance: Binance) -> None:
    new, over = binance.contract("HUMAUSDT"), binance.contract("SRMUSDT")
    first = binance.klines("HUMAUSDT", "1m", startTime=0, limit=1)[0]
    assert first[0] == opening("1m", new.onboard_at)
    assert first[8] > 0
    assert binance.klines("HUMAUSDT", "1d", startTime=0, limit=1)[0][0] == opening("1d", new.onboard_at)
    assert binance.klines("HUMAUSDT", "1h", startTime=new.onboard_at, limit=1)[0][0] == following(
        "1h", opening("1h", first[0])
    )
    assert binance.klines("SRMUSDT", "1m", limit=1)[0][6] == over.end - 1
    assert binance.klines("SRMUSDT", "1m", startTime=over.end) == []


def test_what_is_wrong_has_the_code_of_the_venue(binance: Binance) -> None:
    assert refused(binance, symbol="NOPEUSDT") == -1121
    assert refused(binance, symbol="") == -1102
    assert refused(binance, symbol="btc/usdt") == -1100
    assert refused(binance, interval="1s") == -1120
    assert refused(binance, interval="") == -1102
    assert refused(binance, limit=1_501) == refused(binance, limit=0) == -1130
    assert refused(binance, startTime="yesterday") == -1100
    assert refused(binance, startTime=2, endTime=1) == -1023


def test_any_order_of_questions_gets_the_same_answers() -> None:
    one, other = Binance(), Binance()
    asked = [START, START - 400 * DAY, START + 3 * DAY]
    forward = {start: one.klines("TRBUSDT", "5m", startTime=start, limit=400) for start in asked}
    backward = {start: other.klines("TRBUSDT", "5m", startTime=start, limit=400) for start in reversed(asked)}
    assert forward == backward


def test_faults_befall_klines(binance: Binance) -> None:
    plain = binance.klines("BTCUSDT", "1m", startTime=START, limit=10)
    listed = [START + 3 * MINUTE]

    def told(kind: str, **fields: Any) -> Any:
        fault = {"kind": kind, "open_times": listed, **fields}
        return binance.klines("BTCUSDT", "1m", startTime=START, limit=10, faults=[fault])

    assert told("left_out_candles") == plain[:3] + plain[4:]
    assert told("duplicated_rows") == [*plain[:4], *plain[3:]]
    assert Decimal(told("wrong_volume", factor=2.0)[3][5]) == 2 * Decimal(plain[3][5]) > 0
    assert Decimal(told("price_jump", factor=3.0)[3][4]) == 3 * Decimal(plain[3][4])
    assert Decimal(told("bad_candle")[3][2]) < Decimal(told("bad_candle")[3][3])
    assert told("bad_candle", mode="null")[3][4] is None
    hole = told("missing_minutes")
    assert [row[0] for row in hole] == [row[0] for row in plain if row[0] not in listed] + [plain[-1][0] + MINUTE]
    moved = binance.klines(
        "BTCUSDT", "1m", startTime=START, limit=10, faults=[{"kind": "wrong_window", "shift": -MINUTE}]
    )
    assert moved[0][0] == START - MINUTE
    assert moved[1:] == plain[:-1]


def test_the_contracts_are_told_with_their_terms(binance: Binance) -> None:
    rows = {row["symbol"]: row for row in binance.ask("fapi/v1/exchangeInfo")["symbols"]}
    assert {row["contractType"] for row in rows.values()} == {"PERPETUAL"}
    assert [symbol for symbol, row in rows.items() if row["status"] == "SETTLING"] == ["SRMUSDT"]
    assert rows["BTCUSDT"]["onboardDate"] == 1_567_965_420_000
    assert rows["BTCUSDT"]["deliveryDate"] == 4_133_404_800_000
    assert rows["SRMUSDT"]["deliveryDate"] == binance.contract("SRMUSDT").end
    early = {row["symbol"] for row in binance.ask("fapi/v1/exchangeInfo", now=1_577_836_800_000)["symbols"]}
    assert early == {"BTCUSDT", "ETHUSDT"}
