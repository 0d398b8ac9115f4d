"""Is every price a whole number of ticks?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import format_moment, to_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import CANDLE_DATASETS
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, only_row, series_labels

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

OTHER_TICK_SHARE: Final = 0.1
"""A day on which more than this share of the candles is off the grid had another tick size."""
_TOLERANCE: Final = 1e-3
"""In ticks: a price in binary is not exactly where its decimal number is."""
_PRICES: Final = ("open", "high", "low", "close")
# What is no number is greater than any.
_OFF: Final = " OR ".join(
    f"abs({price} / tick_size - round({price} / tick_size)) BETWEEN {_TOLERANCE} AND 1" for price in _PRICES
)
_TICKED: Final = """
    FROM candles
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE dataset = %(dataset)s AND tick_size > 0 AND open_time >= %(start)s AND open_time < %(end)s
"""
_COUNT: Final = f"SELECT count(*), count(*) FILTER (WHERE {_OFF}) {_TICKED}"
_DAYS: Final = f"""
    SELECT series_id, (open_time AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE {_OFF})
    {_TICKED}
    GROUP BY 1, 2
    HAVING count(*) FILTER (WHERE {_OFF}) > 0
"""
_SOME: Final = f"""
    SELECT series_id, open_time, tick_size, open, high, low, close {_TICKED}
        AND ({_OFF})
        AND concat_ws('/', series_id, (open_time AT TIME ZONE 'UTC')::date) = ANY(%(odd)s)
    ORDER BY open_time DESC
    LIMIT {SAMPLE_ROWS}
"""


class TickGrid:
    """Prices that are no whole number of ticks.

    The venue tells the tick size of today alone. Where a day had another one, most of its candles are off today's grid:
    such days are told among the figures and are no finding.
    """

    name = "tick_grid"
    question = "Is every price a whole number of ticks?"
    severity = Severity.WARNING
    datasets = CANDLE_DATASETS

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the candles that are off the grid; `checked` and `found` count candles."""
        start, end = scope.window.as_datetimes()
        values = {"dataset": scope.dataset.name, "start": start, "end": end}
        cursor.execute(_COUNT, values)
        checked, off = only_row(cursor)
        if not off:
            return Findings(checked, 0, {"days_with_another_tick": 0})
        cursor.execute(_DAYS, values)
        days = cursor.fetchall()
        odd = [(series_id, day, off) for series_id, day, rows, off in days if off <= OTHER_TICK_SHARE * rows]
        cursor.execute(_SOME, {**values, "odd": [f"{series_id}/{day}" for series_id, day, _ in odd]})
        some = cursor.fetchall()
        labels = series_labels(cursor, (series_id for series_id, *_ in some))
        sample = tuple(
            {
                "series_id": series_id,
                **labels[series_id].as_json(),
                "open_time": format_moment(to_microseconds(open_time)),
                "tick_size": tick,
                **dict(zip(_PRICES, prices, strict=True)),
            }
            for series_id, open_time, tick, *prices in some
        )
        return Findings(checked, sum(off for *_, off in odd), {"days_with_another_tick": len(days) - len(odd)}, sample)
