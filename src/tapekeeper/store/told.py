"""What the venue told whole, of series that have no grid: it says what is left to ask, and what is expected.

Of a series without a grid nobody knows beforehand how many rows a day has. What was told is expected as it came; a
piece that is followed and was never told counts as one that is expected and not held: no such day looks complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, day_start, from_microseconds, to_microseconds
from tapekeeper.model.gap import uncovered
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.arrays import array_of

if TYPE_CHECKING:
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

TOLD_DATASETS: Final = (BINANCE_UM_AGG_TRADES.name, CRYPTODATADOWNLOAD_OPTION_CANDLES.name)
"""The names of those that are asked for by series without a resolution, which are told in windows."""
_PIECES: Final = """
    SELECT day::date AS day, piece
    FROM generate_series(%(first_day)s::timestamp, %(last_day)s::timestamp, interval '1 day') AS day
    CROSS JOIN LATERAL unnest(
        (
            SELECT range_agg(tstzrange(window_start, coalesce(window_end, 'infinity')))
            FROM followed WHERE series_id = %(series_id)s
        )
        * tstzmultirange(tstzrange(day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC'))
        * tstzmultirange(tstzrange(%(start)s, %(end)s))
        * tstzmultirange(tstzrange(NULL, (
            SELECT coalesce(accounted_until, '-infinity') FROM series_totals WHERE series_id = %(series_id)s
        )))
        - coalesce((
            SELECT range_agg(tstzrange(window_start, window_end))
            FROM told_windows
            WHERE series_id = %(series_id)s AND window_start < (day + interval '1 day') AT TIME ZONE 'UTC'
                AND window_end > day AT TIME ZONE 'UTC'
        ), '{}')
    ) AS piece
"""
# A piece is given up as a whole or not at all: the rest of it may still be told.
_GROWTH: Final = f"""
    WITH given_up AS MATERIALIZED (
        SELECT coalesce(range_agg(tstzrange(window_start, window_end)), '{{}}') AS ranges
        FROM data_gaps
        WHERE series_id = %(series_id)s AND first_sequence IS NULL AND state IN ('permanent', 'accepted')
            AND window_start < %(end)s AND window_end > %(start)s
    ), counted AS (
        SELECT day, count(*) AS untold, count(*) FILTER (WHERE piece <@ ranges) AS lost
        FROM ({_PIECES}) AS piece
        CROSS JOIN given_up
        GROUP BY day
    ), account AS (
        SELECT day, untold, untold_lost FROM coverage
        WHERE series_id = %(series_id)s AND day BETWEEN %(first_day)s::date AND %(last_day)s::date
    )
    SELECT
        day,
        coalesce(counted.untold, 0) - coalesce(account.untold, 0) AS untold,
        coalesce(counted.lost, 0) - coalesce(account.untold_lost, 0) AS lost
    FROM counted
    FULL JOIN account USING (day)
    WHERE coalesce(counted.untold, 0) <> coalesce(account.untold, 0)
        OR coalesce(counted.lost, 0) <> coalesce(account.untold_lost, 0)
    ORDER BY day
"""  # noqa: S608 (made of constants of this module)
_NOTE_UNTOLD: Final = """
    UPDATE coverage SET
        untold = coverage.untold + growth.untold,
        untold_lost = coverage.untold_lost + growth.lost
    FROM unnest(%s::date[], %s::bigint[], %s::bigint[]) AS growth (day, untold, lost)
    WHERE coverage.series_id = %s AND coverage.day = growth.day
"""


def is_told(cursor: Cursor, series_id: int) -> bool:
    """Return whether a series has no grid and is told in windows."""
    cursor.execute("SELECT dataset, resolution_seconds FROM series WHERE series_id = %s", (series_id,))
    dataset, resolution_seconds = cursor.fetchone() or (None, 0)
    return resolution_seconds == 0 and dataset in TOLD_DATASETS


def untold_windows(cursor: Cursor, series_id: int, window: Window) -> list[Window]:
    """Return the parts of a window that the venue was never asked for with success, ascending."""
    start, end = window.as_datetimes()
    cursor.execute(
        "SELECT window_start, window_end FROM told_windows"
        " WHERE series_id = %s AND window_start < %s AND window_end > %s",
        (series_id, end, start),
    )
    told = [(to_microseconds(first), to_microseconds(last)) for first, last in cursor.fetchall()]
    return [Window(*part) for part in uncovered(window.start, window.end, told)]


def expect_untold(cursor: Cursor, series_id: int, window: Window, *, horizon: int) -> None:
    """Bring what is expected of the days of a window up to date, for what is followed up to the horizon.

    Moments in microseconds since 1970. The caller holds the lock of the series.
    """
    cursor.execute(
        "UPDATE series_totals SET accounted_until = greatest(accounted_until, %s) WHERE series_id = %s",
        (from_microseconds(horizon), series_id),
    )
    recount(cursor, series_id, window)


def mark_told(cursor: Cursor, series_id: int, window: Window) -> Window:
    """Note that the venue told a window whole, and return the whole stretch without a break that it lies in.

    In the transaction of the rows. The caller holds the lock of the series.
    """
    start, end = window.as_datetimes()
    cursor.execute(
        """
        DELETE FROM told_windows
        WHERE series_id = %s AND window_start <= %s AND window_end >= %s
        RETURNING window_start, window_end
        """,
        (series_id, end, start),
    )
    touching = [window, *(Window(to_microseconds(first), to_microseconds(last)) for first, last in cursor.fetchall())]
    stretch = Window(min(each.start for each in touching), max(each.end for each in touching))
    cursor.execute(
        "INSERT INTO told_windows (series_id, window_start, window_end) VALUES (%s, %s, %s)",
        (series_id, *stretch.as_datetimes()),
    )
    recount(cursor, series_id, window)
    return stretch


def untold_pieces(cursor: Cursor, series_id: int, window: Window) -> dict[date, int]:
    """Return how many pieces of a window are followed and were never told, by UTC day; only days that have some."""
    cursor.execute(f"SELECT day, count(*) FROM ({_PIECES}) AS piece GROUP BY day", _asked(series_id, window))  # noqa: S608
    return dict(cursor.fetchall())


def recount(cursor: Cursor, series_id: int, window: Window) -> None:
    """Count the pieces of the days of a window anew: those that are expected, and those that gaps have given up.

    Whoever gives such a gap up calls it afterwards. The caller holds the lock of the series.
    """
    whole_days = Window(day_start(day_of(window.start)), day_start(day_of(window.end - 1)) + MICROSECONDS_PER_DAY)
    cursor.execute(_GROWTH, _asked(series_id, whole_days))
    growth = cursor.fetchall()
    if growth:
        change_account(cursor, [Change(series_id, day, expected=untold, lost=lost) for day, untold, lost in growth])
        cursor.execute(_NOTE_UNTOLD, (*map(array_of, zip(*growth, strict=True)), series_id))


def _asked(series_id: int, window: Window) -> dict[str, object]:
    start, end = window.as_datetimes()
    days = {"first_day": day_of(window.start), "last_day": day_of(window.end - 1)}
    return {"series_id": series_id, "start": start, "end": end, **days}
