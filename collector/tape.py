"""The tape: messages of all sessions become rows, and what is missing becomes notes."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from collector.instrument_tape import Hole, InstrumentTape
from collector.notes import Accounted, Followed, QuotesLost, Span, Unfollowed
from collector.trades_tape import TradesTape
from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MICROSECONDS_PER_SECOND
from tapekeeper.model.gap import Cause
from tapekeeper.venues.deribit.book import BookState, ChainBroken
from tapekeeper.venues.deribit.channels import book_channel, parse_channel
from tapekeeper.venues.deribit.messages import BookMessage, TickerMessage, TradesMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from collector.buffer import Buffer
    from collector.counters import Counters
    from collector.notes import Evidence
    from collector.session import Session
    from collector.venue_clock import VenueClock
    from tapekeeper.model.quote import Quote
    from tapekeeper.store.option_series import OptionSeries, Position
    from tapekeeper.venues.deribit.messages import MarketMessage

MARGIN: Final = 250_000
"""Frames of one moment reach us within this long of each other, beside the delay that was seen lately; microseconds."""

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
        self._buffer = buffer
        self._counters = counters
        self._monotonic = monotonic
        self._has_book = "book" in channels
        self._has_trades = "trades" in channels
        self._all_trades: Session | None = None
        """Where the trades of the whole currency are subscribed, if they are."""
        self._tapes: dict[str, InstrumentTape] = {}
        self.trades = TradesTape(self._tapes, buffer, counters)

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

    def add(
        self, name: str, series: OptionSeries, position: Position | None, *, is_adrift: bool = False
    ) -> InstrumentTape:
        """Take an instrument; `position` is where the database is if the instrument was followed when we started.

        It is adrift where the database cannot be asked for that: `moor` tells it later.
        """
        tape = self._tapes[name] = InstrumentTape(name, series)
        if not is_adrift:
            self.moor(name, position)
        return tape

    def moor(self, name: str, position: Position | None) -> InstrumentTape:
        """Tell where the database is with an instrument that is adrift; None if it is not followed there.

        What came before its first snapshot is a hole from there on. Its trades were left alone: the next sweep brings
        all of them.
        """
        tape = self._tapes[name]
        first_quote, hole = tape.accounted_until, tape.moor(position)
        if hole is not None and self._has_book:
            self._lose(tape, hole, first_quote)
        if not self._has_trades:
            tape.trades_hole = None
        if not self._has_book:
            tape.hole = None
        if tape.subscribed_at is not None:
            tape.subscribed_at = self.now + MARGIN
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
                if tape.ends_at is None:
                    # A book that was whole is not followed until its next snapshot.
                    start = max(self._verified_at(tape.session), tape.last_book_time)
                    self._break_off(tape, Hole(start, Cause.UNSUBSCRIBED, {"channel": name}))
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

    def accept(self, session: Session, messages: Sequence[MarketMessage], received_at: int, monotonic: float) -> None:
        """Make rows of messages that came together."""
        # First of all: what time it is must not depend on the order of messages that came at one moment.
        if moments := _moments(messages):
            self.clock.observe(max(moments) * MICROSECONDS_PER_MILLISECOND, monotonic)
            self.clock.observe(min(moments) * MICROSECONDS_PER_MILLISECOND, monotonic)
        now = self.clock.at(monotonic)
        quotes: list[Quote] = []
        try:
            for message in messages:
                if isinstance(message, TradesMessage):
                    self.trades.accept(message, received_at)
                    continue
                tape = self._tapes.get(message.instrument_name)
                if tape is None or tape.ends_at is not None:
                    continue
                if isinstance(message, BookMessage):
                    quote = self._quote_of_book(session, tape, message, received_at, now)
                else:
                    quote = tape.apply_ticker(message, received_at)
                if quote is not None:
                    quotes.append(quote)
        finally:
            self._buffer.add_quotes(quotes)
        if quotes:
            self._counters.last_tick_at = max(self._counters.last_tick_at, *(quote.event_time for quote in quotes))

    def _quote_of_book(
        self, session: Session, tape: InstrumentTape, message: BookMessage, received_at: int, now: int
    ) -> Quote | None:
        result = tape.apply_book(message, received_at, now)
        if isinstance(result, ChainBroken):
            self._break_chain(session, tape, result, now)
            return None
        if (tape.hole is None and tape.is_followed) or tape.book.state is not BookState.LIVE:
            return result
        if tape.hole is not None:
            self._close_hole(tape, max(now, message.event_time + 1))
        else:
            self._follow(tape, now)
        return result

    def _break_chain(self, session: Session, tape: InstrumentTape, broken: ChainBroken, now: int) -> None:
        self._counters.sequence_breaks += 1
        evidence: Evidence = {
            "session": str(session.session_id), "expected_change_id": broken.expected, "got_change_id": broken.got,
        }  # fmt: skip
        self._break_off(tape, Hole(tape.last_book_time or now, Cause.SEQUENCE_BREAK, evidence))
        session.keeper.renew(book_channel(tape.name))

    def swept(self, until: int, names: Iterable[str]) -> None:
        """Note that a sweep came to its end: nothing of these instruments is missing before `until`."""
        self.trades.swept_until = max(self.trades.swept_until, until)
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
            if tape.is_followed and not tape.is_adrift and tape.trades_hole is None and tape.ends_at is None:
                end = tape.hole.start if tape.hole else self._verified_at(tape.session)
                span = _span(tape, end)
                if span is not None:
                    spans.append(span)
        if spans:
            self._buffer.note(Accounted(spans))

    def _verified_at(self, session: Session | None) -> int:
        return 0 if session is None else self.clock.at(session.last_frame_at) - MARGIN - self.clock.slowest

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
        if hole is not None and hole.start < end:
            self._lose(tape, hole, end)

    def _lose(self, tape: InstrumentTape, hole: Hole, end: int) -> None:
        self._counters.gaps_recorded[hole.cause] += 1
        self._buffer.note(QuotesLost(tape.series.quotes_series_id, hole.start, end, hole.cause, hole.evidence))


def _span(tape: InstrumentTape, end: int) -> Span | None:
    """Return the whole seconds up to a moment that are not accounted yet, and take them as accounted."""
    end = end // MICROSECONDS_PER_SECOND * MICROSECONDS_PER_SECOND
    if end <= tape.accounted_until:
        return None
    span = Span(tape.series.quotes_series_id, tape.accounted_until, end)
    tape.accounted_until = end
    return span


def _moments(messages: Iterable[MarketMessage]) -> list[int]:
    """Return when the events happened that are told as soon as they did, in milliseconds; a snapshot may be old."""
    moments = []
    for message in messages:
        if isinstance(message, TradesMessage):
            moments += [trade.timestamp for trade in message.trades]
        elif isinstance(message, TickerMessage) or not message.is_snapshot:
            moments.append(message.timestamp)
    return moments
