"""Do long candles agree with the short ones that they are made of?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import format_moment, to_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import CANDLE_DATASETS
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, only_row, series_labels

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

TOLERANCE: Final = 1e-6
"""Of a volume: short candles are rounded each, the long one once."""
# Where the long series has nothing, the short one is not read.
_PAIRS: Final = """
    SELECT long.series_id, long.resolution_seconds, short.series_id, short.resolution_seconds,
        total.first_event_time, total.last_event_time
    FROM series AS long
    JOIN series AS short USING (dataset, instrument_id)
    JOIN series_totals AS total ON total.series_id = long.series_id
    WHERE dataset = %s AND total.held > 0 AND short.resolution_seconds > 0
        AND long.resolution_seconds > short.resolution_seconds
        AND long.resolution_seconds %% short.resolution_seconds = 0
    ORDER BY 1, 4
"""
# Quiet candles repeat the price before them. Whether they count when the long candle is made is up to the venue, so
# both ways of adding up are right; without any trade they are the same.
_COMPARE: Final = """
    WITH added AS (
        SELECT
            date_bin(%(step)s, open_time, 'epoch') AS open_time,
            count(*) AS candles,
            (array_agg(open ORDER BY open_time))[1] AS open,
            (array_agg(close ORDER BY open_time DESC))[1] AS close,
            max(high) AS high, min(low) AS low, sum(volume) AS volume,
            (array_agg(open ORDER BY open_time) FILTER (WHERE volume > 0))[1] AS traded_open,
            max(high) FILTER (WHERE volume > 0) AS traded_high,
            min(low) FILTER (WHERE volume > 0) AS traded_low
        FROM candles
        WHERE series_id = %(short)s AND open_time >= %(start)s AND open_time < %(end)s
        GROUP BY 1
    ), compared AS MATERIALIZED (
        SELECT
            open_time,
            array_remove(ARRAY[
                CASE WHEN long.open NOT IN (added.open, coalesce(traded_open, added.open)) THEN 'open' END,
                CASE WHEN long.high NOT IN (added.high, coalesce(traded_high, added.high)) THEN 'high' END,
                CASE WHEN long.low NOT IN (added.low, coalesce(traded_low, added.low)) THEN 'low' END,
                CASE WHEN long.close <> added.close THEN 'close' END,
                CASE WHEN abs(long.volume - added.volume) > %(tolerance)s * greatest(long.volume, added.volume, 1)
                    THEN 'volume' END
            ], NULL) AS differs,
            json_build_object('open', long.open, 'high', long.high, 'low', long.low, 'close', long.close,
                'volume', long.volume) AS held,
            json_build_object('open', added.open, 'high', added.high, 'low', added.low, 'close', added.close,
                'volume', added.volume) AS added_up
        FROM candles AS long
        JOIN added USING (open_time)
        WHERE long.series_id = %(long)s AND long.open_time >= %(start)s AND long.open_time < %(end)s
            AND candles = %(candles)s
    )
    SELECT
        (SELECT count(*) FROM compared),
        (SELECT count(*) FROM compared WHERE differs <> '{}'),
        (SELECT coalesce(json_agg(json_build_array(
            (extract(epoch FROM open_time) * 1000000)::bigint, differs, held, added_up
        )), '[]') FROM (
            SELECT * FROM compared WHERE differs <> '{}' ORDER BY open_time DESC LIMIT %(sample_rows)s
        ) AS newest)
"""


class ResolutionAgreement:
    """Candles that differ from the sum of the shorter ones of the same instrument, where all of these are held."""

    name = "resolution_agreement"
    question = "Do long candles agree with the short ones that they are made of?"
    severity = Severity.WARNING
    datasets = CANDLE_DATASETS

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the long candles that differ; `checked` and `found` count long candles."""
        checked = found = 0
        sample: list[dict[str, object]] = []
        cursor.execute(_PAIRS, (scope.dataset.name,))
        pairs = cursor.fetchall()
        labels = series_labels(cursor, (pair[0] for pair in pairs))
        for long_id, long_seconds, short_id, short_seconds, first, last in pairs:
            long = Resolution(long_seconds)
            held = Window(to_microseconds(first), to_microseconds(last) + long.microseconds)
            both = held.intersect(scope.window)
            window = both and both.clipped_to_grid(long.microseconds)
            if window is None:
                continue
            start, end = window.as_datetimes()
            values = {"long": long_id, "short": short_id, "start": start, "end": end}
            sizes = {"step": timedelta(seconds=long_seconds), "candles": long_seconds // short_seconds}
            cursor.execute(_COMPARE, {**values, **sizes, "tolerance": TOLERANCE, "sample_rows": SAMPLE_ROWS})
            compared, differing, rows = only_row(cursor)
            checked, found = checked + compared, found + differing
            sample += [
                {
                    "series_id": long_id,
                    **labels[long_id].as_json(),
                    "open_time": format_moment(open_time),
                    "made_of": str(Resolution(short_seconds)),
                    "differs": differs,
                    "held": held_values,
                    "added_up": added_up,
                }
                for open_time, differs, held_values, added_up in rows
            ]
        return Findings(checked, found, {"pairs": len(pairs)}, tuple(sample[:SAMPLE_ROWS]))
