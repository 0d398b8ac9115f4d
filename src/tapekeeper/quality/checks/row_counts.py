"""Is every followed day complete or explained?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import from_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import DATASETS, DERIBIT_OPTION_QUOTES
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, only_row, series_labels

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

_DAYS: Final = """
    FROM coverage JOIN series USING (series_id)
    WHERE dataset = %(dataset)s AND day >= %(first_day)s AND day < %(end_day)s
"""
_SUMS: Final = f"""
    SELECT
        count(*),
        count(*) FILTER (WHERE held + explained < expected),
        count(*) FILTER (WHERE held + explained > expected),
        coalesce(sum(expected), 0)::bigint,
        coalesce(sum(held), 0)::bigint,
        coalesce(sum(explained), 0)::bigint,
        coalesce(sum(least(held + explained, expected)), 0)::bigint
    {_DAYS}
"""
_WORST: Final = f"""
    SELECT series_id, day, expected, held, explained
    {_DAYS} AND held + explained <> expected
    ORDER BY abs(expected - held - explained) DESC, day DESC, series_id
    LIMIT {SAMPLE_ROWS}
"""
# Whoever receives quotes tells for each followed second whether it was whole. Seconds that nobody told of are no part
# of any account: they are seen only by comparing it with what is followed.
_UNACCOUNTED: Final = """
    WITH asked AS (
        SELECT
            series_id,
            range_agg(tstzrange(window_start, coalesce(window_end, 'infinity')))
                * tstzmultirange(tstzrange(NULL, max(expires_at))) AS ranges
        FROM followed
        JOIN series USING (series_id)
        JOIN instruments USING (instrument_id)
        WHERE dataset = %(dataset)s AND window_start < %(end)s AND coalesce(window_end, 'infinity') > %(start)s
        GROUP BY series_id
    ), followed_day AS (
        SELECT series_id, day::date AS day, sum(
            greatest(0, floor(extract(epoch FROM upper(piece))) - ceil(extract(epoch FROM lower(piece))))
        )::bigint AS seconds
        FROM asked
        CROSS JOIN generate_series(%(first_day)s::timestamp, %(end_day)s::timestamp - interval '1 day', '1 day') AS day
        CROSS JOIN LATERAL unnest(
            asked.ranges
            * tstzmultirange(tstzrange(day AT TIME ZONE 'UTC', (day + interval '1 day') AT TIME ZONE 'UTC'))
        ) AS piece
        GROUP BY 1, 2
    )
    SELECT series_id, followed_day.day, seconds, coalesce(expected, 0)
    FROM followed_day
    LEFT JOIN coverage USING (series_id, day)
    WHERE seconds > coalesce(expected, 0)
    ORDER BY seconds - coalesce(expected, 0) DESC, day DESC, series_id
"""


class RowCounts:
    """Days where held and explained do not make up what is expected, and seconds of quotes that nobody accounted for.

    The unit is that of the dataset: grid points of candles, sequence numbers of trades, seconds of quotes.
    """

    name = "row_counts"
    question = "Is every followed day complete or explained?"
    severity = Severity.CRITICAL
    datasets = tuple(DATASETS)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the days of series that are not proven; `checked` and `found` count days of series."""
        values = {"dataset": scope.dataset.name, "first_day": scope.first_day, "end_day": scope.end_day}
        cursor.execute(_SUMS, values)
        days, short, surplus, expected, held, explained, accounted = only_row(cursor)
        cursor.execute(_WORST, values)
        worst = cursor.fetchall()
        silent = _unaccounted(cursor, scope)
        figures = {
            "expected": expected,
            "held": held,
            "explained": explained,
            "percent": 100 * accounted / expected if expected else None,
            "days_short": short,
            "days_with_surplus": surplus,
            "days_not_accounted": len(silent),
        }
        labels = series_labels(cursor, [row[0] for row in [*worst, *silent]])
        sample = [
            {
                "series_id": series_id,
                **labels[series_id].as_json(),
                "day": str(day),
                "expected": wanted,
                "held": got,
                "explained": known,
                "missing": wanted - got - known,
            }
            for series_id, day, wanted, got, known in worst
        ] + [
            {
                "series_id": series_id,
                **labels[series_id].as_json(),
                "day": str(day),
                "followed_seconds": seconds,
                "accounted_seconds": told,
                "missing": seconds - told,
            }
            for series_id, day, seconds, told in silent
        ]
        return Findings(days, short + surplus + len(silent), figures, tuple(sample[:SAMPLE_ROWS]))


def _unaccounted(cursor: Cursor, scope: Scope) -> list[tuple[int, object, int, int]]:
    """Return series, day, followed and accounted seconds of the days of quotes where these differ, worst first."""
    days = scope.closed_days
    if scope.dataset is not DERIBIT_OPTION_QUOTES or days is None:
        return []
    start, end = from_microseconds(days.start), from_microseconds(days.end)
    cursor.execute(
        _UNACCOUNTED,
        {
            "dataset": scope.dataset.name,
            "first_day": scope.first_day,
            "end_day": scope.end_day,
            "start": start,
            "end": end,
        },
    )
    return cursor.fetchall()
