"""Quarantine: rows that cannot be believed, kept as they came."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from psycopg2.extras import Json, execute_values

from tapekeeper.clock import from_microseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.answer import RejectedRow


def quarantine(cursor: Cursor, series_id: int, rows: Sequence[RejectedRow]) -> None:
    """Keep rows that cannot be believed as they came; a row seen again is counted, not repeated."""
    execute_values(
        cursor,
        """
        INSERT INTO quarantine AS kept (series_id, event_time, reason, content, times_seen)
        SELECT series_id, min(event_time::timestamptz), reason, content::jsonb, count(*)
        FROM (VALUES %s) AS bad (series_id, event_time, reason, content)
        GROUP BY series_id, reason, content::jsonb
        ORDER BY min(event_time::timestamptz), reason
        ON CONFLICT (series_id, md5(reason || content::text)) DO UPDATE SET
            times_seen = kept.times_seen + excluded.times_seen, last_seen_at = clock_timestamp()
        """,
        [
            (
                series_id,
                None if row.event_time is None else from_microseconds(row.event_time),
                row.reason,
                Json(storable(row.row)),
            )
            for row in rows
        ],
    )


def storable(value: object) -> object:
    """Return a JSON value that PostgreSQL can hold: no NUL, no half of a character, no number that is none."""
    if isinstance(value, str):
        return value.replace("\x00", "\\u0000").encode(errors="backslashreplace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(storable(key)): storable(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [storable(held) for held in value]
    return value
