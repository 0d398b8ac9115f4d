"""Which options have rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset

_HELD: Final = """
    SELECT name
    FROM instruments
    JOIN series USING (instrument_id)
    JOIN series_totals USING (series_id)
    WHERE dataset = %s AND kind = 'option' AND rows_held > 0 AND name = ANY(%s)
"""


def held_options(cursor: Cursor, dataset: Dataset, names: Iterable[str]) -> frozenset[str]:
    """Return those of the names whose options have at least one row in a dataset."""
    cursor.execute(_HELD, (dataset.name, sorted(names)))
    return frozenset(name for (name,) in cursor.fetchall())
