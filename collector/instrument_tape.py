"""What the collector knows of one instrument: its book, its latest values, its chain of trades, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.gap import Cause
from tapekeeper.model.quote import Quote
from tapekeeper.venues.deribit.book import Book, BookState, ChainBroken, TopChange
from tapekeeper.venues.deribit.trade_chain import TradeChain

if TYPE_CHECKING:
    from collector.notes import Evidence
    from collector.session import Session
    from tapekeeper.store.option_series import OptionSeries, Position
    from tapekeeper.venues.deribit.messages import BookMessage, TickerMessage


_Values = tuple[float | None, float | None, float | None, float | None, float | None, float | None]
_LIVE: Final = BookState.LIVE
NEVER: Final = 2**62
"""Later than every moment."""


class Hole(NamedTuple):
    """An interruption that has not ended."""

    start: int
    """From here on something may be missing; in microseconds since 1970."""
    cause: Cause
    evidence: Evidence


@dataclass(slots=True)
class MissingTrades:
    """Trades that did not come, by their numbers, both included."""

    first: int
    last: int
    remaining: int
    """How many have still not come."""


class InstrumentTape:
    """The state of one instrument; moments in microseconds since 1970."""

    def __init__(self, name: str, series: OptionSeries) -> None:
        self.name = name
        self.series = series
        self.book = Book()
        self.chain = TradeChain()
        self.session: Session | None = None
        """Where its channels are subscribed."""
        self.hole: Hole | None = None
        """In the quotes."""
        self.trades_hole: Hole | None = None
        """Since when trades may have been missed without a sweep."""
        self.subscribed_at: int | None = None
        """When the venue accepted its trades channel; None while it is not subscribed."""
        self.wanted_from = NEVER
        """When its trades were wanted first; older ones are none of ours."""
        self.missing_trades: list[MissingTrades] = []
        self.last_book_time = 0
        self.last_trade_time = 0
        self.is_followed = False
        self.is_adrift = True
        """Nobody knows yet where the database is: until then nothing is accounted, and trades are left to a sweep."""
        self.accounted_until = 0
        self.ends_at: int | None = None
        """Set once it is followed no longer."""
        self._values: _Values = (None, None, None, None, None, None)
        """The latest of the ticker, in the order of a quote: from `mark_price` to `open_interest`."""
        self._ticker_top: tuple[float | None, ...] | None = None

    @property
    def has_whole_book(self) -> bool:
        """Whether its quotes are verified at this moment."""
        return self.hole is None and self.book.state is BookState.LIVE

    def moor(self, position: Position | None) -> Hole | None:
        """Learn where the database is; return the hole from there to the first quote, if quotes came meanwhile.

        Trades are asked for from there on, so the chain begins where the held ones end.
        """
        self.is_adrift, was_followed, open_hole = False, self.is_followed, self.hole
        until = None if position is None else position.accounted_until
        if position is None or until is None or (was_followed and until >= self.accounted_until):
            # The database knows it from us alone.
            if was_followed:
                self.trades_hole = Hole(self.accounted_until, Cause.RESTART, {})
            return None
        hole = Hole(until, Cause.RESTART, {"last_trade_seq": position.last_trade_seq})
        self.chain = TradeChain(position.last_trade_seq)
        self.last_trade_time = position.last_trade_time or 0
        self.is_followed, self.wanted_from = True, 0
        self.accounted_until = hole.start // MICROSECONDS_PER_SECOND * MICROSECONDS_PER_SECOND
        self.trades_hole, self.hole = hole, open_hole if was_followed else hole
        return hole if was_followed else None

    def apply_book(self, message: BookMessage, received_at: int, now: int) -> Quote | ChainBroken | None:
        """Take a frame of the book; return the quote that it makes, or how it breaks the chain.

        `now` is the venue's time: how old a snapshot is must not depend on our clock, which may jump.
        """
        change = self.book.apply(message, now)
        if isinstance(change, ChainBroken):
            return change
        event_time = message.event_time
        if event_time > self.last_book_time and self.book.state is _LIVE:
            self.last_book_time = event_time
        return None if change is None else self._quote(change, received_at)

    def apply_ticker(self, message: TickerMessage, received_at: int) -> Quote | None:
        """Take the latest values; while the book is not whole, a top that differs makes a quote."""
        self._values = (
            message.mark_price,
            message.underlying_price,
            message.mark_iv,
            message.bid_iv,
            message.ask_iv,
            message.open_interest,
        )
        if self.hole is None:
            return None
        top = (message.bid_price, message.bid_size, message.ask_price, message.ask_size)
        if top == self._ticker_top:
            return None
        self._ticker_top = top
        return self._quote(TopChange(message.event_time, 0, *top), received_at, from_ticker=True)

    def break_off(self, hole: Hole) -> None:
        """Begin a hole in the quotes, unless there is one."""
        self._ticker_top = None
        if self.hole is None and self.is_followed:
            self.hole = hole

    def filled(self, trade_seq: int) -> MissingTrades | None:
        """Note that a missing trade came; return the range that is whole by it, if there is one."""
        for missing in self.missing_trades:
            if missing.first <= trade_seq <= missing.last:
                missing.remaining -= 1
                if missing.remaining:
                    return None
                self.missing_trades.remove(missing)
                return missing
        return None

    def _quote(self, top: TopChange, received_at: int, *, from_ticker: bool = False) -> Quote:
        return Quote(
            self.series.instrument_id,
            top.event_time,
            received_at,
            top.change_id,
            top.bid_price,
            top.bid_size,
            top.ask_price,
            top.ask_size,
            *self._values,
            from_ticker,
        )
