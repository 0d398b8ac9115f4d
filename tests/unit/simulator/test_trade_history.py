"""public/get_last_trades_by_*: pages, order, sequence numbers and ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.deribit.trade_history import tick_directions
from simulator.errors import VenueError
from simulator.moments import DAY, HOUR
from simulator.world import World
from tests.unit.simulator.venue import NOW, Venue, steady


def test_ten_of_the_newest_come_by_default_newest_first(venue: Venue) -> None:
    result = venue.ask("get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL")
    sequence = [trade["trade_seq"] for trade in result["trades"]]
    assert result["has_more"] is True
    assert sequence == list(range(sequence[0], sequence[0] - 10, -1))
    assert all(trade["timestamp"] < NOW for trade in result["trades"])


@pytest.mark.parametrize("count", [0, 1_001, -1])
def test_no_more_than_a_thousand_can_be_asked_for(venue: Venue, count: int) -> None:
    with pytest.raises(VenueError, match="-32602"):
        venue.ask("get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL", count=count)


def test_a_thousand_come(venue: Venue) -> None:
    result = venue.ask("get_last_trades_by_instrument", instrument_name="ETH-PERPETUAL", count="1000")
    assert len(result["trades"]) == 1_000


def test_sorting_turns_the_order_round(venue: Venue) -> None:
    asked: dict[str, Any] = {"instrument_name": "BTC-PERPETUAL", "count": 5}
    descending = venue.ask("get_last_trades_by_instrument", **asked, sorting="desc")["trades"]
    ascending = venue.ask("get_last_trades_by_instrument", **asked, sorting="asc")["trades"]
    assert ascending == descending[::-1]


def test_both_ends_of_a_range_of_sequence_numbers_come(venue: Venue) -> None:
    result = venue.ask("get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL", start_seq=4_000, end_seq=4_004)
    assert [trade["trade_seq"] for trade in result["trades"]] == [4_000, 4_001, 4_002, 4_003, 4_004]
    assert result["has_more"] is False


@steady
@given(start=st.integers(1, 40_000), length=st.integers(1, 3_000), count=st.integers(200, 1_000))
def test_paging_by_sequence_number_finds_every_trade_once(world: World, start: int, length: int, count: int) -> None:
    first, end, found = start, start + length - 1, []
    while first <= end:
        page = Venue(world).ask(
            "get_last_trades_by_instrument",
            instrument_name="XRP_USDC-PERPETUAL",
            start_seq=first,
            end_seq=end,
            count=count,
        )
        found += [trade["trade_seq"] for trade in page["trades"]]
        assert page["has_more"] == (found[-1] < end)
        first = found[-1] + 1
    assert found == list(range(start, start + length))


def test_a_time_page_begins_with_the_earliest_and_includes_both_ends(venue: Venue) -> None:
    day = venue.ask("get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL", start_seq=9_000, end_seq=9_020)
    trades = day["trades"]
    result = venue.ask(
        "get_last_trades_by_instrument_and_time",
        instrument_name="BTC-PERPETUAL",
        start_timestamp=trades[3]["timestamp"],
        end_timestamp=trades[9]["timestamp"],
        count=1_000,
    )
    times = [trade["timestamp"] for trade in result["trades"]]
    assert times == sorted(times)
    assert {trade["trade_seq"] for trade in trades[3:10]} <= {trade["trade_seq"] for trade in result["trades"]}
    assert (times[0], times[-1]) == (trades[3]["timestamp"], trades[9]["timestamp"])


def test_ids_are_text_with_the_prefix_of_their_currency(venue: Venue) -> None:
    for name, prefix in (("BTC-PERPETUAL", ""), ("ETH-PERPETUAL", "ETH-"), ("BTC_USDT", "BTC_USDT-")):
        [trade] = venue.ask("get_last_trades_by_instrument", instrument_name=name, count=1)["trades"]
        assert trade["trade_id"].removeprefix(prefix).isdigit()
        assert trade["trade_id"].startswith(prefix)


def test_ids_are_unique_within_a_currency(venue: Venue) -> None:
    trades = venue.ask("get_last_trades_by_currency", currency="BTC", count=1_000)["trades"]
    assert len({trade["trade_id"] for trade in trades}) == 1_000
    assert len({trade["instrument_name"] for trade in trades}) > 20


def test_the_tape_of_a_currency_is_the_tapes_of_its_instruments(venue: Venue) -> None:
    asked: dict[str, Any] = {
        "currency": "ETH",
        "kind": "option",
        "start_timestamp": NOW - HOUR // 6,
        "end_timestamp": NOW,
        "count": 1_000,
    }
    trades = venue.ask("get_last_trades_by_currency_and_time", **asked)["trades"]
    times = [trade["timestamp"] for trade in trades]
    assert times == sorted(times)
    names = [one.name for one in venue.world.catalogue.between(NOW - HOUR // 6, NOW) if one.settlement == "ETH"]
    alone: list[Any] = []
    for name in names:
        if name.count("-") == 3 and "-CS-" not in name:
            window: dict[str, Any] = {"instrument_name": name, "start_timestamp": NOW - HOUR // 6, "end_timestamp": NOW}
            alone += venue.ask("get_last_trades_by_instrument_and_time", **window, count=1_000)["trades"]
    assert {trade["trade_id"] for trade in alone} == {trade["trade_id"] for trade in trades}
    assert all({"iv", "mark_price", "index_price"} <= trade.keys() for trade in trades)


def test_a_page_of_a_currency_is_an_end_of_the_whole(venue: Venue) -> None:
    asked: dict[str, Any] = {"currency": "ETH", "start_timestamp": NOW - HOUR // 6, "end_timestamp": NOW}
    whole = venue.ask("get_last_trades_by_currency_and_time", **asked, count=1_000)
    assert whole["has_more"] is False
    oldest = venue.ask("get_last_trades_by_currency_and_time", **asked, count=30)
    newest = venue.ask("get_last_trades_by_currency_and_time", **asked, count=30, sorting="desc")
    ids = [trade["trade_id"] for trade in whole["trades"]]
    assert ([trade["trade_id"] for trade in oldest["trades"]], oldest["has_more"]) == (ids[:30], True)
    assert {trade["timestamp"] for trade in newest["trades"]} == {trade["timestamp"] for trade in whole["trades"][-30:]}


def test_a_currency_remembers_24_hours_and_says_nothing_about_it(venue: Venue) -> None:
    method = "get_last_trades_by_currency_and_time"
    asked: dict[str, Any] = {"currency": "BTC", "end_timestamp": NOW}
    assert venue.ask(method, **asked, start_timestamp=NOW - DAY - 1) == {"trades": [], "has_more": False}
    assert venue.ask(method, **asked, start_timestamp=NOW - DAY)["trades"]


def test_ids_bound_the_tape_of_a_currency(venue: Venue) -> None:
    trades = venue.ask("get_last_trades_by_currency", currency="BTC", count=50, sorting="asc")["trades"]
    bounds: dict[str, Any] = {"start_id": trades[10]["trade_id"], "end_id": trades[20]["trade_id"]}
    part = venue.ask("get_last_trades_by_currency", currency="BTC", count=50, **bounds)["trades"]
    assert {trade["trade_id"] for trade in trades[10:21]} <= {trade["trade_id"] for trade in part}
    assert {trade["timestamp"] for trade in part} == {trade["timestamp"] for trade in trades[10:21]}


def test_tick_directions_compare_with_the_last_other_price(world: World) -> None:
    trades = world.tape.day(Venue(world).instrument("BTC-PERPETUAL"), NOW // DAY - 1)
    last_move = 0
    for position, direction in enumerate(tick_directions(trades).tolist()[1:], start=1):
        change = trades.price[position] - trades.price[position - 1]
        if change:
            last_move = 0 if change > 0 else 2
        assert direction == last_move + (0 if change else 1)


def test_a_stopped_venue_has_no_later_trade(venue: Venue) -> None:
    faults = [{"kind": "stop_data", "at": NOW - HOUR, "instrument": "BTC-PERPETUAL"}]
    of_instrument = venue.ask("get_last_trades_by_instrument", instrument_name="BTC-PERPETUAL", faults=faults)
    assert all(trade["timestamp"] < NOW - HOUR for trade in of_instrument["trades"])
    of_currency = venue.ask("get_last_trades_by_currency", currency="BTC", count=1_000, faults=faults)["trades"]
    assert all(trade["timestamp"] < NOW - HOUR for trade in of_currency if trade["instrument_name"] == "BTC-PERPETUAL")
    assert any(trade["timestamp"] > NOW - HOUR for trade in of_currency)
