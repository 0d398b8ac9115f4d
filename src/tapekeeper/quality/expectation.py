"""What is expected of the days that nobody planned: a followed day without a row is red, not invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.offers import offer_of
from tapekeeper.clock import MICROSECONDS_PER_SECOND, day_start, from_microseconds, to_microseconds
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.store import coverage
from tapekeeper.store.series_lock import lock_series
from tapekeeper.store.told import TOLD_DATASETS, expect_untold

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


_FOLLOWED_UNTOLD: Final = """
    SELECT series_id, greatest(min(window_start), %(start)s), least(max(least(expires_at, delisted_at)), %(end)s)
    FROM followed
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE window_end IS NULL AND dataset = %(dataset)s AND resolution_seconds = 0
    GROUP BY series_id
    HAVING greatest(min(window_start), %(start)s) < least(max(least(expires_at, delisted_at)), %(end)s)
    ORDER BY series_id
"""


def expect_closed_days(cursor: Cursor, dataset: Dataset, days: Window, *, now: int) -> None:
    """Bring up to date what is expected of what is followed without an end, on days that are over."""
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
    _expect_to_be_told(cursor, dataset, days, now)


def _expect_to_be_told(cursor: Cursor, dataset: Dataset, days: Window, now: int) -> None:
    """Bring up to date what is expected of series without a grid: whoever fetches them has had a turn since."""
    if dataset.name not in TOLD_DATASETS:
        return
    offer, turn = offer_of(dataset), dataset.target_interval_seconds * MICROSECONDS_PER_SECOND
    step = offer.step or Resolution(1)
    end = min(days.end, offer.closed_until(now - turn, step.microseconds))
    start_at, end_at = from_microseconds(days.start), from_microseconds(max(days.start, end))
    cursor.execute(_FOLLOWED_UNTOLD, {"dataset": dataset.name, "start": start_at, "end": end_at})
    for series_id, start, horizon in cursor.fetchall():
        lock_series(cursor, series_id)
        window = Window(to_microseconds(start), to_microseconds(horizon))
        expect_untold(cursor, series_id, window, horizon=window.end)
