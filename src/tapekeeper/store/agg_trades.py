"""Aggregate trades: written in bulk with the account of them, and proven by the chain of their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_start, from_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.backfill import RowCounts
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.agg_trade_chain import Chain
from tapekeeper.store.agg_trade_incoming import INCOMING_AGG_TRADES, IncomingAggTrades
from tapekeeper.store.arrays import array_of
from tapekeeper.store.partitions import ensure_partitions
from tapekeeper.store.series_lock import lock_series
from tapekeeper.store.told import mark_told
from tapekeeper.store.trade_gaps import open_gap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.gap import Cause, Gap
    from tapekeeper.model.window import Window
    from tapekeeper.store.agg_trade_incoming import Written

__all__ = ["INCOMING_AGG_TRADES", "ensure_days", "settle_window", "write_agg_trades"]

_EXTEND_DAYS: Final = """
    UPDATE coverage SET
        first_event_time = least(coverage.first_event_time, gain.first),
        last_event_time = greatest(coverage.last_event_time, gain.last)
    FROM (
        SELECT
            day,
            timestamptz 'epoch' + first * interval '1 microsecond' AS first,
            timestamptz 'epoch' + last * interval '1 microsecond' AS last
        FROM unnest(%(days)s::date[], %(firsts)s::bigint[], %(lasts)s::bigint[]) AS gain (day, first, last)
    ) AS gain
    WHERE coverage.series_id = %(series_id)s AND coverage.day = gain.day
"""
# Only where a trade was moved away, which is rare: what was the first or the last of the day may be so no more. The
# bounds of all days are told apart from those of each, so that the planner opens and locks no other partition.
_MEASURE_DAYS: Final = """
    UPDATE coverage SET (first_event_time, last_event_time) = (
        SELECT min(event_time), max(event_time)
        FROM agg_trades
        WHERE instrument_id = %(instrument_id)s AND event_time >= coverage.day::timestamp AT TIME ZONE 'UTC'
            AND event_time < (coverage.day + 1)::timestamp AT TIME ZONE 'UTC'
            AND event_time >= %(from)s AND event_time < %(to)s
    )
    WHERE series_id = %(series_id)s AND day = ANY(%(days)s::date[])
"""
_EXTEND_TOTALS: Final = """
    UPDATE series_totals SET
        rows_held = rows_held + %(rows)s,
        first_event_time = days.first,
        last_event_time = days.last,
        last_sequence = greatest(last_sequence, %(last_id)s)
    FROM (
        SELECT min(first_event_time) AS first, max(last_event_time) AS last
        FROM coverage
        WHERE series_id = %(series_id)s
    ) AS days
    WHERE series_totals.series_id = %(series_id)s
"""


def ensure_days(cursor: Cursor, window: Window) -> None:
    """Make room for the trades of a window, best in a transaction of its own before a long one that writes them.

    Whoever makes a partition keeps all others that need a new one waiting until his transaction ends.
    """
    ensure_partitions(cursor, "agg_trades", [day for day, _ in window.days()])


def write_agg_trades(cursor: Cursor, series_id: int, trades: AggTrades, *, source: str) -> RowCounts:
    """Insert what is new, replace what differs, and change the account by what was really inserted.

    The same trades written twice change nothing. Of every trade that is replaced `corrections` keeps what it was, what
    it is now, and the source that told it. Missing day partitions are made. The cursor's connection needs
    `INCOMING_AGG_TRADES`.

    Raises:
        InvariantBroken: there is no such series, or a value cannot be written; the message names the column.
    """
    if not len(trades):
        return RowCounts()
    # Everything that can be done before others have to wait for the lock is done before it.
    instrument_id = _instrument_of(cursor, series_id)
    incoming = IncomingAggTrades(series_id, instrument_id, trades)
    lock_series(cursor, series_id)
    written = incoming.write(cursor, source=source)
    updated = sum(written.taken_out.values())
    inserted = sum(written.put_in.values()) - updated
    if inserted or updated:
        _account(cursor, {"series_id": series_id, "instrument_id": instrument_id}, incoming, written)
    return RowCounts(len(trades), inserted, updated, len(trades) - inserted - updated)


def settle_window(
    cursor: Cursor,
    series_id: int,
    window: Window,
    *,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> list[Gap]:
    """Note that the venue told a window whole, and return the new gaps: numbers that its trades leave out.

    All trades of the window have been written before, in the same transaction. Holes are looked for inside the window
    and between it and what was told around it without a break.
    """
    lock_series(cursor, series_id)
    instrument_id = _instrument_of(cursor, series_id)
    stretch = mark_told(cursor, series_id, window)
    opened = []
    for hole in Chain(cursor, series_id, instrument_id).breaks(window, stretch):
        opened += open_gap(cursor, series_id, hole.window, hole.sequences, cause=cause, by=by, evidence=evidence)
    return opened


def _instrument_of(cursor: Cursor, series_id: int) -> int:
    cursor.execute("SELECT instrument_id FROM series WHERE series_id = %s", (series_id,))
    row = cursor.fetchone()
    if row is None:
        raise InvariantBroken(f"there is no series {series_id}: call ensure_series before writing")
    return int(row[0])


def _account(cursor: Cursor, ids: Mapping[str, int], incoming: IncomingAggTrades, written: Written) -> None:
    """Bring the account up to date: a trade that was moved over midnight is held on another day than before."""
    gained, days = written.gained, incoming.days
    change_account(cursor, [Change(ids["series_id"], day, expected=rows, held=rows) for day, rows in gained.items()])
    extents = {
        "days": array_of(day.day for day in days),
        "firsts": array_of(day.first for day in days),
        "lasts": array_of(day.last for day in days),
    }
    cursor.execute(_EXTEND_DAYS, {**ids, **extents})
    if written.moved_from:
        start, end = day_start(min(written.moved_from)), day_start(max(written.moved_from)) + MICROSECONDS_PER_DAY
        bounds = {"from": from_microseconds(start), "to": from_microseconds(end)}
        cursor.execute(_MEASURE_DAYS, {**ids, **bounds, "days": array_of(written.moved_from)})
    cursor.execute(_EXTEND_TOTALS, {**ids, "rows": sum(gained.values()), "last_id": incoming.last_id})
