"""Origins: what may have brought a row: chunks of backfills, files, live connections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Final

from tapekeeper.store.plain import plain_fields
from tapekeeper.store.request_origins import ApiRequest

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


_CHUNKS: Final = """
    SELECT run.run_id, run.run_key, run.state, run.mode, chunk.window_start, chunk.window_end,
        (extract(epoch FROM chunk.window_end - chunk.window_start) / nullif(series.resolution_seconds, 0))::bigint,
        chunk.source, chunk.state, chunk.attempts, chunk.rows_fetched, chunk.rows_inserted, chunk.rows_updated,
        chunk.rows_unchanged, chunk.rows_rejected, chunk.error, chunk.finished_at
    FROM backfill_chunks AS chunk
    JOIN backfill_runs AS run USING (run_id)
    JOIN series USING (series_id)
    WHERE chunk.series_id = %(series_id)s AND chunk.window_start <= %(moment)s AND chunk.window_end > %(moment)s
"""
_REQUESTS_OF_CHUNKS: Final = """
    SELECT run_id, window_start, requested_at, method, parameters, status, outcome, reason, latency_seconds, bytes,
        attempt
    FROM unnest(%(runs)s::bigint[], %(starts)s::timestamptz[]) AS chunk (run_id, window_start)
    JOIN api_requests USING (run_id, window_start)
    WHERE series_id = %(series_id)s
    ORDER BY run_id, window_start, requested_at, request_id
"""
_FILES: Final = """
    SELECT name, window_start, window_end, sha256, size_bytes, rows_told, loaded_at, checked_at
    FROM archive_files
    WHERE series_id = %(series_id)s AND window_start <= %(moment)s AND window_end > %(moment)s
    ORDER BY loaded_at
"""
# A trade is known by its id: its time may be what was corrected.
_CORRECTIONS: Final = """
    SELECT corrected_at, source, before, after
    FROM corrections
    WHERE series_id = %(series_id)s
        AND CASE WHEN %(sequence)s::bigint IS NULL THEN event_time = %(moment)s ELSE
            event_time >= %(moment)s - interval '1 day' AND event_time <= %(moment)s + interval '1 day'
            AND (after ->> 'agg_trade_id')::bigint = %(sequence)s
        END
    ORDER BY correction_id
"""
_SESSIONS: Final = """
    SELECT session_id, collector, opened_at, closed_at, close_reason, channels
    FROM collector_sessions
    WHERE opened_at <= %(moment)s AND (closed_at IS NULL OR closed_at > %(moment)s)
    ORDER BY opened_at
"""


class Effect(StrEnum):
    """What a chunk did to a row that is held, as far as its counts tell."""

    BROUGHT = "brought it"
    MAY_HAVE_CHANGED = "may have brought or changed it"
    """It changed some rows of its window and left others alone."""
    LEFT_ALONE = "changed nothing"
    """All that it brought was held already, as it is."""
    NOTHING = "brought nothing"
    SUPERSEDED = "was done before the row was found to be missing"
    """A gap over the moment was recorded after it: whatever it brought is not what is held now."""

    @property
    def is_change(self) -> bool:
        """The row may be what it is because of this chunk."""
        return self in (Effect.BROUGHT, Effect.MAY_HAVE_CHANGED)


@dataclass(frozen=True, slots=True)
class CoveringChunk:
    """A chunk of a backfill whose window holds the moment."""

    run_id: int
    run_key: str
    run_state: str
    mode: str
    window_start: datetime
    window_end: datetime
    grid_points: int | None
    """None where there is no grid."""
    source: str
    """rest or archive."""
    state: str
    attempts: int
    fetched: int
    inserted: int
    updated: int
    unchanged: int
    rejected: int
    error: str | None
    finished_at: datetime | None
    requests: tuple[ApiRequest, ...] = ()
    was_missing_after: bool = False
    """A gap over the moment was recorded after it ended."""

    @property
    def effect(self) -> Effect:
        """What it did to a row of its window that is held."""
        if self.was_missing_after:
            return Effect.SUPERSEDED
        if self.grid_points is None:
            has_all = self.inserted > 0 and not self.updated and not self.unchanged
        else:
            has_all = self.inserted == self.grid_points
        if has_all:
            return Effect.BROUGHT
        if self.inserted + self.updated:
            return Effect.MAY_HAVE_CHANGED
        return Effect.LEFT_ALONE if self.unchanged else Effect.NOTHING

    def as_json(self) -> dict[str, object]:
        """Return it as an object for scripts, with times as ISO 8601 in UTC."""
        return {"effect": self.effect.value, **plain_fields(self)}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of an archive from which a moment was taken."""

    name: str
    window_start: datetime
    """Of what was taken from it."""
    window_end: datetime
    sha256: str
    size_bytes: int
    rows_told: int
    loaded_at: datetime
    checked_at: datetime
    """When its checksum was last compared."""


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row that was changed after it was written."""

    corrected_at: datetime
    source: str
    """Who told the new values."""
    before: Mapping[str, object]
    after: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CollectorSession:
    """A live connection."""

    session_id: str
    collector: str
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    channels: int


def chunks_over(
    cursor: Cursor, series_id: int, moment: datetime, *, missing_at: datetime | None
) -> tuple[CoveringChunk, ...]:
    """Return the chunks whose window holds a moment, with their requests: those that changed its row first.

    `missing_at` is when the row was last known to be missing.
    """
    key = {"series_id": series_id, "moment": moment}
    cursor.execute(_CHUNKS, key)
    chunks = [CoveringChunk(*each) for each in cursor.fetchall()]
    keys = {"runs": [chunk.run_id for chunk in chunks], "starts": [chunk.window_start for chunk in chunks]}
    cursor.execute(_REQUESTS_OF_CHUNKS, {**key, **keys})
    requests = {
        chunk_key: tuple(ApiRequest(*each[2:]) for each in rows)
        for chunk_key, rows in groupby(cursor.fetchall(), key=lambda row: (row[0], row[1]))
    }
    return _changed_first(
        replace(
            chunk,
            requests=requests.get((chunk.run_id, chunk.window_start), ()),
            was_missing_after=bool(missing_at and chunk.finished_at and chunk.finished_at < missing_at),
        )
        for chunk in chunks
    )


def files_over(cursor: Cursor, series_id: int, moment: datetime) -> tuple[SourceFile, ...]:
    """Return the files from which a moment of a series was taken, in the order in which they were loaded."""
    cursor.execute(_FILES, {"series_id": series_id, "moment": moment})
    return tuple(SourceFile(*each) for each in cursor.fetchall())


def corrections_of(cursor: Cursor, series_id: int, moment: datetime, *, sequence: int | None) -> tuple[ChangedRow, ...]:
    """Return what the row at a moment was before, the oldest first; where rows have numbers, the row of that number."""
    cursor.execute(_CORRECTIONS, {"series_id": series_id, "moment": moment, "sequence": sequence})
    return tuple(ChangedRow(*each) for each in cursor.fetchall())


def sessions_at(cursor: Cursor, moment: datetime) -> tuple[CollectorSession, ...]:
    """Return the live connections that were open at a moment."""
    cursor.execute(_SESSIONS, {"moment": moment})
    return tuple(CollectorSession(*each) for each in cursor.fetchall())


def _changed_first(chunks: Iterable[CoveringChunk]) -> tuple[CoveringChunk, ...]:
    """Return those that changed a row before the others, and of each kind the earlier the sooner."""
    never = datetime.max.replace(tzinfo=UTC)
    return tuple(
        sorted(chunks, key=lambda chunk: (not chunk.effect.is_change, chunk.finished_at or never, chunk.run_id))
    )
