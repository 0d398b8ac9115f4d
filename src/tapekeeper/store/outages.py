"""Outages: when a venue is known to have been away. They explain holes; they never lower what is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tapekeeper.clock import to_microseconds
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.gap import Cause
from tapekeeper.model.series import DATASETS
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

KINDS: Final = (Cause.VENUE_OUTAGE, Cause.VENUE_MAINTENANCE)
"""What an outage can be: the cause that a gap inside it gets."""
_ADD: Final = """
    INSERT INTO outages (venue, window_start, window_end, kind, source, added_by) VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (venue, window_start, window_end) DO UPDATE SET
        kind = excluded.kind, source = excluded.source, added_by = excluded.added_by, added_at = clock_timestamp()
    RETURNING outage_id, venue, window_start, window_end, kind, source, added_by, added_at
"""
_LIST: Final = """
    SELECT outage_id, venue, window_start, window_end, kind, source, added_by, added_at
    FROM outages
    WHERE %(venue)s::text IS NULL OR venue = %(venue)s
    ORDER BY window_start DESC, outage_id
"""
# The outage that a gap shares the most time with tells its cause.
_EXPLAINS: Final = """
    SELECT DISTINCT ON (gap.gap_id) gap.gap_id, outages.kind, outages.source
    FROM data_gaps AS gap
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    JOIN outages USING (venue)
    WHERE gap.closed_at IS NULL AND gap.state IN ('open', 'classified') AND gap.cause = 'unknown'
        AND outages.window_start < gap.window_end AND outages.window_end > gap.window_start
    ORDER BY gap.gap_id,
        least(outages.window_end, gap.window_end) - greatest(outages.window_start, gap.window_start) DESC,
        outages.outage_id
"""
_COVERED: Final = """
    SELECT range_agg(tstzrange(outages.window_start, outages.window_end)) @> tstzrange(gap.window_start, gap.window_end)
    FROM data_gaps AS gap
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    JOIN outages USING (venue)
    WHERE gap_id = %s
    GROUP BY gap_id
"""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a venue is known to have been away."""

    outage_id: int
    venue: str
    window: Window
    kind: Cause
    """One of `KINDS`."""
    source: str
    """Where it was announced, or who saw it."""
    added_by: str
    added_at: datetime


class Explained(NamedTuple):
    """A gap and the outage that explains it."""

    gap_id: int
    kind: Cause
    source: str


def add_outage(cursor: Cursor, *, venue: str, window: Window, kind: Cause, source: str, by: str) -> Outage:
    """Register an outage; the same window of a venue again takes the place of what was registered.

    Raises:
        ConfigInvalid: there is no such venue or kind, or nobody says where it is known from.
    """
    venues = sorted({dataset.venue for dataset in DATASETS.values()})
    if venue not in venues:
        raise ConfigInvalid(f"there is no venue {venue!r}: choose one of {', '.join(venues)}")
    if kind not in KINDS:
        raise ConfigInvalid(f"{kind.value!r} is no kind of outage: choose one of {', '.join(KINDS)}")
    if not source.strip() or not by.strip():
        raise ConfigInvalid("an outage explains holes for ever: tell where it is known from, and who says so")
    cursor.execute(_ADD, (venue, *window.as_datetimes(), kind.value, source, by))
    return _outage(*cursor.fetchall())


def list_outages(cursor: Cursor, venue: str | None) -> list[Outage]:
    """Return the outages of a venue, or of all of them, newest first."""
    cursor.execute(_LIST, {"venue": venue})
    return [_outage(row) for row in cursor.fetchall()]


def gaps_explained(cursor: Cursor) -> list[Explained]:
    """Return the gaps of unknown cause that wait for a repair and lie in an outage, with a part at least."""
    cursor.execute(_EXPLAINS)
    return [Explained(gap_id, Cause(kind), source) for gap_id, kind, source in cursor.fetchall()]


def covers_gap(cursor: Cursor, gap_id: int) -> bool:
    """Return whether outages cover the whole window of a gap, one after the other."""
    cursor.execute(_COVERED, (gap_id,))
    row = cursor.fetchone()
    return row is not None and bool(row[0])


def _outage(row: tuple[Any, ...]) -> Outage:
    outage_id, venue, start, end, kind, source, added_by, added_at = row
    window = Window(to_microseconds(start), to_microseconds(end))
    return Outage(outage_id, venue, window, Cause(kind), source, added_by, added_at)
