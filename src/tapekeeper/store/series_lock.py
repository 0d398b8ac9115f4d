"""The locks of series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.store.arrays import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import cursor as Cursor


def lock_series(cursor: Cursor, series_id: int) -> None:
    """Hold the series until the transaction ends; whoever changes its rows or its account holds it first."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (series_id,))


def lock_all_series(cursor: Cursor, series_ids: Iterable[int]) -> None:
    """Hold many, as `lock_series` does; in order, so that two writers never wait for each other in a circle."""
    cursor.execute(
        "SELECT pg_advisory_xact_lock(series_id) FROM unnest(%s::integer[]) AS series_id",
        (array_of(sorted(set(series_ids))),),
    )
