"""Do candles agree with the trades that they are made of?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_start, format_moment, from_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, BINANCE_UM_CANDLES
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, only_row

if TYPE_CHECKING:
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

RELATIVE: Final = 1e-9
ABSOLUTE: Final = 1e-8
"""Both sides are sums of decimal numbers in binary, added up in another order."""
# Only what is held whole on both sides is compared: every trade was told, and no candle lacks. A day that a gap
# explains is not whole.
_WHOLE_DAYS: Final = """
    SELECT candle_series, resolution_seconds, trade_series, instrument_id, name, day
    FROM (
        SELECT DISTINCT ON (trades.series_id, traded.day)
            candles.series_id AS candle_series, candles.resolution_seconds, trades.series_id AS trade_series,
            instrument_id, name, traded.day
        FROM series AS trades
        JOIN instruments USING (instrument_id)
        JOIN coverage AS traded ON traded.series_id = trades.series_id
        JOIN series AS candles USING (instrument_id)
        JOIN coverage AS drawn ON drawn.series_id = candles.series_id AND drawn.day = traded.day
        WHERE trades.dataset = %(trades)s AND candles.dataset = %(candles)s
            AND traded.day >= %(first_day)s AND traded.day < %(end_day)s
            AND traded.held > 0 AND traded.held = traded.expected
            AND candles.resolution_seconds > 0 AND drawn.held * candles.resolution_seconds = 86400
            AND EXISTS (
                SELECT FROM told_windows
                WHERE told_windows.series_id = trades.series_id AND window_start <= traded.day AT TIME ZONE 'UTC'
                    AND window_end >= (traded.day + 1) AT TIME ZONE 'UTC'
            )
        ORDER BY trades.series_id, traded.day, candles.resolution_seconds
    ) AS whole
    ORDER BY md5(concat_ws('/', %(seed)s, trade_series, day))
    LIMIT %(days)s
"""
_COMPARE: Final = f"""
    WITH added AS MATERIALIZED (
        SELECT date_bin(%(step)s, event_time, 'epoch') AS open_time, sum(quantity) AS traded
        FROM agg_trades
        WHERE instrument_id = %(instrument_id)s AND event_time >= %(start)s AND event_time < %(end)s
        GROUP BY 1
    ), compared AS MATERIALIZED (
        SELECT open_time, volume, coalesce(traded, 0) AS traded, abs(volume - coalesce(traded, 0)) AS difference
        FROM candles
        LEFT JOIN added USING (open_time)
        WHERE series_id = %(series_id)s AND open_time >= %(start)s AND open_time < %(end)s
            AND volume >= 0 AND volume < 'infinity'
    ), differing AS MATERIALIZED (
        SELECT * FROM compared WHERE NOT (difference <= {ABSOLUTE} + {RELATIVE} * greatest(volume, traded))
    )
    SELECT
        (SELECT count(*) FROM compared),
        (SELECT count(*) FROM differing),
        (SELECT coalesce(json_agg(json_build_array(
            (extract(epoch FROM open_time) * 1000000)::bigint, volume, traded, difference
        )), '[]') FROM (SELECT * FROM differing ORDER BY difference DESC, open_time LIMIT {SAMPLE_ROWS}) AS worst)
"""  # noqa: S608 (made of constants of this module)


class _Day(NamedTuple):
    """A UTC day of an instrument that is held whole, as candles and as trades."""

    candle_series: int
    resolution_seconds: int
    trade_series: int
    instrument_id: int
    name: str
    day: date


class VolumeAgreement:
    """Candles whose volume is not the sum of the aggregate trades within them, on days that are held whole as both.

    The shortest candles of the instrument are compared. The venue leaves trades of its insurance fund and of automatic
    deleveraging out of the aggregate trades, so a difference is a reason to look, and not a proof of a mistake. A run
    over everything compares every such day; any other one some days, drawn by the key of the run.
    """

    name = "volume_agreement"
    question = "Do candles agree with the trades that they are made of?"
    severity = Severity.WARNING
    datasets = (BINANCE_UM_AGG_TRADES.name,)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the candles that differ; `checked` and `found` count candles."""
        checked = found = 0
        sample: list[tuple[float, dict[str, object]]] = []
        drawn = _draw(cursor, scope)
        for day in drawn:
            compared, differing, worst = _compare(cursor, day)
            checked, found, sample = checked + compared, found + differing, sample + worst
        sample.sort(key=lambda row: -row[0])
        figures = {"instrument_days": len(drawn), "largest_difference": sample[0][0] if sample else 0.0}
        return Findings(checked, found, figures, tuple(row for _, row in sample[:SAMPLE_ROWS]))


def _draw(cursor: Cursor, scope: Scope) -> list[_Day]:
    cursor.execute(
        _WHOLE_DAYS,
        {
            "trades": scope.dataset.name,
            "candles": BINANCE_UM_CANDLES.name,
            "first_day": scope.first_day,
            "end_day": scope.end_day,
            "seed": scope.seed,
            "days": None if scope.is_everything else scope.settings.quality.exact_count_series_days,
        },
    )
    return [_Day(*row) for row in cursor.fetchall()]


def _compare(cursor: Cursor, day: _Day) -> tuple[int, int, list[tuple[float, dict[str, object]]]]:
    """Return how many candles were compared, how many differ, and the worst of these by their difference."""
    start = day_start(day.day)
    cursor.execute(
        _COMPARE,
        {
            "series_id": day.candle_series,
            "instrument_id": day.instrument_id,
            "step": timedelta(seconds=day.resolution_seconds),
            "start": from_microseconds(start),
            "end": from_microseconds(start + MICROSECONDS_PER_DAY),
        },
    )
    compared, differing, worst = only_row(cursor)
    return (
        compared,
        differing,
        [
            (
                difference,
                {
                    "series_id": day.candle_series,
                    "instrument": day.name,
                    "resolution": str(Resolution(day.resolution_seconds)),
                    "open_time": format_moment(open_time),
                    "volume": volume,
                    "traded": traded,
                    "difference": difference,
                },
            )
            for open_time, volume, traded, difference in worst
        ],
    )
