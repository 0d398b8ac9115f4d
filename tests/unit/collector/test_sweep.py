"""The sweep against a venue that is played by hand: which questions it asks, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collector.buffer import Buffer
from collector.counters import Counters
from collector.instrument_tape import Hole, InstrumentTape, MissingTrades
from collector.notes import TradesFetched, Unfollowed
from collector.settings import CollectorSettings
from collector.sweep import BACK, Sweep
from collector.tape import Tape
from collector.venue_clock import VenueClock
from tapekeeper.errors import NetworkFailure
from tapekeeper.model.gap import Cause
from tapekeeper.model.window import Window
from tapekeeper.store.option_series import OptionSeries
from tapekeeper.venues.deribit.channels import trades_channel
from tapekeeper.venues.deribit.trades import TradeAnswer, VenueTrade, parse_trades
from tests.support.deribit_frames import NAME, TIME_MS, trade

SECOND = 1_000_000
DAY = 86_400 * SECOND
TIME = TIME_MS * 1_000


class History:
    """All trades of the venue, by number: one a second."""

    def __init__(self, first: int, last: int) -> None:
        self.told: list[VenueTrade] = list(
            parse_trades(
                trade(trade_seq=number, trade_id=str(number), timestamp=TIME_MS - (last - number) * 1_000 - 10_000)
                for number in range(first, last + 1)
            ).trades
        )
        self.asked: list[tuple[Any, ...]] = []
        self.is_away = False

    def trades_by_currency(self, currency: str, kind: str, window: Window) -> Iterator[TradeAnswer]:
        self.asked.append(("currency", window))
        yield TradeAnswer(tuple(one for one in self.told if window.start <= one.event_time < window.end))

    def trades_by_instrument(self, name: str, first: int, last: int) -> Iterator[TradeAnswer]:
        self.asked.append(("numbers", first, last))
        yield TradeAnswer(tuple(one for one in self.told if first <= one.trade_seq <= last))

    def last_trade(self, name: str) -> VenueTrade | None:
        return self.told[-1] if self.told else None

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        if self.is_away:
            raise NetworkFailure("away", after_seconds=1)
        return question(self)


class World:
    def __init__(self, history: History) -> None:
        self.history = history
        self.buffer = Buffer(10, 10_000)
        clock = VenueClock(now=TIME, monotonic=0.0)
        self.tape = Tape(self.buffer, Counters(), clock, ("trades",), monotonic=lambda: 0.0)
        rest: Any = history
        self.sweep = Sweep(CollectorSettings(), self.tape, rest)

    def follow(self, last_trade_seq: int | None, interrupted_for: int) -> InstrumentTape:
        tape = self.tape.add(NAME, OptionSeries(1, 11, 12), None)
        tape.chain.last_trade_seq = last_trade_seq
        tape.is_followed, tape.wanted_from = True, 0
        tape.trades_hole = Hole(TIME - interrupted_for, Cause.DISCONNECT, {})
        session: Any = object()
        self.tape.subscribed(session, [trades_channel(NAME)])
        return tape

    def run(self) -> list[int]:
        asyncio.run(self.sweep.sweep())
        return sorted(row.trade_seq for row in self.buffer.take(10_000).trades)


def test_it_begins_five_seconds_before_the_interruption() -> None:
    world = World(History(1, 100))
    tape = world.follow(60, interrupted_for=50 * SECOND)
    assert world.run() == list(range(61, 101))
    ((_, window),) = world.history.asked
    assert window.start == TIME - 50 * SECOND - BACK
    assert tape.trades_hole is None
    assert world.tape.trades.swept_until == TIME


def test_the_next_one_begins_where_the_last_one_ended() -> None:
    world = World(History(1, 100))
    world.follow(60, interrupted_for=50 * SECOND)
    world.run()
    assert world.run() == []
    assert world.history.asked[1][1].start == TIME - BACK


def test_beyond_a_day_it_asks_by_numbers() -> None:
    world = World(History(1, 3_000))
    tape = world.follow(500, interrupted_for=3 * DAY)
    world.tape.trades.swept_until = TIME
    assert world.run() == list(range(501, 3_001))
    assert [asked for asked in world.history.asked if asked[0] == "numbers"] == [
        ("numbers", 501, 1_500), ("numbers", 1_501, 2_500), ("numbers", 2_501, 3_000),
    ]  # fmt: skip
    assert tape.trades_hole is None


def test_beyond_a_day_and_without_a_trade_that_is_held_it_looks_for_the_beginning() -> None:
    history = History(1, 3_000)
    history.told = [one for one in history.told if one.trade_seq != 1_200]
    start = history.told[1_000].event_time
    world = World(history)
    tape = world.follow(None, interrupted_for=3 * DAY)
    tape.trades_hole = Hole(start, Cause.RESTART, {})
    tape.missing_trades = []
    asyncio.run(world.sweep._newer_than_held(tape, TIME))
    assert sorted(row.trade_seq for row in world.buffer.take(10_000).trades) == [
        *range(1_001, 1_200),
        *range(1_201, 3_001),
    ]


def test_a_hole_in_the_chain_is_asked_for_by_its_numbers_and_told_as_fetched() -> None:
    world = World(History(1, 100))
    tape = world.follow(100, interrupted_for=SECOND)
    tape.missing_trades = [MissingTrades(20, 22, 3)]
    asyncio.run(world.sweep.sweep())
    taken = world.buffer.take(100)
    assert [row.trade_seq for row in taken.trades] == [20, 21, 22]
    assert taken.notes == [TradesFetched(12, 20, 22, 1)]
    assert tape.missing_trades == []


def test_nothing_is_taken_for_swept_while_the_venue_is_away() -> None:
    world = World(History(1, 100))
    tape = world.follow(60, interrupted_for=50 * SECOND)
    world.history.is_away = True
    with pytest.raises(NetworkFailure):
        world.run()
    assert (tape.trades_hole is None, world.tape.trades.swept_until) == (False, 0)
    world.history.is_away = False
    assert world.run() == list(range(61, 101))


def test_an_instrument_that_ended_is_let_go_after_its_last_trades() -> None:
    world = World(History(1, 100))
    world.follow(60, interrupted_for=50 * SECOND)
    world.tape.end(NAME, TIME)
    asyncio.run(world.sweep.sweep())
    taken = world.buffer.take(100)
    assert [row.trade_seq for row in taken.trades] == list(range(61, 101))
    assert taken.notes[-1] == Unfollowed([11, 12], TIME)
    assert not world.tape.tapes
