"""Listings and endings, as subscribers hear of them."""

from __future__ import annotations

from typing import Final

from simulator.books import FIRST_QUOTE_AFTER
from simulator.deribit.listings import instrument_row
from simulator.instruments import VenueInstrument
from simulator.moments import DAY, HOUR
from tests.unit.simulator.listener import Studio
from tests.unit.simulator.venue import NOW

SECOND: Final = 1_000
EIGHT: Final = NOW // DAY * DAY + DAY + 8 * HOUR
"""08:00 UTC of the next day."""
STATES: Final = "instrument.state.any.any"


def advance(studio: Studio, moment: int) -> None:
    """Let time pass as the hub does."""
    while studio.lifecycle.next_at < moment:
        at = studio.lifecycle.next_at
        studio.publisher.publish_until(at - 1)
        studio.lifecycle.advance(at)
    studio.publisher.publish_until(moment - 1)


def expiring(studio: Studio) -> VenueInstrument:
    live = studio.world.catalogue.live(EIGHT - SECOND)
    return next(one for one in live if one.kind == "option" and one.base == "ETH" and one.end == EIGHT)


def test_an_expiry_says_so_and_is_silent_after() -> None:
    studio = Studio(EIGHT - 5 * SECOND)
    name = expiring(studio).name
    ticker, book = f"ticker.{name}.100ms", f"book.{name}.100ms"
    heard = studio.listen(STATES, "instrument.state.option.ETH", ticker, book, f"trades.{name}.100ms")
    advance(studio, EIGHT + 60 * SECOND)
    states = [one for one in heard.heard(STATES) if one["instrument_name"] == name]
    assert [one["state"] for one in states] == ["settlement", "delivered"]
    assert states[0]["timestamp"] == EIGHT
    assert [one for one in heard.heard("instrument.state.option.ETH") if one["instrument_name"] == name] == states
    assert [one["state"] for one in heard.heard(ticker)[-2:]] == ["open", "closed"]
    last = heard.heard(ticker)[-1]
    assert (last["timestamp"], last["estimated_delivery_price"]) == (EIGHT, "expired")
    assert last["delivery_price"] > 0
    assert max(one["timestamp"] for one in heard.heard(book)) < EIGHT
    assert studio.publisher.find(f"quote.{name}") is None


def test_a_listing_by_the_calendar_is_heard_and_its_first_trade_too() -> None:
    studio = Studio(EIGHT - 5 * SECOND)
    heard = studio.listen("instrument.creation.option.ETH", STATES, "trades.option.ETH.100ms")
    advance(studio, EIGHT + 60 * SECOND)
    created = heard.heard("instrument.creation.option.ETH")
    assert created
    assert all(row["creation_timestamp"] == EIGHT for row in created)
    assert created[0]["strike"] > 0
    opened = {one["instrument_name"] for one in heard.heard(STATES) if one["state"] == "open"}
    assert opened >= {row["instrument_name"] for row in created}
    busy = {row["instrument_name"] for data in heard.heard("trades.option.ETH.100ms") for row in data}
    new = [studio.world.catalogue.find(row["instrument_name"], EIGHT) for row in created]
    assert busy >= {one.name for one in new if one is not None and one.trades_per_hundred_days}


def test_a_listing_by_hand_starts_with_an_odd_change_and_odd_snapshots() -> None:
    studio = Studio()
    heard = studio.listen("instrument.creation.any.ETH", "trades.option.ETH.100ms")
    listed = studio.world.catalogue.list_by_hand("ETH-27DEC30-2200-C", NOW, None, 80_000)
    assert listed is not None
    studio.lifecycle.advance(NOW)
    assert heard.heard("instrument.creation.any.ETH") == [instrument_row(listed, NOW)]
    studio.publisher.publish_until(NOW + 100)
    channel = f"book.{listed.name}.100ms"
    studio.listen(channel)
    assert heard.heard(channel) == []
    studio.publisher.publish_until(NOW + FIRST_QUOTE_AFTER + SECOND)
    first, second, *_ = heard.heard(channel)
    assert (first["type"], first["prev_change_id"]) == ("change", 0)
    assert {action for action, _, _ in first["bids"] + first["asks"]} == {"new"}
    assert second["prev_change_id"] == first["change_id"]
    late = Studio()
    late.publisher, late.listener._publisher = studio.publisher, studio.publisher
    snapshot = late.listen(channel).heard(channel)[0]
    assert snapshot["type"] == "snapshot"
    assert snapshot["prev_change_id"] > 0
    trades = [row for data in heard.heard("trades.option.ETH.100ms") for row in data]
    own = [row["trade_seq"] for row in trades if row["instrument_name"] == listed.name]
    assert own == list(range(1, len(own) + 1))
    assert len(own) > 1


def test_a_settlement_by_hand_is_an_expiry() -> None:
    studio = Studio()
    options = [one for one in studio.world.catalogue.live(NOW) if one.kind == "option" and one.base == "ETH"]
    option = max(options, key=lambda one: one.trades_per_hundred_days)
    ticker = f"ticker.{option.name}.100ms"
    heard = studio.listen(STATES, ticker, f"trades.{option.name}.100ms", "trades.option.ETH.100ms")
    now = NOW + 10 * SECOND
    studio.publisher.publish_until(now - 1)
    studio.world.catalogue.settle(option, now)
    studio.lifecycle.advance(now)
    studio.publisher.publish_until(now + HOUR)
    assert [one["state"] for one in heard.heard(STATES)] == ["settlement", "delivered"]
    last = heard.heard(ticker)[-1]
    assert (last["timestamp"], last["state"], last["estimated_delivery_price"]) == (now, "closed", "expired")
    rows = [row for data in heard.heard("trades.option.ETH.100ms") for row in data]
    assert all(row["timestamp"] < now for row in rows if row["instrument_name"] == option.name)
    assert any(row["timestamp"] > now for row in rows)


def test_a_name_can_be_listed_again_while_somebody_listens() -> None:
    studio = Studio()
    name = "ETH-27DEC30-2500-C"
    first = studio.world.catalogue.list_by_hand(name, NOW, None, 100)
    assert first is not None
    studio.lifecycle.advance(NOW)
    channel = f"book.{name}.100ms"
    heard = studio.listen(channel, f"ticker.{name}.100ms", f"trades.{name}.100ms")
    again = NOW + 10 * SECOND
    studio.publisher.publish_until(again - 1)
    studio.world.catalogue.settle(first, again)
    studio.lifecycle.advance(again)
    studio.publisher.publish_until(again + SECOND)
    before = len(heard.heard(channel))
    relisted = again + 2 * SECOND
    studio.publisher.publish_until(relisted - 1)
    assert studio.world.catalogue.list_by_hand(name, relisted, None, 100)
    studio.lifecycle.advance(relisted)
    studio.publisher.publish_until(relisted + FIRST_QUOTE_AFTER + SECOND)
    changes = heard.heard(channel)[before:]
    assert (changes[0]["type"], changes[0]["prev_change_id"]) == ("change", 0)
    assert [one["trade_seq"] for one in heard.heard(f"trades.{name}.100ms")[-1]] == [1]
