"""Gaps: what happens to a recorded hole, and what there is to read about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tapekeeper.clock import from_microseconds
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.gap import Cause, Gap, GapState
from tapekeeper.model.gap_record import GapEvent, KeptReceipt, ListedGap
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.gap_counts import Lack, lack
from tapekeeper.store.gap_rows import SELECT_GAPS, gap_of, locked_gap, move, note, told_so_far, write_receipt
from tapekeeper.store.told import is_told, recount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from psycopg2.extensions import cursor as Cursor

_SELECT_LISTED: Final = """
    SELECT gap_id, series_id, window_start, window_end, first_sequence, last_sequence, missing, cause, state, evidence,
        dataset, name, resolution_seconds, opened_at, closed_at, next_attempt_at, found_empty_at, attempts
    FROM data_gaps
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
"""
_WANTED: Final = """
    WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
        AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    ORDER BY closed_at IS NOT NULL, window_end DESC, missing DESC, gap_id
    LIMIT %(limit)s
"""
_GAP_WIDTH: Final = 10
"""How many columns of a listed gap are those of the gap itself."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What all tries to repair a gap brought, counted in the table itself when it was closed."""

    gap_id: int
    state: GapState
    """How it was closed."""
    rows_found: int
    rows_missing: int


def classify(cursor: Cursor, gap_id: int, cause: Cause, *, by: str, why: str) -> Gap:
    """Say why an open gap is there; `Cause.UNKNOWN` says that nobody knows.

    Raises:
        InvariantBroken: the gap is not open, or there is none of this id.
    """
    return move(cursor, locked_gap(cursor, gap_id), GapState.CLASSIFIED, by=by, why=why, cause=cause)


def learn_cause(cursor: Cursor, gap_id: int, cause: Cause, *, by: str, why: str) -> None:
    """Give a cause to a gap that is not closed and whose cause was unknown: an open one becomes classified by it."""
    gap = locked_gap(cursor, gap_id)
    if gap.state is GapState.OPEN:
        move(cursor, gap, GapState.CLASSIFIED, by=by, why=why, cause=cause)
    elif gap.cause is Cause.UNKNOWN and not gap.state.is_closed:
        cursor.execute("UPDATE data_gaps SET cause = %s WHERE gap_id = %s", (cause.value, gap_id))
        note(cursor, gap_id, gap.state, gap.state, by=by, why=why)


def begin_repair(
    cursor: Cursor, gap_id: int, *, by: str, why: str, evidence: Mapping[str, object] | None = None
) -> Gap:
    """Note that somebody fetches what is missing now.

    Raises:
        InvariantBroken: the gap is not classified, or there is none of this id.
    """
    begun = move(cursor, locked_gap(cursor, gap_id), GapState.REPAIRING, by=by, why=why, evidence=evidence)
    cursor.execute("UPDATE data_gaps SET attempts = attempts + 1 WHERE gap_id = %s", (gap_id,))
    return begun


def postpone_repair(
    cursor: Cursor,
    gap_id: int,
    *,
    next_attempt_at: int,
    by: str,
    why: str,
    requests: int = 0,
) -> Gap:
    """Note that a repair could not be finished and when to try again, in microseconds since 1970.

    What it brought is counted in the table and taken off at once, so that the account is true meanwhile.

    Raises:
        InvariantBroken: the gap is not being repaired, or there is none of this id.
    """
    gap = locked_gap(cursor, gap_id)
    found = _take_off_found(cursor, gap, _lack_of(cursor, gap))
    evidence = {"requests": requests, "found": found}
    return move(cursor, gap, GapState.CLASSIFIED, by=by, why=why, next_attempt_at=next_attempt_at, evidence=evidence)


def note_empty(cursor: Cursor, gap_id: int, asked_at: int) -> None:
    """Keep when the venue was asked and had none of what is still missing; the first time stays.

    `asked_at` is in microseconds since 1970.
    """
    cursor.execute(
        "UPDATE data_gaps SET found_empty_at = least(found_empty_at, %s) WHERE gap_id = %s",
        (from_microseconds(asked_at), gap_id),
    )


