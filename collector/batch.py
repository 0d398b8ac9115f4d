"""A batch: rows and notes that are committed together, and how each becomes a change of the database."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final

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
from tapekeeper.clock import MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.errors import AuthRejected, RetryLater, SchemaTooOld, StorageFull
from tapekeeper.model.gap import Cause, GapState, Loss, Sequences, uncovered
from tapekeeper.model.quote import Quote
from tapekeeper.model.trade import Trade
from tapekeeper.model.window import Window
from tapekeeper.store.account import Seconds, account_seconds, accounted_until
from tapekeeper.store.gap_counts import lack
from tapekeeper.store.gaps import begin_repair, classify, close_gap, note_empty, open_gaps, postpone_repair
from tapekeeper.store.losses import record_losses, touched_seconds
from tapekeeper.store.option_series import follow_from, unfollow
from tapekeeper.store.poison import write_ticks_or_quarantine
from tapekeeper.store.sessions import close_session, open_session
from tapekeeper.store.ticks import TickCounts, write_ticks
from tapekeeper.store.trade_gaps import open_gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.store.database import Database

BY: Final = "collector"
AWAY: Final = (RetryLater, AuthRejected, SchemaTooOld, StorageFull)
"""What ends by itself, or when a person does something: until then batches are kept."""


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """What is committed in one transaction; written twice it changes nothing the second time."""

    announced: list[Note]
    """Told before the rows."""
    quotes: list[Quote]
    trades: list[Trade]
    notes: list[Note]
    """Told after the rows."""


def apply(cursor: Cursor, batch: Batch, collector: str) -> TickCounts:
    """Write a batch, and return what it did to the rows."""
    _tell(cursor, batch.announced, collector)
    counts = write_ticks(cursor, batch.quotes, batch.trades)
    _tell(cursor, batch.notes, collector)
    return counts


def apply_apart(database: Database, batch: Batch, collector: str) -> tuple[TickCounts, list[tuple[Note, Exception]]]:
    """Write a batch that cannot be written as a whole: everything by itself, and what cannot be written is left out.

    Returns:
        what it did to the rows, those in quarantine among them, and the notes that the database refuses.

    Raises:
        TapekeeperError: the database is away; the same batch can be written again.
    """
    refused = _tell_apart(database, batch.announced, collector)
    counts = write_ticks_or_quarantine(database, batch.quotes, batch.trades)
    return counts, refused + _tell_apart(database, batch.notes, collector)


def _tell_apart(database: Database, notes: Iterable[Note], collector: str) -> list[tuple[Note, Exception]]:
    refused: list[tuple[Note, Exception]] = []
    for note in notes:
        try:
            database.run(partial(_tell, notes=[note], collector=collector))
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 (whatever is wrong with a note must not cost the others)
            refused.append((note, error))
    return refused


def _tell(cursor: Cursor, notes: Iterable[Note], collector: str) -> None:
    losses = [
        Loss(note.series_id, Window(note.start, note.end), note.cause, note.evidence)
        for note in notes
        if isinstance(note, QuotesLost)
    ]
    record_losses(cursor, losses, by=BY)
    for note in _joined(notes):
        match note:
            case TradesMissing():
                _open(cursor, note)
            case TradesFetched():
                _close(cursor, note)
            case Accounted():
                _account(cursor, note.spans)
            case Followed():
                follow_from(cursor, note.series_ids, note.moment)
            case Unfollowed():
                unfollow(cursor, note.series_ids, note.moment)
            case SessionOpened() | SessionClosed():
                _tell_session(cursor, note, collector)


def _joined(notes: Iterable[Note]) -> Iterator[Note]:
    """Yield the notes, but instruments that begin at one moment together: a start tells of hundreds, one by one."""
    for moment, neighbours in groupby(notes, lambda note: note.moment if isinstance(note, Followed) else None):
        if moment is None:
            yield from neighbours
        else:
            yield Followed(
                [one for note in neighbours if isinstance(note, Followed) for one in note.series_ids], moment
            )


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
    """Close every gap that lies in what was fetched and is whole now; the receipt tells what the table holds of it.

    What the venue lacks is left to later repairs: it is lost for ever only when the venue still lacks it after a while.
    """
    for gap in open_gaps(cursor, [note.series_id]):
        if gap.sequences is None or not note.first <= gap.sequences.first <= gap.sequences.last <= note.last:
            continue
        if gap.state is GapState.OPEN:
            classify(cursor, gap.gap_id, Cause.UNKNOWN, by=BY, why="the trades came before anybody knew why")
        if gap.state is not GapState.REPAIRING:
            begin_repair(cursor, gap.gap_id, by=BY, why="the venue was asked for the trades")
        missing = lack(cursor, gap.series_id, gap.window, gap.sequences).missing
        if not missing:
            close_gap(cursor, gap.gap_id, requests=note.requests, by=BY)
        elif gap.state is not GapState.REPAIRING:
            now, why = now_microseconds(), f"the venue lacks {missing} trades"
            note_empty(cursor, gap.gap_id, now)
            postpone_repair(cursor, gap.gap_id, next_attempt_at=now, by=BY, why=why, requests=note.requests)


def _account(cursor: Cursor, spans: Sequence[Span]) -> None:
    # A commit whose answer was lost is written again: what it accounted is not accounted twice.
    done = accounted_until(cursor, [span.series_id for span in spans])
    windows = {
        span.series_id: Window(start, span.end)
        for span in spans
        if (start := max(span.start, done.get(span.series_id, span.start))) < span.end
    }
    touched = touched_seconds(cursor, windows)
    by_end: dict[int, list[Seconds]] = {}
    for series_id, window in windows.items():
        by_end.setdefault(window.end, []).extend(_seconds(series_id, window, touched[series_id]))
    for end in sorted(by_end):
        account_seconds(cursor, by_end[end], until=end)


def _seconds(series_id: int, window: Window, touched: Sequence[tuple[int, int]]) -> Iterator[Seconds]:
    """Yield followed and verified seconds per UTC day; a second that a gap touches is not verified."""
    for day, part in window.days():
        first, last = part.start // MICROSECONDS_PER_SECOND, part.end // MICROSECONDS_PER_SECOND
        whole = sum(end - start for start, end in uncovered(first, last, touched))
        yield Seconds(series_id, day, last - first, whole)
