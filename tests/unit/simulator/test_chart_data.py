"""public/get_tradingview_chart_data: every trap that a client has to survive."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import VenueError
from simulator.expiries import expires_at
from simulator.moments import DAY, MINUTE
from tests.unit.simulator.venue import NOW, Venue

TICK = NOW // DAY * DAY - DAY


def test_columns_of_one_length_under_status_ok(venue: Venue) -> None:
    result = venue.candles("BTC-PERPETUAL", TICK, TICK + 4 * MINUTE)
    assert result["status"] == "ok"
    assert result["ticks"] == [TICK + minute * MINUTE for minute in range(5)]
    assert {len(result[column]) for column in ("open", "high", "low", "close", "volume", "cost")} == {5}


def test_more_than_5001_candles_lose_the_oldest_without_a_word(venue: Venue) -> None:
    result = venue.candles("BTC-PERPETUAL", TICK - 10_000 * MINUTE, TICK)
    assert (result["status"], len(result["ticks"])) == ("ok", 5_001)
    assert (result["ticks"][0], result["ticks"][-1]) == (TICK - 5_000 * MINUTE, TICK)


def test_5001_candles_come_whole(venue: Venue) -> None:
    result = venue.candles("BTC-PERPETUAL", TICK - 5_000 * MINUTE, TICK)
    assert (len(result["ticks"]), result["ticks"][0]) == (5_001, TICK - 5_000 * MINUTE)


@pytest.mark.parametrize(("start", "end", "ticks"), [(0, 0, [0]), (1, MINUTE - 1, []), (-1, MINUTE, [0, MINUTE])])
def test_both_ends_are_inclusive(venue: Venue, start: int, end: int, ticks: list[int]) -> None:
    result = venue.candles("BTC-PERPETUAL", TICK + start, TICK + end)
    assert result["ticks"] == [TICK + tick for tick in ticks]
    assert result["status"] == ("ok" if ticks else "no_data")


def test_a_start_on_a_candle_can_leave_it_out(venue: Venue) -> None:
    faults = [{"kind": "exclusive_start"}]
    assert venue.candles("BTC-PERPETUAL", TICK, TICK + MINUTE, faults=faults)["ticks"] == [TICK + MINUTE]
    assert venue.candles("BTC-PERPETUAL", TICK - 1, TICK + MINUTE, faults=faults)["ticks"] == [TICK, TICK + MINUTE]


def test_the_open_minute_comes_last_and_knows_only_trades_so_far(venue: Venue) -> None:
    minute = NOW // MINUTE * MINUTE
    moments = [minute, minute + 20_000, minute + 59_999, minute + MINUTE]
    seen = [venue.candles("BTC-PERPETUAL", minute - MINUTE, NOW + DAY, now=now) for now in moments]
    assert seen[0]["ticks"] == [minute - MINUTE], "a minute begins with its first millisecond over"
    assert [result["ticks"][-1] for result in seen[1:]] == [minute, minute, minute]
    volumes = [result["volume"][1] for result in seen[1:]]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 0


def test_an_open_minute_without_a_trade_is_filled(venue: Venue) -> None:
    result = venue.candles("PAXG_USDC-PERPETUAL", NOW - 2 * MINUTE, NOW)
    assert result["ticks"][-1] == NOW // MINUTE * MINUTE
    assert result["volume"][-1] == result["cost"][-1] == 0
    assert {result[column][-1] for column in ("open", "high", "low", "close")} == {result["close"][-2]}


def test_the_first_candle_holds_the_listing_and_nothing_is_before_it(venue: Venue) -> None:
    listed_at = 1_534_242_287_000
    result = venue.candles("BTC-PERPETUAL", listed_at - 100 * DAY, listed_at + 5 * MINUTE)
    assert result["ticks"][0] == listed_at // MINUTE * MINUTE
    assert result["volume"][0] > 0
    daily = venue.candles("BTC-PERPETUAL", 0, listed_at + DAY, "1D")
    assert daily["ticks"] == [listed_at // DAY * DAY, listed_at // DAY * DAY + DAY]
    assert daily["open"][0] == result["open"][0]


@pytest.mark.parametrize(
    ("instrument", "asked_from", "asked_to"),
    [
        ("BTC-PERPETUAL", 1_480_550_400_000, 1_480_550_400_000 + DAY),
        ("ETH-PERPETUAL", 1_498_435_200_000, 1_552_521_599_999),
    ],
)
def test_nothing_exists_before_the_listing(venue: Venue, instrument: str, asked_from: int, asked_to: int) -> None:
    assert venue.candles(instrument, asked_from, asked_to, "1D") == _nothing()


def test_nothing_exists_after_now(venue: Venue) -> None:
    assert venue.candles("BTC-PERPETUAL", NOW + MINUTE, NOW + DAY) == _nothing()


def test_a_dated_future_ends_with_its_expiry(venue: Venue) -> None:
    name = "BTC-15MAY26"
    expiry = expires_at(venue.instrument(name).expiry_day or pytest.fail("it has an expiry"))
    result = venue.candles(name, expiry - 3 * MINUTE, NOW)
    assert result["ticks"] == [expiry - 3 * MINUTE, expiry - 2 * MINUTE, expiry - MINUTE]


def test_an_option_that_never_traded_has_no_candle(venue: Venue) -> None:
    silent = next(
        one for one in venue.world.catalogue.live(NOW) if one.kind == "option" and not one.trades_per_hundred_days
    )
    assert venue.candles(silent.name, silent.listed_at, NOW, "1D") == _nothing()


@pytest.mark.parametrize(
    ("change", "param", "reason"),
    [
        ({"instrument_name": "BTC-NOTHING"}, "instrument_name", "instrument not found"),
        ({"instrument_name": None}, "instrument_name", "missing required parameter"),
        ({"resolution": "240"}, "resolution", "wrong format"),
        ({"resolution": "1m"}, "resolution", "wrong format"),
        ({"start_timestamp": "yesterday"}, "start_timestamp", "wrong format"),
        ({"start_timestamp": 1.5}, "start_timestamp", "wrong format"),
        ({"end_timestamp": None}, "end_timestamp", "missing required parameter"),
        ({"start_timestamp": TICK + DAY}, "start_timestamp", "start_timestamp must not be after end_timestamp"),
    ],
)
def test_a_wrong_parameter_is_named(venue: Venue, change: dict[str, Any], param: str, reason: str) -> None:
    good: dict[str, Any] = {
        "instrument_name": "BTC-PERPETUAL",
        "start_timestamp": TICK,
        "end_timestamp": TICK,
        "resolution": "1",
    }
    with pytest.raises(VenueError) as caught:
        venue.ask("get_tradingview_chart_data", **(good | change))
    assert caught.value.body() == {
        "code": -32602,
        "message": "Invalid params",
        "data": {"reason": reason, "param": param},
    }


def test_a_query_says_numbers_with_text(venue: Venue) -> None:
    as_text = venue.ask(
        "get_tradingview_chart_data",
        instrument_name="BTC-PERPETUAL",
        start_timestamp=str(TICK),
        end_timestamp=str(TICK + MINUTE),
        resolution="1",
    )
    assert as_text == venue.candles("BTC-PERPETUAL", TICK, TICK + MINUTE)


def _nothing() -> dict[str, Any]:
    empty: dict[str, Any] = {column: [] for column in ("ticks", "open", "high", "low", "close", "volume", "cost")}
    return {"status": "no_data", **empty}
