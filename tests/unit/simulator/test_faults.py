"""Faults: understood or refused with a reason, and the same for the same seed."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from simulator.errors import ControlError
from simulator.fault_plan import FaultPlan
from simulator.faults import parse_faults
from simulator.moments import DAY, MINUTE
from simulator.number_forms import vary
from tests.unit.simulator.venue import NOW, Venue

TICK = NOW // DAY * DAY - DAY
CHART = "public/get_tradingview_chart_data"


def plan(*faults: dict[str, Any], seed: int = 1) -> FaultPlan:
    made = FaultPlan(seed)
    made.replace(parse_faults(json.dumps({"faults": faults}).encode()), 100.0)
    return made


def fired(
    made: FaultPlan, requests: int, *, method: str = CHART, instrument: str | None = "BTC-PERPETUAL"
) -> list[bool]:
    return [bool(made.fire(method, instrument, 100.0)) for _ in range(requests)]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", "faults"),
        ("{", "JSON"),
        ('{"faults": [{"kind": "rain"}]}', "'too_many_requests'"),
        ('{"faults": [{"kind": "cut", "probability": 2}]}', "faults.0.cut.probability: .* less than or equal to 1"),
        ('{"faults": [{"kind": "cut", "wher": "middle"}]}', "faults.0.cut.wher: Extra inputs"),
        ('{"faults": [{"kind": "slow", "seconds": "2"}]}', "faults.0.slow.seconds"),
        ('{"faults": [{"kind": "missing_minutes", "probability": 0.5}]}', "probability: Extra inputs"),
        ('{"faults": [{"kind": "stop_data"}]}', "stop_data.at: Field required"),
    ],
)
def test_what_is_no_fault_is_refused_with_the_reason(document: str, message: str) -> None:
    with pytest.raises(ControlError, match=message):
        parse_faults(document.encode())


def test_a_plan_tells_the_document_that_makes_it() -> None:
    document = {"faults": [{"kind": "cut", "where": "middle", "from_request": 3}, {"kind": "stop_data", "at": 5}]}
    assert plan(*document["faults"]).as_json() == document


def test_chance_is_a_function_of_the_seed_and_the_request() -> None:
    storm = {"kind": "server_error", "probability": 0.3}
    once, again, other = (fired(plan(storm, seed=seed), 400) for seed in (1, 1, 2))
    assert once == again != other
    assert 80 < sum(once) < 160


def test_a_burst_shares_one_throw() -> None:
    outcome = fired(plan({"kind": "too_many_requests", "probability": 0.4, "burst": 10}), 400)
    blocks = [outcome[start : start + 10] for start in range(0, 400, 10)]
    assert all(len(set(block)) == 1 for block in blocks)
    assert 0 < sum(outcome) < 400


def test_requests_are_counted_among_those_that_match() -> None:
    made = plan({"kind": "cut", "instrument": "BTC-PERPETUAL", "method": "ticker", "from_request": 2, "to_request": 3})
    assert fired(made, 3) == [False, False, False], "another method"
    assert fired(made, 3, method="public/ticker", instrument="ETH-PERPETUAL") == [False, False, False]
    assert fired(made, 4, method="public/ticker") == [False, True, True, False]


def test_a_fault_befalls_the_service_that_it_names_or_all() -> None:
    made = plan({"kind": "slow", "service": "binance_um"}, {"kind": "cut"}, {"kind": "maintenance"})
    kinds = {
        service: [fault.kind for fault in made.fire("fapi/v1/klines", "BTCUSDT", 100.0, service)]
        for service in ("deribit", "binance_um", "binance_archive", "cryptodatadownload")
    }
    assert kinds == {
        "deribit": ["cut", "maintenance"],
        "binance_um": ["slow", "cut"],
        "binance_archive": ["cut"],
        "cryptodatadownload": ["cut"],
    }


def test_seconds_are_counted_from_the_setting() -> None:
    made = plan({"kind": "maintenance", "from_second": 1, "to_second": 2})
    assert [bool(made.fire(CHART, None, now)) for now in (100.5, 101.0, 102.0, 102.5)] == [False, True, True, False]


def test_one_more_fault_leaves_the_count_of_the_others() -> None:
    made = plan({"kind": "cut", "from_request": 3})
    assert fired(made, 2) == [False, False]
    [pause] = parse_faults(b'{"faults": [{"kind": "settlement", "to_second": 1.0}]}')
    made.add(pause, 200.0)
    assert [fault.kind for fault in made.fire(CHART, None, 200.5)] == ["cut", "settlement"]
    assert [fault.kind for fault in made.fire(CHART, None, 201.5)] == ["cut"]


def test_missing_minutes_are_holes_in_every_answer(venue: Venue) -> None:
    holes = [TICK + 5 * MINUTE, *(TICK + minute * MINUTE for minute in range(30, 60))]
    faults = [{"kind": "missing_minutes", "instrument": "BTC-PERPETUAL", "open_times": holes}]
    result = venue.candles("BTC-PERPETUAL", TICK, TICK + 89 * MINUTE, faults=faults)
    assert sorted({TICK + minute * MINUTE for minute in range(90)} - set(result["ticks"])) == holes
    half_hours = venue.candles("BTC-PERPETUAL", TICK, TICK + 89 * MINUTE, "30", faults=faults)
    assert half_hours["ticks"] == [TICK, TICK + 60 * MINUTE], "a longer candle is missing where all its minutes are"
    other = venue.candles("ETH-PERPETUAL", TICK, TICK + 89 * MINUTE, faults=faults)
    assert len(other["ticks"]) == 90


def test_the_cap_counts_candles_that_are_there(venue: Venue) -> None:
    faults = [{"kind": "missing_minutes", "fraction": 0.5}]
    result = venue.candles("BTC-PERPETUAL", TICK - 30 * DAY, TICK, faults=faults)
    assert len(result["ticks"]) == 5_001
    assert result["ticks"][0] < TICK - 9_000 * MINUTE


def test_a_fraction_of_minutes_is_missing_inside_its_window(venue: Venue) -> None:
    faults = [{"kind": "missing_minutes", "fraction": 0.2, "start": TICK + 100 * MINUTE, "end": TICK + 600 * MINUTE}]
    result = venue.candles("BTC-PERPETUAL", TICK, TICK + 999 * MINUTE, faults=faults)
    missing = {TICK + minute * MINUTE for minute in range(1_000)} - set(result["ticks"])
    assert 60 < len(missing) < 140
    assert min(missing) >= TICK + 100 * MINUTE
    assert max(missing) < TICK + 600 * MINUTE
    again = venue.candles("BTC-PERPETUAL", TICK + 100 * MINUTE, TICK + 599 * MINUTE, faults=faults)
    assert missing == {TICK + minute * MINUTE for minute in range(100, 600)} - set(again["ticks"])


def test_a_venue_that_stops_makes_no_candle_any_more(venue: Venue) -> None:
    faults = [{"kind": "stop_data", "at": TICK + 10 * MINUTE + 1}]
    result = venue.candles("BTC-PERPETUAL", TICK, NOW, faults=faults)
    assert result["ticks"][-1] == TICK + 10 * MINUTE


def test_an_answer_for_another_window(venue: Venue) -> None:
    faults = [{"kind": "wrong_window", "shift": -60 * MINUTE}]
    result = venue.candles("BTC-PERPETUAL", TICK, TICK + MINUTE, faults=faults)
    assert result == venue.candles("BTC-PERPETUAL", TICK - 60 * MINUTE, TICK - 59 * MINUTE)


def test_no_data_where_there_are_data(venue: Venue) -> None:
    result = venue.candles("BTC-PERPETUAL", TICK, TICK + MINUTE, faults=[{"kind": "no_data"}])
    assert (result["status"], result["ticks"], result["close"]) == ("no_data", [], [])


@pytest.mark.parametrize(("mode", "close"), [("null", None), ("nan", "NaN"), ("text", "not a price")])
def test_a_price_that_is_no_number(venue: Venue, mode: str, close: object) -> None:
    faults = [{"kind": "bad_candle", "mode": mode, "open_times": [TICK + 2 * MINUTE]}]
    good, bad = (venue.candles("BTC-PERPETUAL", TICK, TICK + 4 * MINUTE, faults=one) for one in ([], faults))
    assert bad["close"] == [*good["close"][:2], close, *good["close"][3:]]
    assert {**bad, "close": None} == {**good, "close": None}


def test_a_high_below_its_low(venue: Venue) -> None:
    result = venue.candles("BTC-PERPETUAL", TICK, TICK + 4 * MINUTE, faults=[{"kind": "bad_candle"}])
    assert [high < low for high, low in zip(result["high"], result["low"], strict=True)] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_fraction_of_bad_candles_stays_the_same(venue: Venue) -> None:
    faults = [{"kind": "bad_candle", "fraction": 0.1, "mode": "null"}]
    wide = venue.candles("BTC-PERPETUAL", TICK, TICK + 999 * MINUTE, faults=faults)
    part = venue.candles("BTC-PERPETUAL", TICK + 500 * MINUTE, TICK + 999 * MINUTE, faults=faults)
    assert 60 < wide["close"].count(None) < 140
    assert wide["close"][500:] == part["close"]


def test_a_skewed_clock_tells_another_time(venue: Venue) -> None:
    assert venue.ask("get_time") == NOW
    assert venue.ask("get_time", faults=[{"kind": "clock_skew", "skew": -5_000}]) == NOW - 5_000


def test_numbers_in_other_forms_are_the_same_numbers() -> None:
    values = [2200.0, 0.0, 87456.5, 0.0001423, -1.5, -20.0, 1e-7, 123456789.125, 0.5, 10.0, 1054.0, 100.0]
    body = orjson.dumps({"result": values, "version": "1.2.26", "name": "XRP-1.5,2.5"})
    written = [vary(body, 1, request) for request in range(6)]
    for text in written:
        assert orjson.loads(text) == orjson.loads(body)
        assert json.loads(text) == json.loads(body)
    joined = b" ".join(written)
    for form in (b"2200.0", b"2200,", b"2.2e3", b"8.74565e4", b"-1.5e0", b"5e-1"):
        assert form in joined
