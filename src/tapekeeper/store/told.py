"""What the venue told whole, of series that have no grid: it says what is left to ask, and what is expected.

Of a series without a grid nobody knows beforehand how many rows a day has. What was told is expected as it came; a
piece that is followed and was never told counts as one that is expected and not held: no such day looks complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, day_start, from_microseconds, to_microseconds
from tapekeeper.model.gap import uncovered
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

_PIECES: Final = """
    SELECT day::date, count(piece)
    FROM generate_series(%(first_day)s::timestamp, %(last_day)s::timestamp, interval '1 day') AS day
    LEFT JOIN LATERAL unnest(
        (
            SELECT range_agg(tstzrange(window_start, coalesce(window_end, 'infinity')))
            FROM followed WHERE series_id = %(series_id)s
        )
        * tstzmultirange(tstzrange(day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC'))
        * tstzmultirange(tstzrange(%(start)s, %(end)s))
        * tstzmultirange(tstzrange(NULL, (
            SELECT accounted_until FROM series_totals WHERE series_id = %(series_id)s
        )))
        - coalesce((
            SELECT range_agg(tstzrange(window_start, window_end))
            FROM told_windows
            WHERE series_id = %(series_id)s AND window_start < (day + interval '1 day') AT TIME ZONE 'UTC'
                AND window_end > day AT TIME ZONE 'UTC'
        ), '{}')
    ) AS piece ON true
    GROUP BY 1
"""
_EXPECT: Final = f"""
    WITH counted (day, untold) AS ({_PIECES}), before AS MATERIALIZED (
        SELECT day, expected, explained FROM coverage
        WHERE series_id = %(series_id)s AND day BETWEEN %(first_day)s::date AND %(last_day)s::date
    ), after AS (
        INSERT INTO coverage AS account (series_id, day, expected, untold)
        SELECT %(series_id)s, day, untold, untold FROM counted
        ON CONFLICT (series_id, day) DO UPDATE SET
            untold = excluded.untold,
            expected = account.expected + excluded.untold - account.untold,
            explained = greatest(
                0, least(account.lost, account.expected + excluded.untold - account.untold - account.held)
            )
        WHERE account.untold <> excluded.untold
        RETURNING account.day, account.expected, account.explained
    ), growth AS (
        SELECT
            sum(after.expected - coalesce(before.expected, 0)) AS expected,
            sum(after.explained - coalesce(before.explained, 0)) AS explained
        FROM after
        LEFT JOIN before USING (day)
    )
    UPDATE series_totals AS total SET
        expected = total.expected + growth.expected,
        explained = total.explained + growth.explained
    FROM growth
    WHERE total.series_id = %(series_id)s AND growth.expected IS NOT NULL
"""  # noqa: S608 (made of constants of this module)


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
    _recount(cursor, series_id, window)


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
    _recount(cursor, series_id, window)
    return stretch


def untold_pieces(cursor: Cursor, series_id: int, window: Window) -> dict[date, int]:
    """Return how many pieces of a window are followed and were never told, by UTC day; only days that have some."""
    cursor.execute(_PIECES, _asked(series_id, window))
    return {day: count for day, count in cursor.fetchall() if count}


def _recount(cursor: Cursor, series_id: int, window: Window) -> None:
    whole_days = Window(day_start(day_of(window.start)), day_start(day_of(window.end - 1)) + MICROSECONDS_PER_DAY)
    cursor.execute(_EXPECT, _asked(series_id, whole_days))


def _asked(series_id: int, window: Window) -> dict[str, object]:
    start, end = window.as_datetimes()
    days = {"first_day": day_of(window.start), "last_day": day_of(window.end - 1)}
    return {"series_id": series_id, "start": start, "end": end, **days}
