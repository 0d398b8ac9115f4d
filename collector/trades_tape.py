"""The trades of all instruments: the chain of each, what is missing of it, and what the venue tells when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.instrument_tape import Hole, InstrumentTape, MissingTrades
from collector.notes import TradesFetched, TradesMissing
from tapekeeper.clock import MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.model.gap import Cause
from tapekeeper.venues.deribit.trade_chain import Known, TradeGap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from collector.buffer import Buffer
    from collector.counters import Counters
    from collector.notes import Evidence
    from tapekeeper.venues.deribit.messages import TradesMessage
    from tapekeeper.venues.deribit.trades import VenueTrade

SETTLED_AFTER: Final = 5 * MICROSECONDS_PER_SECOND
"""A trade that is older should have come over the connection; one that is younger may still be on its way."""


class TradesTape:
    """Follows the trades of the instruments of a `Tape`; for the thread of the event loop."""

    def __init__(self, tapes: Mapping[str, InstrumentTape], buffer: Buffer, counters: Counters) -> None:
        """`tapes` is the instruments by name, which others add and take away."""
        self.swept_until = 0
        """Up to here no trade is missing that the venue told when it was asked, in microseconds since 1970."""
        self.on_missing: Callable[[], None] = lambda: None
        """Called when trades are missing, so that somebody fetches them."""
        self._tapes = tapes
        self._buffer = buffer
        self._counters = counters

    @property
    def has_room(self) -> bool:
        """Whether more trades may be added."""
        return self._buffer.has_room

    def accept(self, message: TradesMessage, received_at: int) -> None:
        """Take trades that came over a connection."""
        rows, filled = [], []
        for trade in message.trades:
            tape = self._tapes.get(trade.instrument_name)
            if tape is None or tape.is_adrift:
                continue
            known = tape.chain.accept(trade.trade_seq)
            if known is Known.DUPLICATE:
                continue
            rows.append(trade.as_trade(tape.series.instrument_id, received_at))
            if isinstance(known, TradeGap):
                self._miss(tape, known, trade)
            elif tape.missing_trades:
                filled.append((tape, trade.trade_seq))
            tape.last_trade_time = max(tape.last_trade_time, trade.event_time)
            self._counters.last_tick_at = max(self._counters.last_tick_at, trade.event_time)
        self._buffer.add_trades(rows)
        for tape, trade_seq in filled:
            self._fill(tape, trade_seq)

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
            if tape is None or tape.is_adrift:
                continue
            is_wanted = trade.event_time >= tape.wanted_from
            if is_wanted and trade.event_time >= _settled_before(tape, asked_at):
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

    def _miss(self, tape: InstrumentTape, gap: TradeGap, after: VenueTrade) -> None:
        if after.event_time < tape.wanted_from:
            return  # What is missing is older still, and nobody wanted it then.
        first, last = gap
        hole = tape.trades_hole or Hole(self.swept_until - SETTLED_AFTER, Cause.SEQUENCE_BREAK, {})
        if tape.trades_hole is None:
            self._counters.sequence_breaks += 1
        start = min(max(tape.last_trade_time, hole.start), after.event_time)
        self._announce_missing(tape, first, last, (start, after.event_time + 1), hole)
        tape.missing_trades.append(MissingTrades(first, last, last - first + 1))
        self.on_missing()

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


def _settled_before(tape: InstrumentTape, asked_at: int) -> int:
    """Return the moment before which every trade has had time to come over the connection."""
    if tape.ends_at is not None:
        return asked_at
    if tape.trades_hole is not None and tape.subscribed_at is not None:
        return tape.subscribed_at
    return asked_at - SETTLED_AFTER
