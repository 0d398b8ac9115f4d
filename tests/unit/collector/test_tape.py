"""Frames in, rows and notes out: every hole is told, with its cause, and no row is made up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from collector.buffer import Buffer
from collector.counters import Counters
from collector.instrument_tape import InstrumentTape
from collector.notes import Accounted, Followed, QuotesLost, TradesFetched, TradesMissing, Unfollowed
from collector.tape import Tape
from collector.venue_clock import VenueClock
from tapekeeper.model.gap import Cause
from tapekeeper.store.option_series import OptionSeries, Position
from tapekeeper.venues.deribit.channels import book_channel, ticker_channel, trades_channel
from tapekeeper.venues.deribit.messages import decode
from tapekeeper.venues.deribit.trades import parse_trades
from tests.support.deribit_frames import NAME, TIME_MS, book, notification, ticker, trade

MS, SECOND = 1_000, 1_000_000
TIME = TIME_MS * MS
CHANNELS = frozenset({book_channel(NAME), ticker_channel(NAME), trades_channel(NAME)})


class Keeper:
    """Remembers what is subscribed anew."""

    def __init__(self) -> None:
        self.renewed: list[str] = []

    def renew(self, channel: str) -> None:
        self.renewed.append(channel)


@dataclass(eq=False)
class Connection:
    """What the tape sees of a session."""

    session_id: UUID = field(default_factory=lambda: UUID(int=7))
    is_alive: bool = True
    last_frame_at: float = 0.0
    keeper: Keeper = field(default_factory=Keeper)


class World:
    """A tape that follows one option, at a venue whose clock shows `TIME` at the monotonic moment 0."""

    def __init__(self, channels: tuple[str, ...] = ("book", "ticker", "trades")) -> None:
        self.buffer, self.counters = Buffer(100, 100), Counters()
        self.connection: Any = Connection()
        self.seconds = 0.0
        clock = VenueClock(now=TIME, monotonic=0.0)
        self.tape = Tape(self.buffer, self.counters, clock, channels, monotonic=lambda: self.seconds)

    def add(self, position: Position | None = None) -> InstrumentTape:
        return self.tape.add(NAME, OptionSeries(1, 11, 12), position)

    def subscribe(self) -> None:
        self.tape.subscribed(self.connection, CHANNELS)

    def send(self, channel: str, data: Any, after: float = 0.0) -> None:
        """Let a frame come so many seconds after the one before."""
        self.seconds += after
        self.connection.last_frame_at = self.seconds
        received_at = TIME + int(self.seconds * SECOND)
        message: Any = decode(notification(channel, data))
        self.tape.accept(self.connection, [message], received_at, self.seconds)

    def book(self, change_id: int, previous: int | None, after: float = 1.0, bid: float = 1.0) -> None:
        when = TIME_MS + round((self.seconds + after) * 1_000)
        self.send(book_channel(NAME), book(change_id, previous, timestamp=when, bids=[["new", 0.04, bid]]), after)

    def trades(self, *numbers: int, after: float = 0.0) -> None:
        when = TIME_MS + round((self.seconds + after) * 1_000)
        rows = [trade(trade_seq=number, trade_id=f"ETH-{number}", timestamp=when) for number in numbers]
        self.send(trades_channel(NAME), rows, after)

    def swept(self, *numbers: int, at: int) -> None:
        rows = [trade(trade_seq=number, trade_id=f"ETH-{number}", timestamp=at // MS) for number in numbers]
        self.tape.trades.accept_swept(parse_trades(rows).trades, TIME + int(self.seconds * SECOND))


@pytest.fixture
def world() -> World:
    world = World()
    world.add()
    world.subscribe()
    return world


def test_a_trade_that_is_passed_over_before_the_instrument_is_followed_is_missed_by_nobody(world: World) -> None:
    world.swept(5, at=TIME - SECOND)
    world.trades(7)
    assert (world.counters.sequence_breaks, world.buffer.take(10).announced) == (0, [])
    world.book(5, None)
    world.trades(9, after=2.0)
    assert world.counters.sequence_breaks == 1


def test_an_instrument_is_followed_from_the_second_after_its_first_snapshot(world: World) -> None:
    assert world.buffer.take(10).announced == []
    world.book(5, None)
    taken = world.buffer.take(10)
    assert taken.announced == [Followed([11, 12], -(-(TIME + SECOND) // SECOND) * SECOND)]
    assert [(quote.change_id, quote.bid_price, quote.from_ticker) for quote in taken.quotes] == [(5, 0.04, False)]
    assert world.tape.fresh == 1


def test_a_quote_carries_the_latest_values_of_the_ticker(world: World) -> None:
    world.send(ticker_channel(NAME), ticker(mark_price=0.05, bid_iv=0.0))
    world.book(5, None)
    (quote,) = world.buffer.take(10).quotes
    assert (quote.mark_price, quote.bid_iv, quote.ask_iv, quote.open_interest) == (0.05, None, 62.0, 120.0)


def test_a_broken_chain_is_a_hole_until_the_next_snapshot(world: World) -> None:
    world.book(5, None)
    world.book(8, 7)
    assert world.connection.keeper.renewed == [book_channel(NAME)]
    assert (world.counters.sequence_breaks, world.tape.fresh) == (1, 0)
    world.buffer.take(10)
    world.send(ticker_channel(NAME), ticker(best_bid_price=0.03), after=1.0)
    world.send(ticker_channel(NAME), ticker(best_bid_price=0.03), after=1.0)
    world.book(9, 8)
    world.book(20, None)
    world.book(21, 20, bid=2.0)
    taken = world.buffer.take(10)
    told = [(quote.change_id, quote.from_ticker, quote.bid_price) for quote in taken.quotes]
    assert told == [(0, True, 0.03), (20, False, 0.04), (21, False, 0.04)]
    (lost,) = taken.notes
    assert isinstance(lost, QuotesLost)
    assert (lost.series_id, lost.start, lost.cause) == (11, TIME + SECOND, Cause.SEQUENCE_BREAK)
    assert TIME + 6 * SECOND < lost.end <= TIME + 6 * SECOND + 10 * MS
    assert lost.evidence == {"session": str(UUID(int=7)), "expected_change_id": 5, "got_change_id": 7}
    assert world.counters.gaps_recorded[Cause.SEQUENCE_BREAK] == 1


def test_a_snapshot_that_is_lost_as_well_breaks_the_chain_again(world: World) -> None:
    world.book(5, None)
    world.book(8, 7)
    world.tape.unsubscribed([book_channel(NAME)])
    world.subscribe()
    world.book(12, 11)
    assert world.connection.keeper.renewed == [book_channel(NAME)] * 2
    world.tape.unsubscribed([book_channel(NAME)])
    world.book(20, None)
    (lost,) = world.buffer.take(10).notes
    assert isinstance(lost, QuotesLost)
    assert lost.start == TIME + SECOND


def test_a_whole_book_that_is_unsubscribed_is_a_hole_until_its_next_snapshot(world: World) -> None:
    world.book(5, None)
    world.book(6, 5, bid=2.0)
    world.tape.unsubscribed([book_channel(NAME)])
    assert world.tape.fresh == 0
    world.subscribe()
    world.book(9, None, bid=3.0)
    (lost,) = world.buffer.take(10).notes
    assert isinstance(lost, QuotesLost)
    assert (lost.start, lost.cause) == (TIME + 2 * SECOND, Cause.UNSUBSCRIBED)
    assert TIME + 3 * SECOND < lost.end <= TIME + 3 * SECOND + 10 * MS
    assert lost.evidence == {"channel": book_channel(NAME)}


def test_a_cut_is_a_hole_from_the_last_frame_however_quiet_the_instrument_was(world: World) -> None:
    world.book(5, None)
    world.send(ticker_channel(NAME), ticker(timestamp=TIME_MS + 61_000), after=60.0)
    world.tape.interrupted(world.connection, Cause.DISCONNECT, {"close_code": 1006})
    world.subscribe()
    world.book(6, None, after=3.0)
    lost = world.buffer.take(10).notes[-1]
    assert isinstance(lost, QuotesLost)
    assert lost.cause is Cause.DISCONNECT
    assert TIME + 60 * SECOND <= lost.start <= TIME + 61 * SECOND
    assert TIME + 64 * SECOND <= lost.end <= TIME + 65 * SECOND
    assert lost.evidence == {"close_code": 1006}


def test_before_an_open_hole_everything_is_accounted_so_that_a_restart_begins_there(world: World) -> None:
    world.book(5, None)
    world.send(ticker_channel(NAME), ticker(timestamp=TIME_MS + 10_500), after=9.5)
    world.tape.interrupted(world.connection, Cause.DISCONNECT, {})
    world.seconds += 100.0
    world.tape.swept(TIME + 100 * SECOND, [NAME])
    world.tape.account()
    accounted = world.buffer.take(10).notes[-1]
    assert isinstance(accounted, Accounted)
    assert accounted.spans[0].end == (TIME + 10_250_000) // SECOND * SECOND


@pytest.mark.parametrize("delays", [(0.0,), (0.14, 0.15, 0.31), (0.05, 0.9)])
@pytest.mark.parametrize("is_quiet", [True, False])
def test_a_gap_is_longer_than_its_interruption_by_margin_and_delay_and_no_more(
    world: World, delays: tuple[float, ...], is_quiet: bool
) -> None:
    """By the venue's clock: nothing that came lies in the gap, and nothing that might not have come lies before it."""
    world.book(5, None)
    newest = 0
    for number in range(80):
        delay = delays[number % len(delays)]
        told_at = TIME_MS + round((world.seconds + 0.25 - delay) * 1_000)
        if is_quiet:
            world.send(ticker_channel(NAME), ticker(timestamp=told_at), after=0.25)
        else:
            change = book(6 + number, 5 + number, timestamp=told_at, bids=[["new", 0.04, 2.0 + number]])
            world.send(book_channel(NAME), change, after=0.25)
            newest = max(newest, told_at * MS)
    cut_at = TIME + int(world.seconds * SECOND)
    world.tape.interrupted(world.connection, Cause.DISCONNECT, {})
    world.subscribe()
    world.book(500, None, after=3.0)
    lost = world.buffer.take(1_000).notes[-1]
    assert isinstance(lost, QuotesLost)
    longest, shortest = (int(pick(delays) * SECOND) for pick in (max, min))
    begins = cut_at - 250_000 - longest
    assert lost.start == pytest.approx(max(begins, newest), abs=2 * MS)
    assert cut_at + 3 * SECOND - shortest <= lost.end <= cut_at + 3 * SECOND + 2 * MS


