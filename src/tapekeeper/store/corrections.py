"""Corrections: rows that a venue told differently after they were written, as they were and as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from tapekeeper.store.plain import plain_fields

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_LIST: Final = """
    SELECT
        correction_id, dataset, instruments.name, resolution_seconds, event_time, before, after, source, corrected_at
    FROM corrections
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE (%(dataset)s IS NULL OR dataset = %(dataset)s) AND (%(instrument)s IS NULL OR name = %(instrument)s)
    ORDER BY correction_id DESC
    LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Correction:
    """A row that was changed after it was written."""

    correction_id: int
    dataset: str
    instrument: str
    resolution_seconds: int
    """0 where the data have no resolution."""
    event_time: datetime
    """The moment of the row."""
    before: Mapping[str, object]
    """The columns beside the key; times as text."""
    after: Mapping[str, object]
    source: str
    """Who told the new values: rest, or the name and the checksum of a file."""
    corrected_at: datetime

    @property
    def changes(self) -> dict[str, tuple[object, object]]:
        """Return what each column that differs was and is."""
        names = dict.fromkeys([*self.before, *self.after])
        both = {name: (self.before.get(name), self.after.get(name)) for name in names}
        return {name: (was, now) for name, (was, now) in both.items() if was != now}

    def as_json(self) -> dict[str, object]:
        """Return the correction as an object for scripts, with times as ISO 8601 in UTC."""
        return plain_fields(self)


def list_corrections(
    cursor: Cursor, *, dataset: str | None = None, instrument: str | None = None, limit: int = 100
) -> list[Correction]:
    """Return corrections, newest first, of all datasets and instruments unless told."""
    cursor.execute(_LIST, {"dataset": dataset, "instrument": instrument, "limit": limit})
    return [Correction(*row) for row in cursor.fetchall()]
