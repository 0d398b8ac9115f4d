"""Is any hour unlike the same hour of the last 14 days?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tapekeeper.clock import MICROSECONDS_PER_SECOND, format_moment
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import CANDLE_DATASETS, DERIBIT_OPTION_TRADES
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, series_labels

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

HISTORY_DAYS: Final = 14
LEAST_HISTORY_DAYS: Final = 7
LEAST_TRADES: Final = 30.0
"""Hours that usually have fewer trades are left alone."""
LEAST_TRADED_SHARE: Final = 0.5
"""Hours of which usually a smaller share of the candles has a trade are left alone."""
LEAST_CANDLES: Final = 12
"""Series with fewer candles an hour are left alone: nothing about them is typical."""
LEAST_DEVIATION: Final = 0.25
"""Of the logarithm: a market that is the same every day is not taken at its word."""
_TO_DEVIATION: Final = 1.4826
"""The median of the distances from the median, times this, is the standard deviation of what is normal."""
_NOTHING: Final = 1e-3
"""Of the usual amount, added before the logarithm is taken, so that nothing is a number too."""
_HOUR: Final = 3_600 * MICROSECONDS_PER_SECOND
_HOURS_PER_DAY: Final = 24
# The volume that a minute with trades typically has, times these minutes: one huge trade does not make an hour unusual.
# An hour that lacks a candle tells nothing of the market, and is told as a hole.
_CANDLE_HOURS: Final = """
    SELECT series_id, (extract(epoch FROM hour) / 3600)::bigint, coalesce(typical * traded, 0), traded / candles::float8
    FROM (
        SELECT
            series_id, date_bin('1 hour', open_time, 'epoch') AS hour,
            exp(avg(ln(volume)) FILTER (WHERE volume > 0)) AS typical,
            count(*) FILTER (WHERE volume > 0) AS traded, count(*) AS candles
        FROM candles
        WHERE series_id = ANY(%(series_ids)s) AND open_time >= %(start)s AND open_time < %(end)s
        GROUP BY 1, 2
    ) AS hours
    JOIN series USING (series_id)
    WHERE candles * resolution_seconds = 3600
    ORDER BY 1, 2
"""
_CANDLE_SERIES: Final = """
    SELECT series_id FROM series
    WHERE dataset = %s AND resolution_seconds > 0 AND 3600 / resolution_seconds >= %s
    ORDER BY series_id
"""
_TRADE_HOURS: Final = """
    SELECT 0, (extract(epoch FROM hour) / 3600)::bigint, trades::float8, 1.0
    FROM (
        SELECT date_bin('1 hour', event_time, 'epoch') AS hour, count(*) AS trades
        FROM option_trades
        WHERE event_time >= %(start)s AND event_time < %(end)s
        GROUP BY 1
    ) AS hours
    ORDER BY 2
"""
Numbers = npt.NDArray[np.float64]


class _Hours(NamedTuple):
    """The hours of one series by UTC day, NaN where there is none; shape (days, 24) each."""

    first_hour: int
    """Of all, in hours since 1970; a midnight."""
    amount: Numbers
    traded: Numbers
    """The share of the candles that have a trade."""


class _Oddity(NamedTuple):
    series_id: int
    hour: int
    """In hours since 1970."""
    amount: float
    usual: float
    deviations: float


class Anomaly:
    """Hours with far more or far less volume in typical minutes, or trades, than the same hour of the day usually has.

    Usual is the median of the last 14 days, and how far an hour may lie from it is measured by how far these lie, both
    of the logarithm: volumes differ by factors. Less than seven days of history, illiquid instruments and small numbers
    make no alarm. Trades are counted for all instruments together, as each alone comes to life and expires.
    """

    name = "anomaly"
    question = "Is any hour unlike the same hour of the last 14 days?"
    severity = Severity.WARNING
    datasets = (*CANDLE_DATASETS, DERIBIT_OPTION_TRADES.name)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the unusual hours; `checked` and `found` count hours that are over."""
        judged = 0
        odd: list[_Oddity] = []
        least = LEAST_TRADES if scope.dataset is DERIBIT_OPTION_TRADES else 0.0
        for series_id, hours in _hours(cursor, scope).items():
            some, oddities = _judge(series_id, hours, scope, least)
            judged, odd = judged + some, odd + oddities
        odd.sort(key=lambda oddity: -oddity.deviations)
        labels = series_labels(cursor, (oddity.series_id for oddity in odd))
        sample = tuple(
            {
                **({"instrument": "all"} if label is None else {"series_id": oddity.series_id, **label.as_json()}),
                "hour": format_moment(oddity.hour * _HOUR),
                "amount": round(oddity.amount, 3),
                "usual": round(oddity.usual, 3),
                "deviations": round(oddity.deviations, 1),
            }
            for oddity in odd[:SAMPLE_ROWS]
            for label in [labels.get(oddity.series_id)]
        )
        return Findings(judged, len(odd), {}, sample)


