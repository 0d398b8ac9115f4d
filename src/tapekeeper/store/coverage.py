"""Coverage: what is expected of a series per UTC day, and what of it is missing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, from_microseconds, to_microseconds
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.resolution import Resolution

# Expected = grid points inside the union of the followed windows, inside the life, and not after the horizon. What is
# explained follows from it, as `store/account.py` says.
# The caller holds the lock of the series, so what is read here is what is updated.
_EXPECT: Final = """
    WITH asked AS (
        SELECT range_agg(tstzrange(window_start, coalesce(window_end, 'infinity'))) AS ranges
        FROM followed
        WHERE series_id = %(series_id)s
    ), counted AS (
        SELECT day::date AS day, sum(
            ceil(extract(epoch FROM upper(piece)) / %(step)s) - ceil(extract(epoch FROM lower(piece)) / %(step)s)
        )::bigint AS expected
        FROM asked
        CROSS JOIN generate_series(%(first_day)s::timestamp, %(last_day)s::timestamp, interval '1 day') AS day
        CROSS JOIN LATERAL unnest(
            asked.ranges
            * tstzmultirange(tstzrange(day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC'))
            * tstzmultirange(tstzrange(%(life_start)s, %(horizon)s))
        ) AS piece
        GROUP BY 1
    ), before AS MATERIALIZED (
        SELECT day, expected, explained FROM coverage
        WHERE series_id = %(series_id)s AND day BETWEEN %(first_day)s::date AND %(last_day)s::date
    ), after AS (
        INSERT INTO coverage AS account (series_id, day, expected)
        SELECT %(series_id)s, day, expected FROM counted
        ON CONFLICT (series_id, day) DO UPDATE SET
            expected = excluded.expected,
            explained = greatest(0, least(account.lost, excluded.expected - account.held))
        WHERE account.expected <> excluded.expected
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
"""

# LAG sees holes between rows; a row planted one step before the part makes it see those before the first row,
# and the end of the part as default those after the last.
_HOLES: Final = """
    SELECT open_time + %(step)s, next_open_time
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS part (part_start, part_end)
    CROSS JOIN LATERAL (
        SELECT open_time, lead(open_time, 1, part_end) OVER (ORDER BY open_time) AS next_open_time
        FROM (
            SELECT part_start - %(step)s AS open_time
            UNION ALL
            SELECT point FROM grid_points
            WHERE series_id = %(series_id)s AND point >= part_start AND point < part_end
        ) AS held
    ) AS neighbours
    WHERE next_open_time - open_time > %(step)s
    ORDER BY 1
"""


def expect(
    cursor: Cursor, series_id: int, window: Window, resolution: Resolution, *, life_start: int, horizon: int
) -> None:
    """Bring the expected counts of the days that a window touches up to date; moments in microseconds since 1970."""
    cursor.execute(
        _EXPECT,
        {
            "series_id": series_id,
            "step": resolution.seconds,
            "first_day": day_of(window.start),
            "last_day": day_of(window.end - 1),
            "life_start": from_microseconds(life_start),
            "horizon": from_microseconds(horizon),
        },
    )


def missing_windows(cursor: Cursor, series_id: int, window: Window, resolution: Resolution) -> list[Window]:
    """Return the parts of a window on the grid of the resolution that are not held, ascending and not touching.

    Days that coverage knows to be empty or full are not looked at.
    """
    cursor.execute(
        "SELECT day, held FROM coverage WHERE series_id = %s AND day BETWEEN %s AND %s AND held > 0",
        (series_id, day_of(window.start), day_of(window.end - 1)),
    )
    held_of_day = dict(cursor.fetchall())
    full_day = MICROSECONDS_PER_DAY // resolution.microseconds
    missing: list[Window] = []
    to_look_at: list[Window] = []
    for day, part in window.days():
        held = held_of_day.get(day, 0)
        if held == 0:
            missing.append(part)
        elif held < full_day:
            to_look_at.append(part)
    return _joined(missing + _holes(cursor, series_id, to_look_at, resolution))


def _holes(cursor: Cursor, series_id: int, parts: list[Window], resolution: Resolution) -> list[Window]:
    if not parts:
        return []
    cursor.execute(
        _HOLES,
        {
            "series_id": series_id,
            "step": timedelta(seconds=resolution.seconds),
            "starts": [from_microseconds(part.start) for part in parts],
            "ends": [from_microseconds(part.end) for part in parts],
        },
    )
    return [Window(to_microseconds(start), to_microseconds(end)) for start, end in cursor.fetchall()]


def _joined(windows: list[Window]) -> list[Window]:
    joined: list[Window] = []
    for window in sorted(windows):
        if joined and joined[-1].end == window.start:
            joined[-1] = Window(joined[-1].start, window.end)
        else:
            joined.append(window)
    return joined