def test_a_trade_that_is_passed_over_is_told_and_asked_for(world: World) -> None:
    asked = []
    world.tape.trades.on_missing = lambda: asked.append(True)
    world.book(5, None)
    world.trades(7)
    world.buffer.take(10)
    world.trades(10, after=2.0)
    world.trades(9, after=0.1)
    missing = world.buffer.take(10)
    (note,) = missing.announced
    assert isinstance(note, TradesMissing)
    assert (note.series_id, note.first, note.last, note.cause) == (12, 8, 9, Cause.SEQUENCE_BREAK)
    assert note.start == TIME + SECOND
    assert asked == [True]
    assert missing.notes == []
    world.trades(8, after=0.1)
    last = world.buffer.take(10)
    assert [row.trade_seq for row in (*missing.trades, *last.trades)] == [10, 9, 8]
    assert last.notes == [TradesFetched(12, 8, 9, 0)]


def test_a_trade_that_comes_twice_is_one(world: World) -> None:
    world.trades(7, 8)
    world.trades(8, 9)
    assert [row.trade_seq for row in world.buffer.take(10).trades] == [7, 8, 9]


def test_a_sweep_brings_what_a_cut_took_also_of_a_quiet_instrument(world: World) -> None:
    world.book(5, None)
    world.trades(7, after=1.0)
    world.tape.interrupted(world.connection, Cause.DISCONNECT, {})
    world.seconds += 5.0
    world.tape.clock.observe(TIME + 7 * SECOND, world.seconds)
    world.subscribe()
    world.buffer.take(10)
    world.swept(7, 8, 9, at=TIME + 4 * SECOND)
    taken = world.buffer.take(10)
    (missing,) = taken.announced
    assert isinstance(missing, TradesMissing)
    assert (missing.first, missing.last, missing.cause) == (8, 9, Cause.DISCONNECT)
    assert [row.trade_seq for row in taken.trades] == [8, 9]
    assert taken.notes == [TradesFetched(12, 8, 9, 1)]
    assert world.counters.repaired_trades == 2


