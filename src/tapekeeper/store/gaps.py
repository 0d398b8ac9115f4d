"""Gaps: every recorded hole, each of its transitions, and the receipt of its repair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg2.extras import Json

from tapekeeper.clock import day_of, from_microseconds, to_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.gap import Cause, Gap, GapState, Sequences, uncovered
from tapekeeper.model.series import DERIBIT_OPTION_TRADES
from tapekeeper.model.window import Window
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.candles import lock_series, storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

_SLACK: Final = timedelta(days=1)
"""Trades of a gap are looked for this far around its window, which spares the partitions of all other days."""
_SELECT: Final = """
    SELECT gap_id, series_id, window_start, window_end, first_sequence, last_sequence, missing, cause, state, evidence
    FROM data_gaps
"""
# A repaired gap claims nothing: what it brought is held.
_CLAIMED: Final = """
    SELECT first_sequence, last_sequence + 1 FROM data_gaps
    WHERE series_id = %s AND state <> 'repaired' AND first_sequence <= %s AND last_sequence >= %s
"""
_HELD: Final = """
    SELECT count(*), md5(coalesce(string_agg(trade_seq::text, ',' ORDER BY trade_seq), ''))
    FROM (
        SELECT DISTINCT trade_seq
        FROM option_trades
        JOIN series USING (instrument_id)
        WHERE series_id = %(series_id)s AND trade_seq BETWEEN %(first)s AND %(last)s
            AND event_time >= %(from)s AND event_time < %(to)s
    ) AS held
"""
_INSERT: Final = """
    INSERT INTO data_gaps (series_id, window_start, window_end, first_sequence, last_sequence, missing, cause, state,
        evidence, held_digest)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    RETURNING gap_id
"""
_MOVE: Final = """
    UPDATE data_gaps SET
        state = %(state)s, cause = %(cause)s, next_attempt_at = %(next_attempt_at)s,
        closed_at = CASE WHEN %(is_closed)s THEN clock_timestamp() END
    WHERE gap_id = %(gap_id)s
"""
_NOTE: Final = """
    INSERT INTO data_gap_events (gap_id, from_state, to_state, by, why, evidence) VALUES (%s, %s, %s, %s, %s, %s)
