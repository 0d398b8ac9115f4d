"""The rows of the gap ledger: a gap, each of its steps, and its receipt. What a step means is in `gaps`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg2.extras import Json

from tapekeeper.clock import from_microseconds, to_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.gap import Cause, Gap, GapState, Sequences
from tapekeeper.model.window import Window
from tapekeeper.store.gap_counts import Lack
from tapekeeper.store.quarantine import storable
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor as Cursor

SELECT_GAPS: Final = """
    SELECT gap_id, series_id, window_start, window_end, first_sequence, last_sequence, missing, cause, state, evidence
    FROM data_gaps
"""
"""Selects what `gap_of` needs, in its order."""
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
_TOLD: Final = """
    SELECT coalesce(sum((evidence ->> 'requests')::bigint), 0)::bigint,
        coalesce(sum((evidence ->> 'found')::bigint), 0)::bigint
    FROM data_gap_events
    WHERE gap_id = %s AND evidence ?| ARRAY['requests', 'found']
"""
_RECEIPT: Final = """
    INSERT INTO repair_receipts (gap_id, requests, rows_found, rows_missing, digest_before, digest_after)
    SELECT gap_id, %(requests)s, %(rows_found)s, %(rows_missing)s, held_digest, %(digest_after)s
    FROM data_gaps
    WHERE gap_id = %(gap_id)s
"""


class Told(NamedTuple):
    """What the steps of a gap say about all tries to repair it so far."""

    requests: int
    found: int
    """Rows that were missing and are held now."""


def insert_gap(
    cursor: Cursor,
    series_id: int,
    window: Window,
    sequences: Sequences | None,
    lack: Lack,
    *,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> Gap:
    """Record a gap; with a cause it is classified at once, else it stays open. The caller holds the series' lock."""
    numbers = (None, None) if sequences is None else (sequences.first, sequences.last)
    told = (cause.value, GapState.OPEN.value, Json(storable(dict(evidence))), lack.digest)
    cursor.execute(_INSERT, (series_id, *window.as_datetimes(), *numbers, lack.missing, *told))
    ((gap_id,),) = cursor.fetchall()
    gap = Gap(gap_id, series_id, window, lack.missing, cause, GapState.OPEN, evidence, sequences)
    note(cursor, gap_id, None, GapState.OPEN, by=by, why=f"{lack.missing} rows are missing")
    if cause is Cause.UNKNOWN:
        return gap
    return move(cursor, gap, GapState.CLASSIFIED, by=by, why="the cause was seen with the gap")


def locked_gap(cursor: Cursor, gap_id: int) -> Gap:
    """Return a gap that nobody else can move until the transaction ends.

    Raises:
        InvariantBroken: there is none of this id.
    """
    cursor.execute("SELECT series_id FROM data_gaps WHERE gap_id = %s", (gap_id,))
    row = cursor.fetchone()
    if row is None:
        raise InvariantBroken(f"there is no gap {gap_id}")
    lock_series(cursor, row[0])
    cursor.execute(SELECT_GAPS + " WHERE gap_id = %s", (gap_id,))
    return gap_of(*cursor.fetchall())


def move(
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
    """Take a locked gap to another state, and keep the step.

    Raises:
        InvariantBroken: it may not go there.
    """
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
    note(cursor, gap.gap_id, gap.state, to, by=by, why=why, evidence=evidence)
    return moved


def note(
    cursor: Cursor,
    gap_id: int,
    was: GapState | None,
    to: GapState,
    *,
    by: str,
    why: str,
    evidence: Mapping[str, object] | None = None,
) -> None:
    """Keep a step of a gap."""
    kept = Json(storable(dict(evidence or {})))
    cursor.execute(_NOTE, (gap_id, None if was is None else was.value, to.value, storable(by), storable(why), kept))


def told_so_far(cursor: Cursor, gap_id: int) -> Told:
    """Return what the steps of a gap say about all tries to repair it."""
    cursor.execute(_TOLD, (gap_id,))
    return Told(*cursor.fetchone() or (0, 0))


def write_receipt(cursor: Cursor, gap_id: int, *, requests: int, found: int, lack: Lack) -> None:
    """Write what all tries brought, and what is lacking nevertheless."""
    values = {"requests": requests, "rows_found": found, "rows_missing": lack.missing, "digest_after": lack.digest}
    cursor.execute(_RECEIPT, {"gap_id": gap_id, **values})


def gap_of(row: tuple[Any, ...]) -> Gap:
    """Return the gap of a row of `SELECT_GAPS`."""
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
