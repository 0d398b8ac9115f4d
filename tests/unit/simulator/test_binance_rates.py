"""Open interest and funding of Binance: what is omitted, how far back it goes, when it is paid."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from simulator.binance_um.errors import UmError
from simulator.moments import DAY, HOUR, MINUTE
from tests.unit.simulator.binance import START, Binance
from tests.unit.simulator.venue import NOW

FIVE: int = 5 * MINUTE


@pytest.fixture(scope="module")
def binance() -> Binance:
    return Binance()


def interest(binance: Binance, symbol: str = "BTCUSDT", period: str = "5m", **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = binance.ask("futures/data/openInterestHist", symbol=symbol, period=period, **params)
    return rows


def funding(binance: Binance, symbol: str = "BTCUSDT", **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = binance.ask("fapi/v1/fundingRate", symbol=symbol, **params)
    return rows


def refused(binance: Binance, path: str, **params: Any) -> int:
    with pytest.raises(UmError) as caught:
        binance.ask(path, **params)
    return caught.value.code


def test_open_interest_stands_at_the_ends_of_periods(binance: Binance) -> None:
    for period, minutes in (("5m", 5), ("1h", 60), ("1d", 1_440)):
        times = [row["timestamp"] for row in interest(binance, period=period, limit=20)]
        step = minutes * MINUTE
        assert all(time % step == 0 for time in times)
        assert times[-1] == NOW // step * step
        assert {second - first for first, second in pairwise(times)} == {step}


def test_open_interest_is_text_with_eight_decimals(binance: Binance) -> None:
    row = interest(binance, limit=1)[0]
    assert row["symbol"] == "BTCUSDT"
    assert [len(row[name].partition(".")[2]) for name in ("sumOpenInterest", "sumOpenInterestValue")] == [8, 8]
    price = Decimal(row["sumOpenInterestValue"]) / Decimal(row["sumOpenInterest"])
    assert price == pytest.approx(Decimal(binance.klines("BTCUSDT", "1m", limit=1)[0][4]), rel=Decimal("0.05"))


def test_a_period_without_trades_is_omitted(binance: Binance) -> None:
    end = NOW // FIVE * FIVE
    told = {row["timestamp"] for row in interest(binance, "HUMAUSDT", startTime=end - DAY, endTime=end, limit=500)}
    klines = binance.klines("HUMAUSDT", "5m", startTime=end - DAY - FIVE, endTime=end - FIVE, limit=500)
    assert told == {row[0] + FIVE for row in klines if row[8] > 0}
    assert len(told) < 289


def test_a_value_is_the_same_in_every_period(binance: Binance) -> None:
    small = {row["timestamp"]: row for row in interest(binance, limit=500)}
    for row in interest(binance, period="1h", limit=20):
        assert small[row["timestamp"]] == row


def test_open_interest_goes_back_thirty_days(binance: Binance) -> None:
    path = "futures/data/openInterestHist"
    assert refused(binance, path, symbol="BTCUSDT", period="5m", startTime=NOW - 31 * DAY) == -1130
    assert refused(binance, path, symbol="BTCUSDT", period="1m") == -1130
    assert refused(binance, path, symbol="BTCUSDT") == -1102
    assert refused(binance, path, symbol="NOPE", period="5m") == -1121
    assert refused(binance, path, symbol="BTCUSDT", period="5m", limit=501) == -1130
    oldest = interest(binance, startTime=NOW - 30 * DAY, endTime=NOW - 30 * DAY + HOUR, limit=500)
    assert len(oldest) == 12
    assert len(interest(binance, period="4h", limit=500)) == 180
    assert interest(binance, "SRMUSDT") == []


def test_the_newest_open_interest_of_a_window_comes(binance: Binance) -> None:
    end = (NOW - DAY) // FIVE * FIVE
    rows = interest(binance, startTime=end - DAY, endTime=end, limit=10)
    assert [row["timestamp"] for row in rows] == list(range(end - 9 * FIVE, end + FIVE, FIVE))
    assert len(interest(binance)) == 30


def test_the_venue_can_omit_periods(binance: Binance) -> None:
    end = (NOW - DAY) // FIVE * FIVE
    faults = [{"kind": "omitted_periods", "times": [end - FIVE]}]
    rows = interest(binance, startTime=end - HOUR, endTime=end, limit=500, faults=faults)
    assert [row["timestamp"] for row in rows] == [*range(end - HOUR, end - FIVE, FIVE), end]


@pytest.mark.parametrize(("symbol", "hours"), [("BTCUSDT", 8), ("LPTUSDT", 4), ("MYXUSDT", 1)])
def test_funding_is_paid_by_the_schedule_of_the_contract(binance: Binance, symbol: str, hours: int) -> None:
    rows = funding(binance, symbol, startTime=START, limit=200)
    due = [row["fundingTime"] // MINUTE * MINUTE for row in rows]
    assert due == list(range(START, START + 200 * hours * HOUR, hours * HOUR))
    late = {row["fundingTime"] - time for row, time in zip(rows, due, strict=True)}
    assert 0 in late
    assert 3 < len(late) <= 16
    assert max(late) < 20


def test_an_interval_changes_once(binance: Binance) -> None:
    changed = 1_697_529_600_000
    rows = funding(binance, "TRBUSDT", startTime=changed - 2 * DAY, endTime=changed + 2 * DAY + MINUTE)
    hours = [(second["fundingTime"] - first["fundingTime"] + MINUTE) // HOUR for first, second in pairwise(rows)]
    assert hours == [8] * 6 + [4] * 12
    info = {row["symbol"]: row["fundingIntervalHours"] for row in binance.ask("fapi/v1/fundingInfo")}
    assert info == {"TRBUSDT": 4, "LPTUSDT": 4, "MYXUSDT": 1}


def test_which_rates_come_depends_on_what_is_sent(binance: Binance) -> None:
    newest = funding(binance)
    assert len(newest) == 200
    assert newest[-1]["fundingTime"] == pytest.approx(NOW // (8 * HOUR) * 8 * HOUR, abs=20)
    assert len(funding(binance, startTime=START)) == 100
    assert len(funding(binance, startTime=0, limit=1_000)) == 1_000
    assert funding(binance, limit=3) == newest[-3:]
    late = next(row for row in newest if row["fundingTime"] % HOUR)["fundingTime"]
    due = late // HOUR * HOUR
    assert funding(binance, startTime=due, endTime=due) == [], "the times are about the millisecond"
    assert [row["fundingTime"] for row in funding(binance, startTime=late, endTime=late)] == [late]


def test_rates_are_text_and_old_ones_have_no_mark_price(binance: Binance) -> None:
    old, new = funding(binance, startTime=0, limit=1)[0], funding(binance, limit=1)[0]
    assert old["markPrice"] == ""
    assert old["fundingTime"] // HOUR * HOUR == 1_567_987_200_000, "the first multiple of eight hours after the listing"
    for row in (old, new):
        assert len(row["fundingRate"].partition(".")[2]) == 8
    assert Decimal(new["markPrice"]) > 1_000
    rates = [Decimal(row["fundingRate"]) for row in funding(binance)]
    assert min(rates) < 0 < max(rates) < Decimal("0.01")


def test_without_a_symbol_all_contracts_come(binance: Binance) -> None:
    rows = binance.ask("fapi/v1/fundingRate", startTime=START, limit=1_000)
    assert {row["symbol"] for row in rows} == {
        row["symbol"] for row in binance.ask("fapi/v1/exchangeInfo")["symbols"]
    } - {"SRMUSDT"}
    times = [row["fundingTime"] for row in rows]
    assert times == sorted(times)


def test_a_rate_can_be_missing_at_the_venue(binance: Binance) -> None:
    faults = [{"kind": "omitted_periods", "dataset": "funding_rates", "times": [START + 8 * HOUR]}]
    rows = funding(binance, startTime=START, limit=3, faults=faults)
    assert [row["fundingTime"] // HOUR * HOUR - START for row in rows] == [0, 16 * HOUR, 24 * HOUR]
