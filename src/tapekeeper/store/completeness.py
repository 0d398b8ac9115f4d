"""Completeness: held and explained of expected, over the UTC days that are over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

WINDOWS: Final = {1: "24h", 7: "7d", 30: "30d"}
"""The windows that are told, by their days."""


def dataset_completeness(cursor: Cursor) -> dict[str, dict[str, float | None]]:
    """Return how complete each dataset is that has a series: by dataset, then by `24h`, `7d`, `30d`.

    From 0 to 1; None where nothing is expected.
    """
    cursor.execute("SELECT DISTINCT dataset FROM series ORDER BY dataset")
    found: dict[str, dict[str, float | None]] = {name: dict.fromkeys(WINDOWS.values()) for (name,) in cursor.fetchall()}
    cursor.execute("SELECT dataset, window_days, completeness FROM dataset_completeness")
    for dataset, days, completeness in cursor.fetchall():
        found[dataset][WINDOWS[days]] = completeness
    return found
