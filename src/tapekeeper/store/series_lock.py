"""The lock of a series."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def lock_series(cursor: Cursor, series_id: int) -> None:
    """Hold the series until the transaction ends; whoever changes its rows or its account holds it first."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (series_id,))