def close_gap(
    cursor: Cursor, gap_id: int, *, requests: int, by: str, evidence: Mapping[str, object] | None = None
) -> Receipt:
    """Count in the table what a repair brought, and close the gap as repaired or, with the rest explained, permanent.

    `requests` is how often the venue was asked by this try; all of its answers have been written before. Trades that
    were found have counted themselves when they were inserted, so they are expected no longer on the gap's behalf.

    Raises:
        InvariantBroken: the gap is not being repaired, nothing about it can be counted, or there is none of this id.
    """
    gap = locked_gap(cursor, gap_id)
    lacking = _lack_of(cursor, gap)
    to = GapState.PERMANENT if lacking.missing else GapState.REPAIRED
    why = f"{_found(gap, lacking)} of {gap.missing} missing rows were found"
    return _close(cursor, gap, lacking, to, by=by, why=why, evidence={**(evidence or {}), "requests": requests})


def close_filled(cursor: Cursor, gap_id: int, *, by: str) -> Receipt | None:
    """Close a gap that nobody repairs as repaired if nothing of it is missing any more; None if something is."""
    gap = locked_gap(cursor, gap_id)
    if gap.state not in {GapState.OPEN, GapState.CLASSIFIED}:
        return None
    lacking = _lack_of(cursor, gap)
    return None if lacking.missing else _close_as_filled(cursor, gap, lacking, by=by)


def accept(cursor: Cursor, gap_id: int, *, by: str, note: str) -> Gap:
    """Live with a gap: what is still missing is explained by the person who says so.

    A gap of which nothing is missing any more is repaired instead.

    Raises:
        ConfigInvalid: there is no gap of this id, or nobody says why.
        InvariantBroken: the gap is closed already.
    """
    if not by.strip() or not note.strip():
        raise ConfigInvalid("a gap is accepted by a person who says why: give a name and a note")
    find_gap(cursor, gap_id)
    gap = locked_gap(cursor, gap_id)
    if gap.state is GapState.OPEN:
        gap = move(cursor, gap, GapState.CLASSIFIED, by=by, why="it is accepted without a known cause")
    gap.state.require(GapState.ACCEPTED)
    lacking = _lack_of(cursor, gap)
    if not lacking.missing:
        _close_as_filled(cursor, gap, lacking, by=by)
    else:
        _close(cursor, gap, lacking, GapState.ACCEPTED, by=by, why=note, evidence={})
    return find_gap(cursor, gap_id)


def open_gaps(cursor: Cursor, series_ids: Iterable[int]) -> list[Gap]:
    """Return the gaps of series that are not closed, oldest first."""
    cursor.execute(
        SELECT_GAPS + " WHERE series_id = ANY(%s) AND closed_at IS NULL ORDER BY gap_id",
        (list(series_ids),),
    )
    return [gap_of(row) for row in cursor.fetchall()]


def find_gap(cursor: Cursor, gap_id: int) -> Gap:
    """Return a gap.

    Raises:
        ConfigInvalid: there is none of this id.
    """
    cursor.execute(SELECT_GAPS + " WHERE gap_id = %s", (gap_id,))
    row = cursor.fetchone()
    if row is None:
        raise _unknown(gap_id)
    return gap_of(row)


def list_gaps(
    cursor: Cursor, *, dataset: str | None = None, states: Iterable[GapState] | None = None, limit: int = 100
) -> list[ListedGap]:
    """Return gaps, of all datasets and in all states unless told, those first that are not closed, newest first."""
    wanted = None if states is None else [state.value for state in states]
    cursor.execute(_SELECT_LISTED + _WANTED, {"dataset": dataset, "states": wanted, "limit": limit})
    return [_listed(row) for row in cursor.fetchall()]


