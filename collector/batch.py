"""A batch: rows and notes that are committed together, and how each becomes a change of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collector.notes import (
    Accounted,
    Followed,
    Note,
    QuotesLost,
    SessionClosed,
    SessionOpened,
    Span,
    TradesFetched,
    TradesMissing,
    Unfollowed,
)
from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.gap import Cause, GapState, Loss, Sequences
from tapekeeper.model.quote import Quote
from tapekeeper.model.trade import Trade
from tapekeeper.model.window import Window
from tapekeeper.store.account import Seconds, account_seconds
from tapekeeper.store.gaps import begin_repair, classify, close_gap, open_gap, open_gaps
from tapekeeper.store.losses import record_losses
from tapekeeper.store.option_series import follow_from, unfollow
from tapekeeper.store.sessions import close_session, open_session
from tapekeeper.store.ticks import TickCounts, write_ticks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg2.extensions import cursor as Cursor

    from collector.notes import Piece

BY = "collector"


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """What is committed in one transaction; written twice it changes nothing the second time."""

    announced: list[Note]
    """Told before the rows."""
    quotes: list[Quote]
    trades: list[Trade]
    notes: list[Note]
    """Told after the rows."""

    def halves(self) -> list[Batch]:
        """Return two batches that together are this one, or one that cannot be divided any more."""
        parts = [Batch([note], [], [], []) for note in self.announced]
        if self.quotes or self.trades:
            quotes, trades = (len(self.quotes) + 1) // 2, len(self.trades) // 2
            parts += [Batch([], self.quotes[:quotes], self.trades[:trades], [])]
            parts += [Batch([], self.quotes[quotes:], self.trades[trades:], [])]
        parts += [Batch([], [], [], [note]) for note in self.notes]
        return [part for part in parts if part.announced or part.quotes or part.trades or part.notes]


def apply(cursor: Cursor, batch: Batch, collector: str) -> TickCounts:
    """Write a batch, and return what it did to the rows."""
    _tell(cursor, batch.announced, collector)
    counts = write_ticks(cursor, batch.quotes, batch.trades)
    _tell(cursor, batch.notes, collector)
    return counts


def _tell(cursor: Cursor, notes: Iterable[Note], collector: str) -> None:
    losses = [
        Loss(note.series_id, Window(note.start, note.end), note.cause, note.evidence)
        for note in notes
        if isinstance(note, QuotesLost)
    ]
    record_losses(cursor, losses, by=BY)
    for note in notes:
        match note:
            case TradesMissing():
                _open(cursor, note)
            case TradesFetched():
                _close(cursor, note)
            case Accounted():
                _account(cursor, note.spans, losses)
            case Followed():
                follow_from(cursor, note.series_ids, note.moment)
            case Unfollowed():
                unfollow(cursor, note.series_ids, note.moment)
            case SessionOpened() | SessionClosed():
                _tell_session(cursor, note, collector)


def _tell_session(cursor: Cursor, note: SessionOpened | SessionClosed, collector: str) -> None:
    if isinstance(note, SessionOpened):
        open_session(cursor, note.session_id, collector=collector, opened_at=note.opened_at)
        return
    close_session(
        cursor,
        note.session_id,
        closed_at=note.closed_at,
        close_code=note.code,
        close_reason=note.reason,
        messages=note.messages,
        channels=note.channels,
    )


def _open(cursor: Cursor, note: TradesMissing) -> None:
    window, sequences = Window(note.start, note.end), Sequences(note.first, note.last)
    open_gap(cursor, note.series_id, window, sequences, cause=note.cause, by=BY, evidence=note.evidence)


def _close(cursor: Cursor, note: TradesFetched) -> None:
    """Close every gap that lies in what was fetched; the receipt tells what the table holds of it."""
    for gap in open_gaps(cursor, [note.series_id]):
        if gap.sequences is None or not note.first <= gap.sequences.first <= gap.sequences.last <= note.last:
            continue
        if gap.state is GapState.OPEN:
            classify(cursor, gap.gap_id, Cause.UNKNOWN, by=BY, why="the trades came before anybody knew why")
        if gap.state is not GapState.REPAIRING:
            begin_repair(cursor, gap.gap_id, by=BY, why="the venue was asked for the trades")
        close_gap(cursor, gap.gap_id, requests=note.requests, by=BY)


def _account(cursor: Cursor, spans: Iterable[Span], losses: Iterable[Loss]) -> None:
    lost: dict[int, list[Piece]] = {}
    for loss in losses:
        lost.setdefault(loss.series_id, []).append((loss.window.start, loss.window.end))
    by_end: dict[int, list[Seconds]] = {}
    for span in spans:
        pieces = [*span.unverified, *lost.get(span.series_id, ())]
        by_end.setdefault(span.end, []).extend(_seconds(span, pieces))
    for end in sorted(by_end):
        account_seconds(cursor, by_end[end], until=end)


def _seconds(span: Span, unverified: Iterable[Piece]) -> Iterator[Seconds]:
    """Yield followed and verified seconds per UTC day; a second that an unverified piece touches is not verified."""
    pieces = list(unverified)
    for day, part in Window(span.start, span.end).days():
        first, last = part.start // MICROSECONDS_PER_SECOND, part.end // MICROSECONDS_PER_SECOND
        touched: set[int] = set()
        for start, end in pieces:
            touched.update(
                range(max(first, start // MICROSECONDS_PER_SECOND), min(last, -(-end // MICROSECONDS_PER_SECOND)))
            )
        yield Seconds(span.series_id, day, last - first, last - first - len(touched))
