"""The tape: messages of all sessions become rows, and what is missing becomes notes."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from collector.instrument_tape import Hole, InstrumentTape, MissingTrades
from collector.notes import Accounted, Followed, QuotesLost, Span, TradesFetched, TradesMissing, Unfollowed
from tapekeeper.clock import MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.model.gap import Cause
from tapekeeper.venues.deribit.book import BookState, ChainBroken
from tapekeeper.venues.deribit.channels import book_channel, parse_channel
from tapekeeper.venues.deribit.messages import BookMessage, TickerMessage, TradesMessage
from tapekeeper.venues.deribit.trade_chain import Known, TradeGap

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from collector.buffer import Buffer
    from collector.counters import Counters
    from collector.notes import Evidence
    from collector.session import Session
    from collector.venue_clock import VenueClock
    from tapekeeper.store.option_series import OptionSeries, Position
    from tapekeeper.venues.deribit.messages import Message
    from tapekeeper.venues.deribit.trades import VenueTrade

MARGIN: Final = 250_000
"""Frames of one moment reach us within this long of each other, beside the delay that was seen lately; microseconds."""
SETTLED_AFTER: Final = 5 * MICROSECONDS_PER_SECOND
"""A trade that is older should have come over the connection; one that is younger may still be on its way."""

log = logging.getLogger(__name__)


class Tape:
    """Follows instruments; for the thread of the event loop."""

    def __init__(
        self,
        buffer: Buffer,
        counters: Counters,
        clock: VenueClock,
        channels: Collection[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.swept_until = 0
        """Up to here no trade is missing that the venue told when it was asked, in microseconds since 1970."""
        self.on_missing_trades: Callable[[], None] = lambda: None
        """Called when trades are missing, so that somebody fetches them."""
        self._buffer = buffer
        self._counters = counters
        self._monotonic = monotonic
        self._has_book = "book" in channels
        self._has_trades = "trades" in channels
        self._all_trades: Session | None = None
        """Where the trades of the whole currency are subscribed, if they are."""
        self._tapes: dict[str, InstrumentTape] = {}

    @property
    def tapes(self) -> Collection[InstrumentTape]:
        """Every instrument, those that have just ended among them."""
        return self._tapes.values()

    @property
    def names(self) -> list[str]:
        """The instruments that are followed, or will be as soon as their book is there."""
        return [name for name, tape in self._tapes.items() if tape.ends_at is None]

    @property
    def fresh(self) -> int:
        """How many instruments have a verified feed; may be asked from any thread."""
        return sum(
            tape.session is not None and tape.session.is_alive and (tape.has_whole_book or not self._has_book)
            for tape in list(self._tapes.values())
            if tape.ends_at is None
        )

    @property
    def now(self) -> int:
        """The venue's time, in microseconds since 1970."""
        return self.clock.at(self._monotonic())

    @property
    def has_room(self) -> bool:
        """Whether more trades may be added."""
        return self._buffer.has_room

    def add(self, name: str, series: OptionSeries, position: Position | None) -> InstrumentTape:
        """Take an instrument; `position` is where the database is if the instrument was followed when we started."""
        tape = InstrumentTape(name, series, None if position is None else position.last_trade_seq)
        if position is not None and position.accounted_until is not None:
            evidence: Evidence = {"last_trade_seq": position.last_trade_seq}
            tape.resume(position, Hole(position.accounted_until, Cause.RESTART, evidence))
            if not self._has_trades:
                tape.trades_hole = None
            if not self._has_book:
                tape.hole = None
        self._tapes[name] = tape
        return tape

    def end(self, name: str, moment: int) -> None:
        """Follow an instrument no longer than to a moment; it is forgotten after the next sweep of trades."""
        tape = self._tapes[name]
        tape.ends_at = moment
        if tape.hole is not None:
            self._close_hole(tape, max(moment, tape.hole.start))
        if not tape.is_followed:
            del self._tapes[name]

    def subscribed(self, session: Session, channels: Iterable[str]) -> None:
        """Note that the venue accepted channels."""
        # By the venue's clock as we estimate it, which is late: rather ask for a trade too many.
        now = self.now + MARGIN
        for name in channels:
            channel = parse_channel(name)
            if channel.kind == "all_trades":
                self._all_trades = session
                for tape in self._tapes.values():
                    tape.subscribed_at = now
            elif (found := self._tapes.get(channel.instrument_name or "")) is not None:
                found.session = session
                if channel.kind == "trades" or (self._all_trades and found.subscribed_at is None):
                    found.subscribed_at = now
                if not self._has_book and not found.is_followed:
                    self._follow(found, now)

    def unsubscribed(self, channels: Iterable[str]) -> None:
        """Note that channels ended: a book begins with a snapshot again, and without one its chain is broken anew."""
        for name in channels:
            channel = parse_channel(name)
            tape = self._tapes.get(channel.instrument_name or "")
            if tape is not None and channel.kind == "book":
                tape.book.reset()

    def renew_waiting(self) -> None:
        """Ask again for the snapshots that have not come: the frame may be lost, and no change may follow it."""
        for tape in self._tapes.values():
            if tape.session is not None and tape.ends_at is None and tape.book.state is not BookState.LIVE:
                tape.session.keeper.renew(book_channel(tape.name))

    def interrupted(self, session: Session, cause: Cause, evidence: Evidence) -> None:
        """Note that a connection is gone, and with it the subscriptions of its instruments."""
        start = self._verified_at(session)
        has_all_trades = session is self._all_trades
        for tape in self._tapes.values():
            if tape.ends_at is not None:
                continue
            if has_all_trades or (tape.session is session and self._all_trades is None):
                tape.subscribed_at = None
                if tape.trades_hole is None and self._has_trades:
                    tape.trades_hole = Hole(start, cause, evidence)
            if tape.session is session:
                tape.session = None
                self._break_off(tape, Hole(max(start, tape.last_book_time), cause, evidence))
                tape.book.reset()
        if has_all_trades:
            self._all_trades = None

    def accept(self, session: Session, message: Message, received_at: int, monotonic: float) -> None:
        """Make rows of a message about the market."""
        if type(message) is BookMessage:
            self._accept_book(session, message, received_at, monotonic)
        elif type(message) is TickerMessage:
            self.clock.observe(message.event_time, monotonic)
            tape = self._tapes.get(message.instrument_name)
            if tape is not None and tape.ends_at is None:
                quote = tape.apply_ticker(message, received_at)
                if quote is not None:
                    self._buffer.add_quote(quote)
        elif type(message) is TradesMessage:
            self._accept_trades(message, received_at, monotonic)

    def _accept_book(self, session: Session, message: BookMessage, received_at: int, monotonic: float) -> None:
        tape = self._tapes.get(message.instrument_name)
        if tape is None or tape.ends_at is not None:
            return
        before = tape.last_book_time
        result = tape.apply_book(message, received_at, self.clock.at(monotonic))
        if isinstance(result, ChainBroken):
            self._counters.sequence_breaks += 1
            evidence: Evidence = {
                "session": str(session.session_id), "expected_change_id": result.expected, "got_change_id": result.got,
            }  # fmt: skip
            self._break_off(tape, Hole(before or self.clock.at(monotonic), Cause.SEQUENCE_BREAK, evidence))
            session.keeper.renew(book_channel(tape.name))
            return
        if not message.is_snapshot:
            self.clock.observe(message.event_time, monotonic)
        if result is not None:
            self._buffer.add_quote(result)
            self._counters.last_tick_at = max(self._counters.last_tick_at, result.event_time)
        if tape.book.state is BookState.LIVE:
            if tape.hole is not None:
                self._close_hole(tape, max(self.clock.at(monotonic), message.event_time + 1))
            elif not tape.is_followed:
                self._follow(tape, self.clock.at(monotonic))

    def _accept_trades(self, message: TradesMessage, received_at: int, monotonic: float) -> None:
        rows = []
        for trade in message.trades:
            tape = self._tapes.get(trade.instrument_name)
            if tape is None:
                continue
            self.clock.observe(trade.event_time, monotonic)
            known = tape.chain.accept(trade.trade_seq)
            if known is Known.DUPLICATE:
                continue
            rows.append(trade.as_trade(tape.series.instrument_id, received_at))
            if isinstance(known, TradeGap):
                self._miss(tape, known, trade)
            elif tape.missing_trades:
                self._fill(tape, trade.trade_seq)
            tape.last_trade_time = max(tape.last_trade_time, trade.event_time)
            self._counters.last_tick_at = max(self._counters.last_tick_at, trade.event_time)
        self._buffer.add_trades(rows)

    def accept_swept(self, trades: Iterable[VenueTrade], asked_at: int) -> None:
        """Take trades that the venue told; those that never came over a connection make a gap, closed at once.

        What is older than the wish to have it only tells where the chain of the instrument begins.

        Args:
            trades: in any order.
            asked_at: when the venue was asked, by its clock; what happened just before may still be on its way to us.
        """
        received_at = now_microseconds()
        missed: dict[str, list[VenueTrade]] = {}
        for trade in sorted(trades, key=lambda trade: trade.trade_seq):
            tape = self._tapes.get(trade.instrument_name)
            if tape is None:
                continue
            is_wanted = trade.event_time >= tape.wanted_from
            if is_wanted and trade.event_time >= self._settled_before(tape, asked_at):
                continue
            known = tape.chain.accept(trade.trade_seq)
            if known is Known.DUPLICATE or not is_wanted:
                continue
            if isinstance(known, TradeGap):
                self._miss(tape, known, trade)
            elif tape.missing_trades and trade.trade_seq < (tape.chain.last_trade_seq or 0):
                self._buffer.add_trades([trade.as_trade(tape.series.instrument_id, received_at)])
                self._counters.repaired_trades += 1
                self._fill(tape, trade.trade_seq)
                continue
            missed.setdefault(tape.name, []).append(trade)
        for name, found in missed.items():
            self._keep_missed(self._tapes[name], found, received_at)

    def add_fetched(self, tape: InstrumentTape, trades: Iterable[VenueTrade]) -> None:
        """Take trades that were asked for by their numbers; the database knows which of them it holds."""
        received_at = now_microseconds()
        rows = [trade.as_trade(tape.series.instrument_id, received_at) for trade in trades]
        self._counters.repaired_trades += len(rows)
        self._buffer.add_trades(rows)

    def fetched(self, tape: InstrumentTape, missing: MissingTrades, requests: int) -> None:
        """Note that everything was asked for that the venue has of a hole."""
        if missing in tape.missing_trades:
            tape.missing_trades.remove(missing)
        self._buffer.note(TradesFetched(tape.series.trades_series_id, missing.first, missing.last, requests))

    def swept(self, until: int, names: Iterable[str]) -> None:
        """Note that a sweep came to its end: nothing of these instruments is missing before `until`."""
        self.swept_until = max(self.swept_until, until)
        for name in names:
            tape = self._tapes.get(name)
            if tape is None:
                continue
            tape.trades_hole = None
            if tape.ends_at is not None:
                self._forget(tape)

    def account(self) -> None:
        """Note for every followed instrument up to where all frames are in the buffer."""
        spans = []
        for tape in self._tapes.values():
            if tape.is_followed and tape.trades_hole is None and tape.ends_at is None:
                end = tape.hole.start if tape.hole else self._verified_at(tape.session)
                span = _span(tape, end)
                if span is not None:
                    spans.append(span)
        if spans:
            self._buffer.note(Accounted(spans))

    def _verified_at(self, session: Session | None) -> int:
        return 0 if session is None else self.clock.at(session.last_frame_at) - MARGIN - self.clock.slowest

    def _settled_before(self, tape: InstrumentTape, asked_at: int) -> int:
        """Return the moment before which every trade has had time to come over the connection."""
        if tape.ends_at is not None:
            return asked_at
        if tape.trades_hole is not None and tape.subscribed_at is not None:
            return tape.subscribed_at
        return asked_at - SETTLED_AFTER

    def _follow(self, tape: InstrumentTape, now: int) -> None:
        moment = -(-(now + MARGIN) // MICROSECONDS_PER_SECOND) * MICROSECONDS_PER_SECOND
        tape.is_followed, tape.accounted_until, tape.wanted_from = True, moment, moment
        self._buffer.announce(Followed([tape.series.quotes_series_id, tape.series.trades_series_id], moment))

    def _forget(self, tape: InstrumentTape) -> None:
        moment = tape.ends_at or 0
        span = _span(tape, moment)
        if span is not None:
            self._buffer.note(Accounted([span]))
        self._buffer.note(Unfollowed([tape.series.quotes_series_id, tape.series.trades_series_id], moment))
        del self._tapes[tape.name]

    def _break_off(self, tape: InstrumentTape, hole: Hole) -> None:
        if self._has_book:
            tape.break_off(hole)

    def _close_hole(self, tape: InstrumentTape, end: int) -> None:
        hole, tape.hole = tape.hole, None
        if hole is None or end <= hole.start:
            return
        self._counters.gaps_recorded[hole.cause] += 1
        self._buffer.note(QuotesLost(tape.series.quotes_series_id, hole.start, end, hole.cause, hole.evidence))

    def _miss(self, tape: InstrumentTape, gap: TradeGap, after: VenueTrade) -> None:
        first, last = gap
        hole = tape.trades_hole or Hole(self.swept_until - SETTLED_AFTER, Cause.SEQUENCE_BREAK, {})
        if tape.trades_hole is None:
            self._counters.sequence_breaks += 1
        start = min(max(tape.last_trade_time, hole.start), after.event_time)
        self._announce_missing(tape, first, last, (start, after.event_time + 1), hole)
        tape.missing_trades.append(MissingTrades(first, last, last - first + 1))
        self.on_missing_trades()

    def _fill(self, tape: InstrumentTape, trade_seq: int) -> None:
        whole = tape.filled(trade_seq)
        if whole is not None:
            self._buffer.note(TradesFetched(tape.series.trades_series_id, whole.first, whole.last, 0))

    def _keep_missed(self, tape: InstrumentTape, trades: list[VenueTrade], received_at: int) -> None:
        first, last = trades[0], trades[-1]
        hole = tape.trades_hole or Hole(first.event_time, Cause.SEQUENCE_BREAK, {})
        window = (min(trade.event_time for trade in trades), max(trade.event_time for trade in trades) + 1)
        if tape.is_followed:
            self._announce_missing(tape, first.trade_seq, last.trade_seq, window, hole)
        self._buffer.add_trades([trade.as_trade(tape.series.instrument_id, received_at) for trade in trades])
        self._counters.repaired_trades += len(trades)
        tape.last_trade_time = max(tape.last_trade_time, window[1] - 1)
        self._buffer.note(TradesFetched(tape.series.trades_series_id, first.trade_seq, last.trade_seq, 1))

    def _announce_missing(
        self, tape: InstrumentTape, first: int, last: int, window: tuple[int, int], hole: Hole
    ) -> None:
        self._counters.gaps_recorded[hole.cause] += 1
        evidence: Evidence = {**hole.evidence, "first_missing": first, "last_missing": last}
        self._buffer.announce(TradesMissing(tape.series.trades_series_id, first, last, *window, hole.cause, evidence))


def _span(tape: InstrumentTape, end: int) -> Span | None:
    """Return the whole seconds up to a moment that are not accounted yet, and take them as accounted."""
    end = end // MICROSECONDS_PER_SECOND * MICROSECONDS_PER_SECOND
    if end <= tape.accounted_until:
        return None
    span = Span(tape.series.quotes_series_id, tape.accounted_until, end)
    tape.accounted_until = end
    return span