def listed_gap(cursor: Cursor, gap_id: int) -> ListedGap:
    """Return a gap with what a person needs to recognise it.

    Raises:
        ConfigInvalid: there is none of this id.
    """
    cursor.execute(_SELECT_LISTED + " WHERE gap_id = %s", (gap_id,))
    row = cursor.fetchone()
    if row is None:
        raise _unknown(gap_id)
    return _listed(row)


def events_of(cursor: Cursor, gap_id: int) -> list[GapEvent]:
    """Return every step of a gap, oldest first."""
    cursor.execute(
        "SELECT from_state, to_state, happened_at, by, why, evidence FROM data_gap_events WHERE gap_id = %s "
        "ORDER BY event_id",
        (gap_id,),
    )
    return [
        GapEvent(None if was is None else GapState(was), GapState(to), *rest) for was, to, *rest in cursor.fetchall()
    ]


def receipt_of(cursor: Cursor, gap_id: int) -> KeptReceipt | None:
    """Return the receipt of a gap, None before it is closed."""
    cursor.execute(
        "SELECT requests, rows_found, rows_missing, digest_before, digest_after, checked_at FROM repair_receipts "
        "WHERE gap_id = %s",
        (gap_id,),
    )
    row: tuple[Any, ...] | None = cursor.fetchone()
    return None if row is None else KeptReceipt(*row)


def _listed(row: tuple[Any, ...]) -> ListedGap:
    return ListedGap(gap_of(row[:_GAP_WIDTH]), *row[_GAP_WIDTH:])


def _unknown(gap_id: int) -> ConfigInvalid:
    return ConfigInvalid(f"there is no gap {gap_id}: `tapekeeper gaps list --all` tells which there are")


def _lack_of(cursor: Cursor, gap: Gap) -> Lack:
    return lack(cursor, gap.series_id, gap.window, gap.sequences)


def _found(gap: Gap, lacking: Lack) -> int:
    """Return how much came since the gap was recorded; a piece of which the middle was told lacks more pieces."""
    return max(0, gap.missing - lacking.missing)


def _take_off_found(cursor: Cursor, gap: Gap, lacking: Lack) -> int:
    """Return what was found since the last time; trades of it are expected no longer on the gap's behalf."""
    found = _found(gap, lacking) - told_so_far(cursor, gap.gap_id).found
    if gap.sequences is not None and found:
        change_account(cursor, [Change(gap.series_id, gap.account_day, expected=-found)])
    return found


def _close(
    cursor: Cursor, gap: Gap, lacking: Lack, to: GapState, *, by: str, why: str, evidence: Mapping[str, object]
) -> Receipt:
    found = _take_off_found(cursor, gap, lacking)
    move(cursor, gap, to, by=by, why=why, evidence={**evidence, "found": found})
    told = told_so_far(cursor, gap.gap_id)
    write_receipt(cursor, gap.gap_id, requests=told.requests, found=told.found, lack=lacking)
    _account_lost(cursor, gap, lacking)
    return Receipt(gap.gap_id, to, told.found, lacking.missing)


def _account_lost(cursor: Cursor, gap: Gap, lacking: Lack) -> None:
    if gap.sequences is None and is_told(cursor, gap.series_id):
        recount(cursor, gap.series_id, gap.window)
    else:
        lost = [Change(gap.series_id, day, lost=missing) for day, missing in sorted(lacking.by_day.items())]
        change_account(cursor, lost)


def _close_as_filled(cursor: Cursor, gap: Gap, lacking: Lack, *, by: str) -> Receipt:
    why = "nothing of it is missing any more"
    if gap.state is GapState.OPEN:
        gap = move(cursor, gap, GapState.CLASSIFIED, by=by, why=why)
    if gap.state is GapState.CLASSIFIED:
        gap = move(cursor, gap, GapState.REPAIRING, by=by, why=why)
    return _close(cursor, gap, lacking, GapState.REPAIRED, by=by, why=why, evidence={})