def _hours(cursor: Cursor, scope: Scope) -> dict[int, _Hours]:
    start, end = scope.window.as_datetimes()
    values: dict[str, object] = {"start": start - timedelta(days=HISTORY_DAYS), "end": end}
    if scope.dataset is DERIBIT_OPTION_TRADES:
        cursor.execute(_TRADE_HOURS, values)
    else:
        cursor.execute(_CANDLE_SERIES, (scope.dataset.name, LEAST_CANDLES))
        cursor.execute(_CANDLE_HOURS, {**values, "series_ids": [series_id for (series_id,) in cursor.fetchall()]})
    rows = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 4)
    # The first hour of the history and the last of the window may be parts of hours.
    whole = (rows[:, 1] * _HOUR >= scope.window.start - HISTORY_DAYS * _HOURS_PER_DAY * _HOUR) & (
        (rows[:, 1] + 1) * _HOUR <= min(scope.now, scope.window.end)
    )
    return {
        int(series_id): _by_day(rows[whole & (rows[:, 0] == series_id), 1:]) for series_id in np.unique(rows[whole, 0])
    }


def _by_day(rows: Numbers) -> _Hours:
    """Return rows of hour, amount and traded share as days."""
    hours = rows[:, 0].astype(np.int64)
    first = int(hours[0]) // _HOURS_PER_DAY * _HOURS_PER_DAY
    days = (int(hours[-1]) - first) // _HOURS_PER_DAY + 1
    table = np.full((2, days * _HOURS_PER_DAY), np.nan)
    table[:, hours - first] = rows[:, 1:].T
    # What cannot be is told by another check.
    table[0, ~((table[0] >= 0) & np.isfinite(table[0]))] = np.nan
    amount, traded = table.reshape(2, days, _HOURS_PER_DAY)
    return _Hours(first, amount, traded)


def _judge(series_id: int, hours: _Hours, scope: Scope, least: float) -> tuple[int, list[_Oddity]]:
    """Return how many hours have enough history to be judged, and those that are unusual."""
    usual = float(np.nanmedian(hours.amount))
    if usual <= 0:
        return 0, []
    logarithm = np.log(hours.amount + _NOTHING * usual)
    history, traded = _history(logarithm), _history(hours.traded)
    moments = hours.first_hour + np.arange(hours.amount.size).reshape(hours.amount.shape)
    asked = ~np.isnan(logarithm) & (moments * _HOUR >= scope.window.start)
    rows = np.flatnonzero(asked & ((~np.isnan(history)).sum(axis=2) >= LEAST_HISTORY_DAYS))
    history, traded = (each.reshape(-1, HISTORY_DAYS)[rows] for each in (history, traded))
    if not len(rows):
        return 0, []
    middle = np.nanmedian(history, axis=1)
    spread = _TO_DEVIATION * np.nanmedian(np.abs(history - middle[:, None]), axis=1)
    deviations = np.abs(logarithm.ravel()[rows] - middle) / np.maximum(spread, LEAST_DEVIATION)
    amounts = np.exp(middle) - _NOTHING * usual
    is_judged = (np.nanmedian(traded, axis=1) >= LEAST_TRADED_SHARE) & (amounts >= least)
    odd = np.flatnonzero(is_judged & (deviations > scope.settings.quality.anomaly_deviations))
    oddities = [
        _Oddity(
            series_id,
            int(moments.ravel()[rows[at]]),
            float(hours.amount.ravel()[rows[at]]),
            float(amounts[at]),
            float(deviations[at]),
        )
        for at in odd
    ]
    return int(is_judged.sum()), oddities


def _history(days: Numbers) -> Numbers:
    """Return the same hour of the 14 days before, of each hour: shape (days, 24, 14) for (days, 24)."""
    before = np.concatenate([np.full((HISTORY_DAYS, _HOURS_PER_DAY), np.nan), days[:-1]])
    return np.lib.stride_tricks.sliding_window_view(before, HISTORY_DAYS, axis=0)
