"""Does any candle contradict itself?"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tapekeeper.clock import format_moment, to_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import CANDLE_DATASETS, CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.quality.checks.check import (
    SAMPLE_ROWS,
    BadRow,
    Findings,
    only_row,
    series_by_resolution,
    series_labels,
)

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.resolution import Resolution
    from tapekeeper.quality.checks.check import Scope

ROWS_AT_ONCE: Final = 10_000
"""How many bad candles one run takes into quarantine; the next one takes the others."""
# NaN is greater than every number to PostgreSQL, infinity included.
SOUND: Final = """
    low > 0 AND high < 'infinity'
    AND open BETWEEN low AND high AND close BETWEEN low AND high
    AND volume >= 0 AND volume < 'infinity'
    AND coalesce(cost, 0) >= 0 AND coalesce(cost, 0) < 'infinity'
    AND date_bin(%(step)s, open_time, 'epoch') = open_time
"""
"""What is so of every candle that can be; `step` is how long it lasts."""
_SOUND_OPTION: Final = """
    low >= 0 AND high < 'infinity'
    AND open BETWEEN low AND high AND close BETWEEN low AND high
    AND volume >= 0 AND volume < 'infinity'
    AND date_bin(%(step)s, day, 'epoch') = day
    AND open_time >= day AND open_time < day + %(step)s
"""
_ROWS: Final = """
    FROM {table.name} WHERE series_id = ANY(%(series_ids)s) AND {table.time} >= %(start)s AND {table.time} < %(end)s
"""
_COUNT: Final = f"SELECT count(*), count(*) FILTER (WHERE NOT ({{table.sound}})) {_ROWS}"
_BAD: Final = f"""
    SELECT series_id, {{table.time}}, open, high, low, close, volume, {{table.cost}}
    {_ROWS} AND NOT ({{table.sound}})
    ORDER BY {{table.time}} DESC, series_id
    LIMIT {ROWS_AT_ONCE}
"""
# What came in again has been resolved, and so has what somebody gave up for good.
_UNRESOLVED: Final = """
    SELECT kept.series_id, kept.event_time, min(kept.reason), sum(kept.times_seen)::bigint
    FROM quarantine AS kept
    JOIN series USING (series_id)
    WHERE series.dataset = %(dataset)s AND kept.event_time >= %(start)s AND kept.event_time < %(end)s
        AND NOT EXISTS (
            SELECT FROM grid_points WHERE grid_points.series_id = kept.series_id AND point = kept.event_time
        )
        AND NOT EXISTS (
            SELECT FROM data_gaps AS gap
            WHERE gap.series_id = kept.series_id AND gap.state IN ('permanent', 'accepted')
                AND gap.window_start <= kept.event_time AND gap.window_end > kept.event_time
        )
    GROUP BY kept.series_id, kept.event_time
    ORDER BY kept.event_time DESC, kept.series_id
"""


class _Table(NamedTuple):
    """A table of candles."""

    name: str
    time: str
    sound: str
    cost: str
    lowest_is_zero: bool
    """A price may be zero."""


_CANDLES: Final = _Table("candles", "open_time", SOUND, "cost", lowest_is_zero=False)
_OF_OPTIONS: Final = _Table("option_candles", "day", _SOUND_OPTION, "NULL", lowest_is_zero=True)


class OhlcvSanity:
    """Held candles that cannot be, and those in quarantine for which no better one came.

    A quiet minute has no volume and one price, the close before it: that is how the venue tells it, and it is sound.
    An option may be worth nothing.
    What is in quarantine is judged when its day is over, as it may be asked for again until then. A row in quarantine
    without a time is not judged: what it should have been shows as a hole.
    """

    name = "ohlcv_sanity"
    question = "Does any candle contradict itself?"
    severity = Severity.CRITICAL
    datasets = (*CANDLE_DATASETS, CRYPTODATADOWNLOAD_OPTION_CANDLES.name)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the bad candles; `checked` counts candles, `found` those that are bad or missing for being bad."""
        rows = found = 0
        bad: list[_Row] = []
        for resolution, series_ids in series_by_resolution(cursor, scope.dataset).items():
            counted, contradictory, some = _bad_rows(cursor, scope, resolution, series_ids)
            rows, found, bad = rows + counted, found + contradictory, bad + some
        kept = _unresolved(cursor, scope)
        labels = series_labels(cursor, [row.series_id for row in [*bad, *kept]])
        sample = tuple(
            {
                "series_id": row.series_id,
                **labels[row.series_id].as_json(),
                "open_time": format_moment(row.open_time),
                "reason": row.reason,
                **row.more,
            }
            for row in [*bad, *kept][:SAMPLE_ROWS]
        )
        return Findings(
            checked=rows,
            found=found + len(kept),
            figures={"contradictory": found, "in_quarantine": len(kept)},
            sample=sample,
            bad_rows=tuple(BadRow(row.series_id, row.open_time, row.reason) for row in bad),
        )


class _Row(NamedTuple):
    series_id: int
    open_time: int
    reason: str
    more: dict[str, object]


def _bad_rows(
    cursor: Cursor, scope: Scope, resolution: Resolution, series_ids: list[int]
) -> tuple[int, int, list[_Row]]:
    """Return how many candles there are, how many are bad, and the newest of these."""
    start, end = scope.window.as_datetimes()
    step = timedelta(seconds=resolution.seconds)
    values = {"series_ids": series_ids, "start": start, "end": end, "step": step}
    table = _OF_OPTIONS if scope.dataset.table == _OF_OPTIONS.name else _CANDLES
    cursor.execute(_COUNT.format(table=table), values)
    rows, bad = only_row(cursor)
    if not bad:
        return rows, 0, []
    cursor.execute(_BAD.format(table=table), values)
    return rows, bad, [_judged(table, *row) for row in cursor.fetchall()]


def _judged(table: _Table, series_id: int, opened_at: datetime, *values: Any) -> _Row:
    names = ("open", "high", "low", "close", "volume", "cost")
    row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return _Row(series_id, to_microseconds(opened_at), _reason(table, row), dict(row))


def _reason(table: _Table, row: dict[str, float]) -> str:
    """Return what is wrong with a candle, in words that are the same for all that suffer from it."""
    if not all(map(math.isfinite, row.values())):
        return "a value is no finite number"
    if row["high"] < row["low"]:
        return "high is below low"
    if row["low"] < 0 or (row["low"] == 0 and not table.lowest_is_zero):
        return "a price is below zero" if table.lowest_is_zero else "a price is not above zero"
    for name in ("open", "close"):
        if not row["low"] <= row[name] <= row["high"]:
            return f"{name} is outside low and high"
    for name in ("volume", "cost"):
        if row.get(name, 0) < 0:
            return f"{name} is below zero"
    return "the open time is not on the grid"


def _unresolved(cursor: Cursor, scope: Scope) -> list[_Row]:
    days = scope.closed_days
    window = days and days.intersect(scope.window)
    if window is None:
        return []
    start, end = window.as_datetimes()
    cursor.execute(_UNRESOLVED, {"dataset": scope.dataset.name, "start": start, "end": end})
    return [
        _Row(series_id, to_microseconds(event_time), f"in quarantine: {reason}", {"times_seen": times_seen})
        for series_id, event_time, reason, times_seen in cursor.fetchall()
    ]
