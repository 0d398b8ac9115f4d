"""What is expected of the days that nobody planned: a followed day without a row is red, not invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import day_start, from_microseconds, to_microseconds
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.store import coverage
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset

# A day whose grid is expected whole can need nothing; what the others need is counted by `coverage.expect`.
_NOT_WHOLE: Final = """
    WITH fresh AS (
        SELECT
            series_id, resolution_seconds, listed_at, least(expires_at, delisted_at) AS life_end,
            min(window_start) AS followed_from
        FROM followed
        JOIN series USING (series_id)
        JOIN instruments USING (instrument_id)
        WHERE window_end IS NULL AND dataset = %(dataset)s AND resolution_seconds > 0
        GROUP BY series_id, resolution_seconds, listed_at, life_end
    )
    SELECT series_id, resolution_seconds, listed_at, least(life_end, %(now)s), min(day)::date, max(day)::date
    FROM fresh
    CROSS JOIN LATERAL generate_series(
        greatest(%(first_day)s::date, (greatest(followed_from, listed_at) AT TIME ZONE 'UTC')::date),
        least(%(end_day)s::date - 1, (life_end AT TIME ZONE 'UTC')::date),
        interval '1 day'
    ) AS day
    LEFT JOIN coverage USING (series_id, day)
    WHERE coalesce(coverage.expected, 0) < 86400 / resolution_seconds
    GROUP BY series_id, resolution_seconds, listed_at, life_end
    ORDER BY series_id
"""


def expect_closed_days(cursor: Cursor, dataset: Dataset, days: Window, *, now: int) -> None:
    """Bring up to date what is expected of the candles that are followed without an end, on days that are over."""
    first_day, end_day = (moment.date() for moment in days.as_datetimes())
    values = {"dataset": dataset.name, "now": from_microseconds(now), "first_day": first_day, "end_day": end_day}
    cursor.execute(_NOT_WHOLE, values)
    for series_id, seconds, listed_at, life_end, first, last in cursor.fetchall():
        resolution = Resolution(seconds)
        step = resolution.microseconds
        lock_series(cursor, series_id)
        coverage.expect(
            cursor,
            series_id,
            Window(day_start(first), day_start(last) + 1),
            resolution,
            life_start=to_microseconds(listed_at) // step * step,
            horizon=to_microseconds(life_end) // step * step,
        )