def test_a_sweep_leaves_to_the_connection_what_is_still_on_its_way(world: World) -> None:
    world.book(5, None)
    world.trades(7, after=1.0)
    world.seconds = 20.0
    world.swept(8, at=TIME + 19 * SECOND)
    world.buffer.take(10)
    world.trades(8)
    taken = world.buffer.take(10)
    assert (taken.announced, [row.trade_seq for row in taken.trades], taken.notes) == ([], [8], [])


def test_what_happened_before_an_instrument_was_wanted_only_begins_its_chain(world: World) -> None:
    world.swept(3, 4, at=TIME - SECOND)
    world.book(5, None)
    assert not world.buffer.take(10).trades
    world.trades(6, after=2.0)
    (missing,) = world.buffer.take(10).announced
    assert isinstance(missing, TradesMissing)
    assert (missing.first, missing.last) == (5, 5)


def test_a_restart_goes_on_where_the_database_is() -> None:
    world, until = World(), TIME - 100 * SECOND
    world.add(Position(last_trade_seq=7, last_trade_time=until, accounted_until=until))
    world.subscribe()
    world.tape.account()
    assert not world.buffer.take(10), "nothing is accounted while there is a hole"
    world.book(50, None)
    world.trades(9)
    taken = world.buffer.take(10)
    (lost,) = taken.notes
    assert isinstance(lost, QuotesLost)
    assert (lost.start, lost.cause) == (until, Cause.RESTART)
    (missing,) = taken.announced
    assert isinstance(missing, TradesMissing)
    assert (missing.first, missing.last, missing.start, missing.cause) == (8, 8, until, Cause.RESTART)
    world.tape.swept(TIME, [NAME])
    world.tape.account()
    (accounted,) = world.buffer.take(10).notes
    assert isinstance(accounted, Accounted)
    (span,) = accounted.spans
    assert (span.series_id, span.start) == (11, until // SECOND * SECOND)


@pytest.mark.parametrize("until", [TIME - 100 * SECOND, None])
def test_what_is_adrift_makes_quotes_and_waits_with_the_rest(until: int | None) -> None:
    world = World()
    world.tape.add(NAME, OptionSeries(1, 11, 12), None, is_adrift=True)
    world.subscribe()
    world.book(5, None)
    world.trades(9)
    world.book(6, 5, bid=2.0)
    world.tape.account()
    taken = world.buffer.take(10)
    moment = -(-(TIME + SECOND) // SECOND) * SECOND
    assert taken.announced == [Followed([11, 12], moment)]
    assert (len(taken.quotes), taken.trades, taken.notes) == (2, [], [])
    tape = world.tape.moor(NAME, Position(last_trade_seq=7, accounted_until=until))
    world.seconds += 30.0
    world.swept(8, 9, at=TIME + 1_950_000)
    world.tape.swept(TIME + 30 * SECOND, [NAME])
    world.send(ticker_channel(NAME), ticker(timestamp=TIME_MS + 33_000), after=1.0)
    world.tape.account()
    taken = world.buffer.take(10)
    assert [row.trade_seq for row in taken.trades] == [8, 9]
    accounted = taken.notes[-1]
    assert isinstance(accounted, Accounted)
    if until is None:
        assert accounted.spans[0].start == moment
        assert [type(note) for note in taken.notes] == [TradesFetched, Accounted]
    else:
        lost = taken.notes[0]
        assert isinstance(lost, QuotesLost)
        assert (lost.start, lost.end, lost.cause) == (until, moment, Cause.RESTART)
        assert accounted.spans[0].start == until // SECOND * SECOND
    assert not tape.is_adrift


def test_a_trade_before_the_first_one_that_came_is_not_taken_for_held(world: World) -> None:
    world.book(5, None)
    world.trades(9, after=5.0)
    world.seconds += 30.0
    world.swept(7, 8, 9, at=TIME + 3 * SECOND)
    taken = world.buffer.take(10)
    assert sorted(row.trade_seq for row in taken.trades) == [7, 8, 9]


def test_seconds_are_accounted_once_and_only_up_to_a_hole(world: World) -> None:
    world.book(5, None)
    world.send(ticker_channel(NAME), ticker(timestamp=TIME_MS + 10_000), after=9.0)
    world.buffer.take(10)
    world.tape.account()
    begin = -(-(TIME + SECOND) // SECOND) * SECOND
    (accounted,) = world.buffer.take(10).notes
    assert isinstance(accounted, Accounted)
    (span,) = accounted.spans
    assert span.start == begin
    assert TIME + 8 * SECOND < span.end <= TIME + 10 * SECOND
    world.tape.account()
    assert not world.buffer.take(10)
    world.tape.interrupted(world.connection, Cause.DISCONNECT, {})
    world.tape.account()
    assert not world.buffer.take(10)


def test_an_instrument_that_ends_is_told_to_its_end(world: World) -> None:
    world.book(5, None)
    world.trades(7)
    world.buffer.take(10)
    end = TIME + 30 * SECOND
    world.tape.end(NAME, end)
    assert world.tape.names == []
    world.swept(8, at=TIME + 20 * SECOND)
    world.tape.swept(end, [NAME])
    taken = world.buffer.take(10)
    assert taken.notes[-1] == Unfollowed([11, 12], end)
    assert isinstance(taken.notes[0], TradesFetched | Accounted)
    assert not world.tape.tapes


@pytest.mark.parametrize("channels", [("trades",), ("book", "ticker")])
def test_streams_that_are_not_wanted_leave_no_hole_that_nobody_closes(channels: tuple[str, ...]) -> None:
    world = World(channels)
    world.add(Position(last_trade_seq=7, accounted_until=TIME - SECOND))
    world.subscribe()
    if "book" in channels:
        world.book(5, None)
    else:
        world.trades(8, after=1.0)
    world.tape.swept(TIME, [NAME])
    world.buffer.take(10)
    world.send(ticker_channel(NAME), ticker(timestamp=TIME_MS + 5_000), after=4.0)
    world.tape.account()
    assert [type(note) for note in world.buffer.take(10).notes] == [Accounted]
    assert world.tape.fresh == 1


def test_one_channel_for_the_trades_of_all_is_enough() -> None:
    world = World()
    tape = world.add()
    world.tape.subscribed(world.connection, frozenset({book_channel(NAME), "trades.option.ETH.100ms"}))
    assert tape.subscribed_at is not None
    other: Any = Connection()
    world.tape.interrupted(other, Cause.DISCONNECT, {})
    assert tape.trades_hole is None
    world.tape.interrupted(world.connection, Cause.DISCONNECT, {})
    assert tape.trades_hole is not None
    assert not tape.subscribed_at
