"""What is listed, how it is called, and when it comes and goes."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import expiries
from simulator.catalogue import Catalogue, strike_code
from simulator.errors import VenueError
from simulator.market import Market
from simulator.moments import DAY, FOREVER, HOUR, FixedClock, day_start
from simulator.world import World
from tests.unit.simulator.venue import NOW, SEED, Venue, steady


@steady
@given(day=st.dates(date(2019, 1, 1), date(2030, 12, 31)))
def test_a_day_in_a_name_is_read_as_it_was_written_and_never_padded(day: date) -> None:
    code = expiries.expiry_code(day)
    assert not code.startswith("0")
    assert expiries.expiry_in_name(f"ETH-{code}-3200-C") == day


@pytest.mark.parametrize("name", ["BTC-PERPETUAL", "BTC-31FEB26-1-C", "BTC-1XXX26", "BTC_USDC", "BTC-0MAY26-1-C"])
def test_a_name_without_a_day_has_none(name: str) -> None:
    assert expiries.expiry_in_name(name) is None


@pytest.mark.parametrize(("strike", "code"), [(3200.0, "3200"), (1.25, "1d25"), (0.5, "0d5"), (100000.0, "100000")])
def test_a_strike_is_written_with_a_d(strike: float, code: str) -> None:
    assert strike_code(strike) == code


def test_all_kinds_and_currencies_are_listed(venue: Venue) -> None:
    rows = venue.ask("get_instruments", currency="any")
    counts = Counter((row["kind"], row.get("settlement_currency")) for row in rows)
    assert counts["option", "BTC"] > 300
    assert counts["option", "ETH"] > 300
    for kind in ("future", "future_combo", "option_combo"):
        assert counts[kind, "BTC"] >= 5
    assert counts["future", "USDC"] >= 4
    assert any(re.fullmatch(r"XRP_USDC-\d+[A-Z]{3}\d\d-\d+d\d+-[CP]", row["instrument_name"]) for row in rows)
    assert any(re.fullmatch(r"BTC-\d[A-Z]{3}\d\d-\d+-[CP]", row["instrument_name"]) for row in rows)
    assert len({row["instrument_name"] for row in rows}) == len(rows)
    assert len({row["instrument_id"] for row in rows}) == len(rows)


def test_without_parameters_everything_is_listed(venue: Venue) -> None:
    assert venue.ask("get_instruments") == venue.ask("get_instruments", currency="any", kind="any")


def test_a_kind_and_a_currency_choose(venue: Venue) -> None:
    rows = venue.ask("get_instruments", currency="ETH", kind="future")
    assert {row["kind"] for row in rows} == {"future"}
    assert "ETH-PERPETUAL" in {row["instrument_name"] for row in rows}
    assert venue.ask("get_instruments", currency="EURR") == []


def test_perpetuals_begin_when_the_venue_says_and_never_expire(venue: Venue) -> None:
    for name, listed_at in (("BTC-PERPETUAL", 1_534_242_287_000), ("ETH-PERPETUAL", 1_552_568_454_000)):
        row = venue.ask("get_instrument", instrument_name=name)
        assert (row["creation_timestamp"], row["expiration_timestamp"]) == (listed_at, FOREVER)
        assert (row["settlement_period"], row["state"], row["is_active"]) == ("perpetual", "open", True)


def test_dated_instruments_expire_at_eight_and_the_expired_are_listed_apart(venue: Venue) -> None:
    live = venue.ask("get_instruments", currency="BTC", kind="option", expired="false")
    expired = venue.ask("get_instruments", currency="BTC", kind="option", expired="true")
    assert {row["expiration_timestamp"] % DAY for row in live + expired} == {8 * HOUR}
    assert all(row["expiration_timestamp"] > NOW for row in live)
    assert all(NOW - 3 * DAY < row["expiration_timestamp"] <= NOW for row in expired)
    assert {row["state"] for row in expired} == {"delivered"}
    assert {row["is_active"] for row in expired} == {False}
    assert expired


@steady
@given(now=st.integers(1_577_836_800_000, NOW + 300 * DAY))
def test_at_any_time_several_hundred_options_are_alive(world: World, now: int) -> None:
    live = [one for one in world.catalogue.live(now) if one.kind == "option" and one.settlement == "ETH"]
    assert 250 <= len(live) <= 700
    assert all(one.listed_at <= now < one.end for one in live)
    assert 8 <= len({one.expires_at for one in live}) <= 20


@steady
@given(days_ago=st.integers(0, 2_000))
def test_what_once_was_listed_is_found_by_its_name_for_ever(world: World, days_ago: int) -> None:
    moment = NOW - days_ago * DAY
    for one in world.catalogue.live(moment)[::97]:
        assert world.catalogue.find(one.name, NOW) == one


@pytest.mark.parametrize(
    "name", ["BTC-08MAY26-80000-C", "BTC-29MAY26-1-C", "DOGE-PERPETUAL", "BTC-29MAY26-80000-X", ""]
)
def test_a_name_that_nothing_has_is_not_found(world: World, name: str) -> None:
    assert world.catalogue.find(name, NOW) is None


def test_an_instrument_is_unknown_before_its_listing(world: World) -> None:
    assert world.catalogue.find("BTC-PERPETUAL", 1_534_242_286_999) is None
    assert world.catalogue.find("BTC-PERPETUAL", 1_534_242_287_000) is not None


def test_an_unknown_instrument_is_not_found(venue: Venue) -> None:
    with pytest.raises(VenueError, match="13020"):
        venue.ask("get_instrument", instrument_name="BTC-NOTHING")


def test_expirations_are_told_by_currency_and_kind(venue: Venue) -> None:
    result = venue.ask("get_expirations", currency="BTC", kind="option")
    days = [expiries.expiry_in_name(f"BTC-{code}") for code in result["btc"]["option"]]
    assert days == sorted(day for day in days if day is not None)
    assert venue.ask("get_expirations", currency="any", kind="any")["future"][-1] == "PERPETUAL"


def test_combos_consist_of_what_is_listed(venue: Venue) -> None:
    combos = venue.ask("get_combos", currency="BTC")
    assert {"BTC-PERPETUAL"} < {leg["instrument_name"] for combo in combos for leg in combo["legs"]}
    for combo in combos:
        assert venue.ask("get_instrument", instrument_name=combo["id"])["kind"] in ("future_combo", "option_combo")
        for leg in combo["legs"]:
            venue.ask("get_instrument", instrument_name=leg["instrument_name"])


def test_an_instrument_settled_by_hand_is_over_and_stays_known() -> None:
    catalogue = Catalogue(Market(SEED))
    option = next(one for one in catalogue.live(NOW) if one.kind == "option")
    catalogue.settle(option, NOW)
    assert option.name not in {one.name for one in catalogue.live(NOW)}
    assert option.name in {one.name for one in catalogue.expired(NOW + 1)}
    found = catalogue.find(option.name, NOW)
    assert found is not None
    assert (found.end, found.state(NOW)) == (NOW, "delivered")


@pytest.mark.parametrize(
    "name", ["DOGE_USDC-PERPETUAL", "BTC-27DEC30", "ETH-27DEC30-123456-C", "XRP_USDC-27DEC30-1d25-P"]
)
def test_an_instrument_can_be_listed_by_hand(name: str) -> None:
    world = World(SEED, FixedClock(NOW))
    listed = world.catalogue.list_by_hand(name, NOW, None, 1_000)
    assert listed is not None
    assert listed.listed_at == NOW
    assert world.catalogue.find(name, NOW - 1) is None
    assert name in {one.name for one in world.catalogue.live(NOW)}
    assert len(world.tape.day(listed, NOW // DAY + 1)) == 1_000


def test_without_a_calendar_nothing_dated_comes_or_goes_but_by_hand() -> None:
    catalogue = Catalogue(Market(SEED), has_calendar=False)
    assert {one.expires_at for one in catalogue.between(NOW - 400 * DAY, NOW + 400 * DAY)} == {FOREVER}
    dated = next(one for one in Catalogue(Market(SEED)).live(NOW) if one.kind == "option")
    assert catalogue.find(dated.name, NOW) is None
    assert catalogue.list_by_hand(dated.name, NOW, None, 1_000) is not None
    assert [one.name for one in catalogue.live(NOW) if one.kind == "option"] == [dated.name]


@pytest.mark.parametrize("name", ["NONSENSE", "BTC-27DEC20", "BTC-27DEC30-x-C", "BTC-27DEC30-1-Z", "DOGE-27DEC30"])
def test_nonsense_cannot_be_listed(name: str) -> None:
    assert Catalogue(Market(SEED)).list_by_hand(name, NOW, None, 10) is None


def test_months_and_quarters_end_on_the_last_friday() -> None:
    periods = {
        date(2026, 5, 29): "month",
        date(2026, 5, 22): "week",
        date(2026, 5, 28): "day",
        date(2026, 6, 26): "month",
    }
    assert {day: expiries.settlement_period(day) for day in periods} == periods
    assert expiries.listed_at(date(2026, 6, 26)) == day_start(date(2025, 6, 27)) + 8 * HOUR
