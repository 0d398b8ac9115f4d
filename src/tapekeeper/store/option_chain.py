"""Daily candles of options, which a venue tells by the chain: hundreds of series in one transaction, and their account.

Nobody asks for an option by itself. It is followed from its first held day to its last one, where its chain is
followed and was told: a day in between on which the venue did not tell it is missing, and nothing is expected of it
before and after. A day that was never told of the chain is missing of the chain, and not of each option once more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_DAY, format_moment, to_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.backfill import RowCounts
from tapekeeper.model.instrument import FOREVER
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.arrays import array_of
from tapekeeper.store.catalogue import save_instruments
from tapekeeper.store.grid_incoming import Incoming
from tapekeeper.store.grid_rows import OPTION_CANDLES
from tapekeeper.store.series_lock import lock_all_series, lock_series
from tapekeeper.store.told import mark_told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.candle import Int64Column
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.model.option_candle import OptionCandles
    from tapekeeper.store.grid_incoming import ChangedDay

_DAILY: Final = {"dataset": CRYPTODATADOWNLOAD_OPTION_CANDLES.name, "resolution": 86_400}

_KNOWN: Final = "SELECT name, listed_at FROM instruments WHERE venue = %s AND name = ANY(%s)"
_ADD_SERIES: Final = """
    INSERT INTO series (dataset, instrument_id, resolution_seconds)
    SELECT %(dataset)s, instrument_id, %(resolution)s
    FROM instruments
    WHERE venue = %(venue)s AND name = ANY(%(names)s) AND NOT EXISTS (
        SELECT FROM series
        WHERE series.dataset = %(dataset)s AND series.instrument_id = instruments.instrument_id
            AND series.resolution_seconds = %(resolution)s
    )
    ORDER BY instrument_id
    ON CONFLICT (dataset, instrument_id, resolution_seconds) DO NOTHING
"""
_FIND: Final = """
    SELECT name, series_id
    FROM series
    JOIN instruments USING (instrument_id)
    WHERE dataset = %(dataset)s AND resolution_seconds = %(resolution)s
        AND venue = %(venue)s AND name = ANY(%(names)s)
"""
_ADD_TOTALS: Final = """
    INSERT INTO series_totals (series_id)
    SELECT series_id FROM unnest(%s::integer[]) AS series_id
    ORDER BY series_id
    ON CONFLICT (series_id) DO NOTHING
"""
# Options that live through the window: one that is not told in it may lack a day there.
_OF_CHAIN: Final = """
    SELECT series_id
    FROM instruments AS chain
    JOIN instruments AS option USING (venue, currency)
    JOIN series ON series.instrument_id = option.instrument_id
    JOIN series_totals USING (series_id)
    WHERE chain.instrument_id = (SELECT instrument_id FROM series WHERE series_id = %(chain)s)
        AND option.kind = 'option' AND dataset = %(dataset)s AND resolution_seconds = %(resolution)s
        AND first_event_time < %(end)s AND last_event_time >= %(start)s
"""
_NOTE_ROWS: Final = """
    WITH gained AS (
        SELECT series_id, day, day::timestamp AT TIME ZONE 'UTC' AS moment
        FROM unnest(%(series)s::integer[], %(days)s::date[]) AS gained (series_id, day)
    ), accounted AS (
        INSERT INTO coverage AS account (series_id, day, first_event_time, last_event_time)
        SELECT series_id, day, moment, moment FROM gained
        ORDER BY series_id, day
        ON CONFLICT (series_id, day) DO UPDATE SET
            first_event_time = excluded.first_event_time, last_event_time = excluded.last_event_time
    )
    UPDATE series_totals AS total SET
        rows_held = total.rows_held + gain.rows,
        first_event_time = least(total.first_event_time, gain.first_event_time),
        last_event_time = greatest(total.last_event_time, gain.last_event_time)
    FROM (
        SELECT series_id, count(*) AS rows, min(moment) AS first_event_time, max(moment) AS last_event_time
        FROM gained
        GROUP BY series_id
    ) AS gain
    WHERE total.series_id = gain.series_id
"""
# What is followed only grows, and each window that it becomes begins where one began or where a row is new. So no row
# is both written and removed. What is expected grows by the midnights of the windows: all of them lie inside the life,
# as the first held day is no earlier than the listing and midnight of the last one comes before the expiry.
_FOLLOW: Final = """
    WITH chain AS MATERIALIZED (
        SELECT coalesce(followed.ranges * told.ranges, '{}') AS ranges
        FROM (
            SELECT range_agg(tstzrange(window_start, coalesce(window_end, 'infinity'))) AS ranges
            FROM followed
            WHERE series_id = %(chain)s
        ) AS followed
        CROSS JOIN (
            SELECT range_agg(tstzrange(window_start, window_end)) AS ranges
            FROM told_windows
            WHERE series_id = %(chain)s
        ) AS told
    ), asked AS (
        SELECT
            series_id,
            before,
            before + chain.ranges * tstzmultirange(
                tstzrange(first_event_time, last_event_time + interval '24 hours')
            ) AS after
        FROM unnest(%(series)s::integer[]) AS series_id
        JOIN series_totals USING (series_id)
        CROSS JOIN chain
        CROSS JOIN LATERAL (
            SELECT coalesce(range_agg(tstzrange(window_start, coalesce(window_end, 'infinity'))), '{}') AS before
            FROM followed
            WHERE followed.series_id = series_totals.series_id
        ) AS windows
        WHERE first_event_time IS NOT NULL
    ), grown AS MATERIALIZED (
        SELECT * FROM asked WHERE after <> before
    ), joined AS (
        DELETE FROM followed
        USING grown
        WHERE followed.series_id = grown.series_id
            AND NOT EXISTS (SELECT FROM unnest(after) AS piece WHERE lower(piece) = window_start)
    ), followed_now AS (
        INSERT INTO followed (series_id, window_start, window_end, reason)
        SELECT series_id, lower(piece), nullif(upper(piece), 'infinity'), 'chain'
        FROM grown
        CROSS JOIN LATERAL unnest(after) AS piece
        ORDER BY series_id, lower(piece)
        ON CONFLICT (series_id, window_start) DO UPDATE SET window_end = excluded.window_end
        WHERE followed.window_end IS DISTINCT FROM excluded.window_end
    )
    SELECT series_id, lower(piece), upper(piece)
    FROM grown
    CROSS JOIN LATERAL unnest(after - before) AS piece
