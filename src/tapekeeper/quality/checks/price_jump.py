"""Does any candle lie far from both of its neighbours?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import format_moment, to_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import CANDLE_DATASETS
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, series_by_resolution, series_labels

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

CANDLES_PER_BUCKET: Final = 60
QUIET_CANDLES: Final = 5
"""A price after so many candles without a trade is compared with one that is too old to tell anything."""
_PRICES: Final = ("open", "high", "low", "close", "high_before", "low_before", "high_after", "low_after")
# A candle that lies off its neighbours makes its whole bucket wide, since one neighbour at least is in it. So all but a
# few buckets are done with by their extremes, and neighbours are looked at in those alone.
_WIDE: Final = """
    SELECT series_id, bucket, rows, high > (1 + %(ratio)s) * low AND high < 'infinity'
    FROM (
        SELECT
            series_id, date_bin(%(bucket)s, open_time, 'epoch') AS bucket,
            count(*) AS rows, max(high) AS high, min(low) AS low
        FROM candles
        WHERE series_id = ANY(%(series_ids)s)
            AND open_time >= %(start)s - %(step)s AND open_time < %(end)s + %(step)s
        GROUP BY 1, 2
    ) AS extremes
"""
_JUMPS: Final = """
    SELECT bucket.series_id, open_time, open, high, low, close, high_before, low_before, high_after, low_after
    FROM unnest(%(ids)s::integer[], %(buckets)s::timestamptz[]) AS bucket (series_id, bucket_start)
    CROSS JOIN LATERAL (
        SELECT
            open_time, open, high, low, close, volume,
            lag(open_time) OVER by_time AS time_before, lead(open_time) OVER by_time AS time_after,
            lag(low) OVER by_time AS low_before, lead(low) OVER by_time AS low_after,
            lag(high) OVER by_time AS high_before, lead(high) OVER by_time AS high_after,
            sum(volume) OVER (by_time ROWS BETWEEN %(quiet)s PRECEDING AND 1 PRECEDING) AS volume_before,
            lead(volume) OVER by_time AS volume_after
        FROM candles
        WHERE candles.series_id = bucket.series_id
            AND open_time >= bucket_start - %(step)s * (%(quiet)s + 1)
            AND open_time <= bucket_start + %(bucket)s
        WINDOW by_time AS (ORDER BY open_time)
    ) AS candle
    WHERE open_time >= bucket_start AND open_time < bucket_start + %(bucket)s
        AND open_time >= %(start)s AND open_time < %(end)s
        AND time_before = open_time - %(step)s AND time_after = open_time + %(step)s
        AND least(low, low_before, low_after) > 0 AND high < 'infinity'
        AND (high > (1 + %(ratio)s) * greatest(high_before, high_after)
            OR low < (1 - %(ratio)s) * least(low_before, low_after))
        AND (volume_before > 0 OR volume = 0 OR volume_after = 0)
    ORDER BY greatest(high / greatest(high_before, high_after), least(low_before, low_after) / low) DESC, open_time
"""


class PriceJump:
    """Candles whose high or low lies far beyond both the candle before and the one after.

    Where prices stay where they jumped to, the market moved. Where nobody traded for minutes, the price before is old:
    a trade far from it, and the next one back, are what an illiquid market does. A candle without a trade, and one
    whose price the quiet minute after it does not repeat, have no such excuse.
    """

    name = "price_jump"
    question = "Does any candle lie far from both of its neighbours?"
    severity = Severity.WARNING
    datasets = CANDLE_DATASETS

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the candles that jump; `checked` and `found` count candles."""
        checked, rows = 0, []
        start, end = scope.window.as_datetimes()
        for resolution, series_ids in series_by_resolution(cursor, scope.dataset).items():
            step = timedelta(seconds=resolution.seconds)
            values = {
                "series_ids": series_ids,
                "start": start,
                "end": end,
                "step": step,
                "bucket": CANDLES_PER_BUCKET * step,
                "ratio": scope.settings.quality.jump_ratio,
                "quiet": QUIET_CANDLES,
            }
            cursor.execute(_WIDE, values)
            buckets = cursor.fetchall()
            checked += sum(count for _, _, count, _ in buckets)
            wide = [(series_id, bucket) for series_id, bucket, _, is_wide in buckets if is_wide]
            if wide:
                ids, starts = ([row[column] for row in wide] for column in (0, 1))
                cursor.execute(_JUMPS, {**values, "ids": ids, "buckets": starts})
                rows += cursor.fetchall()
        labels = series_labels(cursor, (row[0] for row in rows))
        sample = tuple(
            {
                "series_id": series_id,
                **labels[series_id].as_json(),
                "open_time": format_moment(to_microseconds(open_time)),
                **dict(zip(_PRICES, prices, strict=True)),
            }
            for series_id, open_time, *prices in rows[:SAMPLE_ROWS]
        )
        return Findings(checked, len(rows), {}, sample)
