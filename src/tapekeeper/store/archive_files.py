"""Files of an archive that were loaded: what they were then, and when that was last compared with what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import from_microseconds, to_microseconds
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.archive import ArchiveFile
    from tapekeeper.model.series import Dataset

# Of a file that is as it was, more may have been taken before; of one that was replaced, what was taken was of the old.
_NOTE_LOADED: Final = """
    INSERT INTO archive_files AS known
        (series_id, name, window_start, window_end, sha256, size_bytes, rows_told, loaded_at, checked_at)
    VALUES (
        %(series_id)s, %(name)s, %(start)s, %(end)s, %(sha256)s, %(size_bytes)s, %(rows)s,
        clock_timestamp(), clock_timestamp()
    )
    ON CONFLICT (series_id, name) DO UPDATE SET
        window_start = CASE WHEN known.sha256 = excluded.sha256
            THEN least(known.window_start, excluded.window_start) ELSE excluded.window_start END,
        window_end = CASE WHEN known.sha256 = excluded.sha256
            THEN greatest(known.window_end, excluded.window_end) ELSE excluded.window_end END,
        sha256 = excluded.sha256,
        size_bytes = excluded.size_bytes,
        rows_told = excluded.rows_told,
        loaded_at = excluded.loaded_at,
        checked_at = excluded.checked_at
"""
_DUE: Final = """
    SELECT
        series_id, instruments.name, resolution_seconds, file.name, window_start, window_end,
        sha256, size_bytes, rows_told, loaded_at, checked_at
    FROM archive_files AS file
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE dataset = %(dataset)s AND checked_at < %(before)s
    ORDER BY checked_at, series_id, file.name
    LIMIT %(limit)s
"""


class KeptChecksum(NamedTuple):
    """What a file was when it was loaded."""

    sha256: str
    window: Window
    """From the first to the last moment that was taken from it."""


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file that was loaded, as it was then."""

    series_id: int
    instrument_name: str
    dataset: Dataset
    resolution: Resolution
    name: str
    """As `ArchiveFile.name`."""
    window: Window
    """From the first to the last moment that was taken from it."""
    sha256: str
    size_bytes: int
    rows_told: int
    """How many rows it told when it was last loaded."""
    loaded_at: datetime
    checked_at: datetime
    """When its checksum was last compared."""


def note_loaded(
    cursor: Cursor, series_id: int, file: ArchiveFile, taken: Window, *, sha256: str, size_bytes: int, rows: int
) -> None:
    """Note that a window was taken from a file, in the transaction of its rows.

    A file that is what it was keeps the windows that were taken before, as the hull of all; one that was replaced does
    not.
    """
    start, end = taken.as_datetimes()
    values = {"series_id": series_id, "name": file.name, "start": start, "end": end}
    cursor.execute(_NOTE_LOADED, {**values, "sha256": sha256, "size_bytes": size_bytes, "rows": rows})


def loaded_sha256(cursor: Cursor, series_id: int, name: str) -> KeptChecksum | None:
    """Return the checksum of a file when it was loaded and what was taken from it, None if it never was."""
    cursor.execute(
        "SELECT sha256, window_start, window_end FROM archive_files WHERE series_id = %s AND name = %s",
        (series_id, name),
    )
    row = cursor.fetchone()
    return None if row is None else KeptChecksum(row[0], Window(to_microseconds(row[1]), to_microseconds(row[2])))


def due_for_look(cursor: Cursor, dataset: Dataset, *, before: int, limit: int) -> list[LoadedFile]:
    """Return the files of a dataset whose checksum was last compared before a moment, the longest ago first.

    The moment is in microseconds since 1970.
    """
    cursor.execute(_DUE, {"dataset": dataset.name, "before": from_microseconds(before), "limit": limit})
    return [
        LoadedFile(
            series_id,
            instrument_name,
            dataset,
            Resolution(seconds),
            name,
            Window(to_microseconds(start), to_microseconds(end)),
            *rest,
        )
        for series_id, instrument_name, seconds, name, start, end, *rest in cursor.fetchall()
    ]


def note_looked(cursor: Cursor, series_id: int, name: str) -> None:
    """Note that the checksum of a file was compared just now."""
    cursor.execute(
        "UPDATE archive_files SET checked_at = clock_timestamp() WHERE series_id = %s AND name = %s", (series_id, name)
    )