"""


def write_chain(
    cursor: Cursor, chain_series_id: int, window: Window, candles: OptionCandles, *, source: str
) -> RowCounts:
    """Write all that the venue told of a window of a chain, bring the account up to date, and note that it was told.

    What is new is inserted, what differs is updated, and `corrections` keeps what it was. Options and series are made
    where they are new; an option is listed on the first day that is known or told of it. What is expected of every
    option that lives through the window follows the rule of this module. The cursor's connection needs
    `INCOMING_GRID_TABLES`.

    Args:
        cursor: of the writer.
        chain_series_id: whose lock is taken first, so that the writers of a chain take turns.
        window: that was asked for.
        candles: in that window.
        source: who told them.

    Raises:
        InvariantBroken: a candle is of a day that begins after its option expired.
    """
    lock_series(cursor, chain_series_id)
    series = _ensure_series(cursor, candles) if len(candles) else np.empty(0, dtype=np.int64)
    start, end = window.as_datetimes()
    cursor.execute(_OF_CHAIN, {**_DAILY, "chain": chain_series_id, "start": start, "end": end})
    touched = sorted({*np.unique(series).tolist(), *(series_id for (series_id,) in cursor.fetchall())})
    lock_all_series(cursor, touched)
    days = Incoming(OPTION_CANDLES, series, candles).merge(cursor, source=source) if len(candles) else []
    mark_told(cursor, chain_series_id, window)
    _account(cursor, chain_series_id, touched, [day for day in days if day.inserted])
    inserted, updated = sum(day.inserted for day in days), sum(day.updated for day in days)
    return RowCounts(len(candles), inserted, updated, len(candles) - inserted - updated)


def _ensure_series(cursor: Cursor, candles: OptionCandles) -> Int64Column:
    """Return the series of each candle, made where it is new, with the options' rows brought up to date."""
    positions, first, position_of = np.unique(candles.option, return_index=True, return_inverse=True)
    options = [candles.options[position] for position in positions.tolist()]
    _require_life(candles, options, position_of)
    # Ascending by day, so that the first candle of an option is of its first day.
    _save(cursor, zip(options, candles.day[first].tolist(), strict=True))
    wanted = {**_DAILY, "venue": CRYPTODATADOWNLOAD_OPTION_CANDLES.venue, "names": [option.name for option in options]}
    cursor.execute(_ADD_SERIES, wanted)
    cursor.execute(_FIND, wanted)
    series_of = dict(cursor.fetchall())
    cursor.execute(_ADD_TOTALS, (array_of(series_of.values()),))
    return np.array([series_of[option.name] for option in options], dtype=np.int64)[position_of]


def _require_life(candles: OptionCandles, options: Sequence[Instrument], position_of: Int64Column) -> None:
    expiries = np.array([option.expires_at or FOREVER for option in options], dtype=np.int64)[position_of]
    late = np.flatnonzero(candles.day >= expiries)
    if len(late):
        option = options[position_of[late[0]]]
        raise InvariantBroken(
            f"{option.name} expired at {format_moment(option.expires_at or FOREVER)} and cannot have a candle of "
            f"{format_moment(int(candles.day[late[0]]))}, as {len(late)} of {len(candles)} rows say: look at the answer"
        )


def _save(cursor: Cursor, told: Iterable[tuple[Instrument, int]]) -> None:
    """Bring the rows of options up to date by what is told of them and of the first day of each."""
    first_days = {option.name: (option, first_day) for option, first_day in told}
    cursor.execute(_KNOWN, (CRYPTODATADOWNLOAD_OPTION_CANDLES.venue, list(first_days)))
    known = {name: to_microseconds(listed_at) for name, listed_at in cursor.fetchall()}
    save_instruments(
        cursor,
        [
            replace(option, listed_at=min(option.listed_at, first_day, known.get(name, FOREVER)))
            for name, (option, first_day) in first_days.items()
        ],
    )


def _account(cursor: Cursor, chain_series_id: int, touched: Sequence[int], gained: Sequence[ChangedDay]) -> None:
    """Count the rows that were inserted, and what is expected now of all series that are touched."""
    if gained:
        rows = {"series": array_of(day.series_id for day in gained), "days": array_of(day.day for day in gained)}
        cursor.execute(_NOTE_ROWS, rows)
    cursor.execute(_FOLLOW, {"chain": chain_series_id, "series": array_of(touched)})
    grown = [
        (series_id, Window(to_microseconds(start), to_microseconds(end))) for series_id, start, end in cursor.fetchall()
    ]
    expected = [
        Change(series_id, day, expected=part.grid_points(MICROSECONDS_PER_DAY))
        for series_id, window in grown
        for day, part in window.days()
    ]
    held = [Change(day.series_id, day.day, held=day.inserted) for day in gained]
    change_account(cursor, [*expected, *held])
