"""Tables that are kept by the UTC day: a partition for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.store.arrays import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from psycopg2.extensions import cursor as Cursor


def ensure_partitions(cursor: Cursor, table: str, days: Iterable[date]) -> None:
    """Make the partitions of UTC days that do not exist yet."""
    cursor.execute("SELECT ensure_day_partition(%s, day) FROM unnest(%s::date[]) AS day", (table, array_of(days)))
