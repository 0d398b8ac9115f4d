"""Chains of ids of series that are told in windows: holes between ids that the venue told without a break."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import to_microseconds
from tapekeeper.model.window import Window
from tapekeeper.store.agg_trade_chain import Chain

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

_HELD: Final = """
    SELECT coalesce(sum(held), 0)::bigint, count(DISTINCT series_id)
    FROM coverage JOIN series USING (series_id)
    WHERE dataset = %s AND day >= %s AND day < %s AND held > 0
"""
_STRETCHES: Final = """
    SELECT series_id, instrument_id, window_start, window_end
    FROM told_windows
    JOIN series USING (series_id)
    WHERE dataset = %s AND window_end > %s AND window_start < %s
    ORDER BY series_id, window_start
"""


class Jump(NamedTuple):
    """Numbers that are not held between two that are."""

    series_id: int
    first: int
    """The first that is missing."""
    last: int
    start: int
    """When the trade before them happened, in microseconds since 1970."""
    end: int
    """When the one after them happened, or right after that."""


def told_chains(cursor: Cursor, scope: Scope) -> tuple[int, int, list[Jump]]:
    """Return how many aggregate trades and chains the closed days of a scope hold, and where the ids jump.

    Each day is looked at by itself, together with the last trade before it in its stretch.
    """
    days = scope.closed_days
    if days is None:
        return 0, 0, []
    cursor.execute(_HELD, (scope.dataset.name, scope.first_day, scope.end_day))
    ((trades, chains),) = cursor.fetchall()
    cursor.execute(_STRETCHES, (scope.dataset.name, *days.as_datetimes()))
    jumps: list[Jump] = []
    for series_id, instrument_id, start, end in cursor.fetchall():
        stretch = Window(to_microseconds(start), to_microseconds(end))
        chain = Chain(cursor, series_id, instrument_id)
        for _, part in (stretch.intersect(days) or stretch).days():
            jumps += [
                Jump(series_id, hole.sequences.first, hole.sequences.last, hole.window.start, hole.window.end)
                for hole in chain.breaks(part, Window(stretch.start, part.end))
            ]
    return trades, chains, jumps
