"""Is every price a whole number of ticks?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import format_moment, to_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, series_labels

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

OTHER_TICK_SHARE: Final = 0.1
"""A day on which more than this share of the candles is off the grid had another tick size."""
_TOLERANCE: Final = 1e-3
"""In ticks: a price in binary is not exactly where its decimal number is."""
_PRICES: Final = ("open", "high", "low", "close")
_TICKED: Final = """
    SELECT series_id, tick_size FROM series JOIN instruments USING (instrument_id)
    WHERE dataset = %s AND tick_size > 0 ORDER BY series_id
"""
# What is no number is greater than any.
_OFF: Final = " OR ".join(
    f"abs({price} / %(tick)s - round({price} / %(tick)s)) BETWEEN {_TOLERANCE} AND 1" for price in _PRICES
)
_ROWS: Final = "FROM candles WHERE series_id = %(series_id)s AND open_time >= %(start)s AND open_time < %(end)s"
_DAYS: Final = f"""
    SELECT (open_time AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE {_OFF})
    {_ROWS}
    GROUP BY 1
"""
_SOME: Final = f"""
    SELECT open_time, open, high, low, close
    {_ROWS} AND ({_OFF}) AND (open_time AT TIME ZONE 'UTC')::date = ANY(%(days)s::date[])
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
    datasets = (DERIBIT_PERPETUAL_CANDLES.name,)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the candles that are off the grid; `checked` and `found` count candles."""
        checked = found = other_days = 0
        sample: list[dict[str, object]] = []
        cursor.execute(_TICKED, (scope.dataset.name,))
        ticks = cursor.fetchall()
        labels = series_labels(cursor, (series_id for series_id, _ in ticks))
        start, end = scope.window.as_datetimes()
        for series_id, tick in ticks:
            values = {"series_id": series_id, "tick": tick, "start": start, "end": end}
            cursor.execute(_DAYS, values)
            days = cursor.fetchall()
            odd = {day: off for day, rows, off in days if 0 < off <= OTHER_TICK_SHARE * rows}
            checked += sum(rows for _, rows, _ in days)
            found += sum(odd.values())
            other_days += sum(1 for day, _, off in days if off and day not in odd)
            if odd:
                cursor.execute(_SOME, {**values, "days": list(odd)})
                sample += [
                    {
                        "series_id": series_id,
                        **labels[series_id].as_json(),
                        "open_time": format_moment(to_microseconds(open_time)),
                        "tick_size": tick,
                        **dict(zip(_PRICES, prices, strict=True)),
                    }
                    for open_time, *prices in cursor.fetchall()
                ]
        return Findings(checked, found, {"days_with_another_tick": other_days}, tuple(sample[:SAMPLE_ROWS]))
