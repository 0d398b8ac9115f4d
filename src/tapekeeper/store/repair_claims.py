"""Claims: which gaps are due for a repair, and whose turn each is.

Whoever repairs a gap holds an advisory lock as long as its connection lives, so that a repair that is killed gives its
gap back by itself. The number of the try tells a repair that lost its connection that the gap is no longer its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tapekeeper.clock import now_microseconds, to_microseconds
from tapekeeper.model.gap import Cause, Gap, GapState
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import DATASETS, Dataset
from tapekeeper.store.gap_counts import lack
from tapekeeper.store.gap_rows import locked_gap
from tapekeeper.store.gaps import begin_repair, classify, postpone_repair
from tapekeeper.store.outages import covers_gap
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_LEFT_ALONE: Final = "1 hour"
"""A gap that somebody repairs who holds no lock, such as a live collector, is his for so long."""
# Trades of a series that is followed now are fetched by the collector that lacks them, within minutes.
_DUE: Final = """
    closed_at IS NULL
    AND (
        %(by_hand)s
        OR (
            (next_attempt_at IS NULL OR next_attempt_at <= clock_timestamp())
            AND (
                first_sequence IS NULL
                OR opened_at <= clock_timestamp() - make_interval(secs => %(head_start)s)
                OR NOT EXISTS (
                    SELECT FROM followed
                    WHERE followed.series_id = data_gaps.series_id AND followed.window_end IS NULL
                )
            )
        )
    )
    AND (
        state <> 'repairing'
        OR (
            SELECT evidence ? 'attempt' OR happened_at < clock_timestamp() - %(left_alone)s::interval
            FROM data_gap_events
            WHERE data_gap_events.gap_id = data_gaps.gap_id
            ORDER BY event_id DESC
            LIMIT 1
        )
    )
"""
_LIST_DUE: Final = f"""
    SELECT gap_id FROM data_gaps WHERE {_DUE}
    ORDER BY (window_end AT TIME ZONE 'UTC')::date DESC, missing DESC, gap_id
    LIMIT %(limit)s
"""  # noqa: S608 (made of constants of this module)
_FIND_DUE: Final = f"""
    SELECT attempts, found_empty_at, dataset, name, instrument_id, resolution_seconds
    FROM data_gaps
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE gap_id = %(gap_id)s AND {_DUE}
"""  # noqa: S608 (made of constants of this module)
_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('tapekeeper.repair'), (%s %% 2147483647)::integer)"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtext('tapekeeper.repair'), (%s %% 2147483647)::integer)"


@dataclass(frozen=True, slots=True)
class Claim:
    """A gap that is ours to repair, and what is needed to fetch it."""

    gap: Gap
    attempt: int
    """The number of this try."""
    dataset: Dataset
    instrument_name: str
    instrument_id: int
    resolution: Resolution
    found_empty_at: int | None
    """When the venue was first asked for what is still missing and had none of it, in microseconds since 1970."""
    is_in_outage: bool
    """Registered outages of the venue cover its whole window."""
    missing: int
    """What was missing when the try began; less than the gap tells, where a part came before."""


def due_gaps(cursor: Cursor, *, head_start_minutes: float, limit: int) -> list[int]:
    """Return the gaps that a repair may take up now, those of the newest day first, the largest of a day first.

    The collector has a head start with the trades that it lacks itself.
    """
    cursor.execute(_LIST_DUE, {**_values(head_start_minutes), "limit": limit})
    return [gap_id for (gap_id,) in cursor.fetchall()]


def count_left(cursor: Cursor) -> int:
    """Return how many gaps wait for a repair, due or not."""
    cursor.execute("SELECT count(*) FROM data_gaps WHERE closed_at IS NULL")
    ((count,),) = cursor.fetchall()
    return int(count)


def lock_gap(cursor: Cursor, gap_id: int) -> bool:
    """Hold a gap until it is unlocked or the connection ends; return False if another repair holds it."""
    cursor.execute(_LOCK, (gap_id,))
    return cursor.fetchone() == (True,)


def unlock_gap(cursor: Cursor, gap_id: int) -> None:
    """Let others have the gap."""
    cursor.execute(_UNLOCK, (gap_id,))


def claim(cursor: Cursor, gap_id: int, *, by: str, head_start_minutes: float | None) -> Claim | None:
    """Begin a try to repair a gap whose lock is held; None if it is closed, or not due.

    Without a head start a person asks for it: then it is due whenever it is open.
    """
    cursor.execute("SELECT series_id FROM data_gaps WHERE gap_id = %s", (gap_id,))
    ((series_id,),) = cursor.fetchall()
    lock_series(cursor, series_id)
    cursor.execute(_FIND_DUE, {**_values(head_start_minutes), "gap_id": gap_id})
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        return None
    attempts, found_empty_at, dataset, name, instrument_id, resolution_seconds = row
    gap = _begun(cursor, gap_id, attempts + 1, by)
    return Claim(
        gap=gap,
        attempt=attempts + 1,
        dataset=DATASETS[dataset],
        instrument_name=name,
        instrument_id=instrument_id,
        resolution=Resolution(resolution_seconds),
        found_empty_at=None if found_empty_at is None else to_microseconds(found_empty_at),
        is_in_outage=covers_gap(cursor, gap_id),
        missing=lack(cursor, gap.series_id, gap.window, gap.sequences).missing,
    )


def is_ours(cursor: Cursor, claimed: Claim) -> bool:
    """Return whether a gap is still being repaired by this try, and hold its series until the transaction ends."""
    lock_series(cursor, claimed.gap.series_id)
    cursor.execute("SELECT state, attempts FROM data_gaps WHERE gap_id = %s", (claimed.gap.gap_id,))
    return cursor.fetchone() == (GapState.REPAIRING.value, claimed.attempt)


def give_back(cursor: Cursor, claimed: Claim, *, by: str, why: str) -> None:
    """End a try that was interrupted: the gap is due at once."""
    if is_ours(cursor, claimed):
        postpone_repair(cursor, claimed.gap.gap_id, next_attempt_at=now_microseconds(), by=by, why=why)


def _begun(cursor: Cursor, gap_id: int, attempt: int, by: str) -> Gap:
    state = locked_gap(cursor, gap_id).state
    if state is GapState.OPEN:
        classify(cursor, gap_id, Cause.UNKNOWN, by=by, why="nobody knows why; the venue is asked")
    elif state is GapState.REPAIRING:
        why = "whoever repaired it is gone"
        postpone_repair(cursor, gap_id, next_attempt_at=now_microseconds(), by=by, why=why)
    return begin_repair(cursor, gap_id, by=by, why="the venue is asked for it", evidence={"attempt": attempt})


def _values(head_start_minutes: float | None) -> dict[str, object]:
    return {
        "by_hand": head_start_minutes is None,
        "head_start": 60.0 * (head_start_minutes or 0.0),
        "left_alone": _LEFT_ALONE,
    }