"""
_RECEIPT: Final = """
    INSERT INTO repair_receipts (gap_id, requests, rows_found, rows_missing, digest_before, digest_after)
    SELECT gap_id, %(requests)s, %(rows_found)s, %(rows_missing)s, held_digest, %(digest_after)s
    FROM data_gaps
    WHERE gap_id = %(gap_id)s
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a repair brought, counted in the table itself."""

    gap_id: int
    state: GapState
    """Repaired where nothing is missing any more, else permanent."""
    rows_found: int
    rows_missing: int


class _Held(NamedTuple):
    """The sequence numbers that are held inside a gap."""

    rows: int
    digest: str
    """MD5 of them in order."""


def open_gap(
    cursor: Cursor,
    series_id: int,
    window: Window,
    sequences: Sequences,
    *,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> list[Gap]:
    """Record that trades are missing, and return the gaps that are new: none if all is held or recorded already.

    There can be several, because a sequence number belongs to one gap. The window reaches from the event before the
    hole to the one after it. What is missing is expected from now on, on the day of the window's end. A gap with a
    cause is classified at once, one whose cause is unknown stays open.

    Raises:
        InvariantBroken: the series is not one of trades, which alone count their rows.
    """
    _require_trades(cursor, series_id)
    lock_series(cursor, series_id)
    cursor.execute(_CLAIMED, (series_id, sequences.last, sequences.first))
    opened = []
    for first, end in uncovered(sequences.first, sequences.last + 1, cursor.fetchall()):
        part = Sequences(first, end - 1)
        held = _held(cursor, series_id, window, part)
        if held.rows < len(part):
            opened.append(_open(cursor, series_id, window, part, held, cause, by, evidence))
    return opened


def classify(cursor: Cursor, gap_id: int, cause: Cause, *, by: str, why: str) -> Gap:
    """Say why an open gap is there.

    Raises:
        InvariantBroken: the gap is not open, or there is none of this id.
    """
    return _move(cursor, _locked(cursor, gap_id), GapState.CLASSIFIED, by=by, why=why, cause=cause)


def begin_repair(cursor: Cursor, gap_id: int, *, by: str, why: str) -> Gap:
    """Note that somebody fetches what is missing now.

    Raises:
        InvariantBroken: the gap is not classified, or there is none of this id.
    """
    return _move(cursor, _locked(cursor, gap_id), GapState.REPAIRING, by=by, why=why)


def postpone_repair(cursor: Cursor, gap_id: int, *, next_attempt_at: int, by: str, why: str) -> Gap:
    """Note that a repair could not be finished and when to try again, in microseconds since 1970.

    Raises:
        InvariantBroken: the gap is not being repaired, or there is none of this id.
    """
    gap = _locked(cursor, gap_id)
    return _move(cursor, gap, GapState.CLASSIFIED, by=by, why=why, next_attempt_at=next_attempt_at)


def close_gap(cursor: Cursor, gap_id: int, *, requests: int, by: str) -> Receipt:
    """Count in the table what a repair brought, and close the gap as repaired or, with the rest explained, permanent.

    `requests` is how many times the venue was asked; all of its answers have been written before. Rows that were found
    have counted themselves when they were inserted, so they are expected no longer on the gap's behalf.

    Raises:
        InvariantBroken: the gap is not being repaired, has no sequence numbers, or there is none of this id.
    """
    gap = _locked(cursor, gap_id)
    if gap.sequences is None:
        raise InvariantBroken(f"gap {gap_id} has no sequence numbers, so nobody can prove that it is repaired")
    held = _held(cursor, gap.series_id, gap.window, gap.sequences)
    still_missing = len(gap.sequences) - held.rows
    found = gap.missing - still_missing
    to = GapState.PERMANENT if still_missing else GapState.REPAIRED
    _move(cursor, gap, to, by=by, why=f"{found} of {gap.missing} missing rows were found", evidence={"found": found})
    values = {"requests": requests, "rows_found": found, "rows_missing": still_missing, "digest_after": held.digest}
    cursor.execute(_RECEIPT, {"gap_id": gap_id, **values})
    change_account(cursor, [Change(gap.series_id, _day(gap.window), expected=-found, lost=still_missing)])
    return Receipt(gap_id, to, found, still_missing)


def open_gaps(cursor: Cursor, series_ids: Iterable[int]) -> list[Gap]:
    """Return the gaps of series that are not closed, oldest first."""
    cursor.execute(_SELECT + " WHERE series_id = ANY(%s) AND closed_at IS NULL ORDER BY gap_id", (list(series_ids),))
    return [_gap(row) for row in cursor.fetchall()]


def _open(
    cursor: Cursor,
    series_id: int,
    window: Window,
    sequences: Sequences,
    held: _Held,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> Gap:
    missing, state = len(sequences) - held.rows, GapState.OPEN
    numbers = (sequences.first, sequences.last, missing)
    told = (cause.value, state.value, Json(storable(dict(evidence))), held.digest)
    cursor.execute(_INSERT, (series_id, *window.as_datetimes(), *numbers, *told))
    ((gap_id,),) = cursor.fetchall()
    gap = Gap(gap_id, series_id, window, missing, cause, state, evidence, sequences)
    _note(cursor, gap.gap_id, None, GapState.OPEN, by, f"{missing} rows are missing", {})
    change_account(cursor, [Change(series_id, _day(window), expected=missing)])
    if cause is Cause.UNKNOWN:
        return gap
    return _move(cursor, gap, GapState.CLASSIFIED, by=by, why="the cause was seen with the gap")


def _move(
    cursor: Cursor,
    gap: Gap,
    to: GapState,
    *,
    by: str,
    why: str,
    cause: Cause | None = None,
    next_attempt_at: int | None = None,
    evidence: Mapping[str, object] | None = None,
) -> Gap:
    gap.state.require(to)
    moved = replace(gap, state=to, cause=cause or gap.cause)
    values = {
        "gap_id": gap.gap_id,
        "state": to.value,
        "cause": moved.cause.value,
        "next_attempt_at": None if next_attempt_at is None else from_microseconds(next_attempt_at),
        "is_closed": to.is_closed,
    }
    cursor.execute(_MOVE, values)
    _note(cursor, gap.gap_id, gap.state, to, by, why, evidence or {})
    return moved


def _note(
    cursor: Cursor, gap_id: int, was: GapState | None, to: GapState, by: str, why: str, evidence: Mapping[str, object]
) -> None:
    kept = Json(storable(dict(evidence)))
    cursor.execute(_NOTE, (gap_id, None if was is None else was.value, to.value, by, storable(why), kept))


def _locked(cursor: Cursor, gap_id: int) -> Gap:
    """Return a gap that nobody else can move until the transaction ends."""
    cursor.execute("SELECT series_id FROM data_gaps WHERE gap_id = %s", (gap_id,))
    row = cursor.fetchone()
    if row is None:
        raise InvariantBroken(f"there is no gap {gap_id}")
    lock_series(cursor, row[0])
    cursor.execute(_SELECT + " WHERE gap_id = %s", (gap_id,))
    return _gap(*cursor.fetchall())


def _held(cursor: Cursor, series_id: int, window: Window, sequences: Sequences) -> _Held:
    start, end = window.as_datetimes()
    values = {"series_id": series_id, "first": sequences.first, "last": sequences.last}
    cursor.execute(_HELD, {**values, "from": start - _SLACK, "to": end + _SLACK})
    return _Held(*(cursor.fetchone() or (0, "")))


def _require_trades(cursor: Cursor, series_id: int) -> None:
    cursor.execute("SELECT dataset FROM series WHERE series_id = %s", (series_id,))
    row = cursor.fetchone()
    if row != (DERIBIT_OPTION_TRADES.name,):
        raise InvariantBroken(f"series {series_id} is {row[0] if row else 'unknown'}, which counts no trades")


def _gap(row: tuple[Any, ...]) -> Gap:
    gap_id, series_id, start, end, first, last, missing, cause, state, evidence = row
    return Gap(
        gap_id=gap_id,
        series_id=series_id,
        window=Window(to_microseconds(start), to_microseconds(end)),
        missing=missing,
        cause=Cause(cause),
        state=GapState(state),
        evidence=evidence,
        sequences=None if first is None else Sequences(first, last),
    )


def _day(window: Window) -> date:
    return day_of(window.end - 1)
