"""Does what is followed still come in?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tapekeeper.backfill.offers import offer_of
from tapekeeper.clock import MICROSECONDS_PER_SECOND, format_moment, from_microseconds, to_microseconds
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import DATASETS, GRID_DATASETS, Unit
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings
from tapekeeper.store.told import TOLD_DATASETS

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

STALE_AFTER_INTERVALS: Final = 2
"""So many target intervals, or candles where these last longer, may pass without anything new that can be asked for."""
_FED: Final = tuple(dataset.name for dataset in DATASETS.values() if dataset.unit is Unit.SECONDS)
# A candle is as new as its end. What lives no more brings nothing new. Quotes and trades of an instrument come over one
# connection, and its seconds are accounted only while that is whole: they tell a quiet market from a dead collector.
# So do the windows that a venue told whole, of what it is asked for.
_NEWEST: Final = """
    WITH fed AS (
        SELECT instrument_id, max(accounted_until) AS fed_until
        FROM series
        JOIN series_totals USING (series_id)
        WHERE accounted_until IS NOT NULL AND dataset = ANY(%(fed)s)
        GROUP BY instrument_id
    )
    SELECT
        followed.series_id,
        name,
        resolution_seconds,
        greatest(
            last_event_time + make_interval(secs => resolution_seconds),
            fed_until,
            (SELECT max(told_windows.window_end) FROM told_windows WHERE told_windows.series_id = followed.series_id),
            min(greatest(window_start, listed_at))
        ) AS newest
    FROM followed
    JOIN series USING (series_id)
    JOIN instruments USING (instrument_id)
    LEFT JOIN series_totals USING (series_id)
    LEFT JOIN fed USING (instrument_id)
    WHERE dataset = %(dataset)s AND window_end IS NULL AND window_start <= %(now)s
        AND coalesce(expires_at, 'infinity') > %(now)s AND coalesce(delisted_at, 'infinity') > %(now)s
    GROUP BY followed.series_id, name, resolution_seconds, last_event_time, fed_until
    ORDER BY newest, followed.series_id
"""


class Freshness:
    """Followed series of candles without a new one for two intervals, and datasets of live ticks without anything new.

    The venue makes a candle of every minute, also of a quiet one, so each series has to go on. An instrument of which
    nobody quotes or trades sends nothing: of ticks the newest of all instruments counts, and they are as new as the
    seconds for which their feed was seen to be whole. What a venue is asked for in windows is as new as the last window
    that it told whole.

    A window that ended long ago asks for no news, and nothing is judged.
    """

    name = "freshness"
    question = "Does what is followed still come in?"
    severity = Severity.CRITICAL
    datasets = tuple(DATASETS)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return what is stale; `checked` and `found` count series of candles, or datasets of ticks."""
        if _stale_from(scope, 0) > scope.window.end:
            return Findings(0, 0)
        cursor.execute(_NEWEST, {"dataset": scope.dataset.name, "fed": list(_FED), "now": from_microseconds(scope.now)})
        followed = cursor.fetchall()
        # Oldest first: the last one is the newest of all.
        judged = followed if scope.dataset.name in (*GRID_DATASETS, *TOLD_DATASETS) else followed[-1:]
        stale = [row for row in judged if to_microseconds(row[3]) < _stale_from(scope, row[2])]
        newest = max((to_microseconds(row[3]) for row in followed), default=None)
        figures = {
            "followed": len(followed),
            "newest": None if newest is None else format_moment(newest),
            "age_seconds": None if newest is None else (scope.now - newest) / MICROSECONDS_PER_SECOND,
        }
        return Findings(len(judged), len(stale), figures, tuple(_row(scope, row) for row in stale[:SAMPLE_ROWS]))


def _stale_from(scope: Scope, resolution_seconds: int) -> int:
    """Return the moment before which the newest must not lie."""
    longest = max(scope.dataset.target_interval_seconds, resolution_seconds)
    settles_after = offer_of(scope.dataset).settles_after_seconds if scope.dataset.name in TOLD_DATASETS else 0
    allowed = STALE_AFTER_INTERVALS * longest + settles_after
    return scope.now - allowed * MICROSECONDS_PER_SECOND


def _row(scope: Scope, row: tuple[Any, ...]) -> dict[str, object]:
    series_id, instrument, resolution_seconds, newest = row
    moment = to_microseconds(newest)
    return {
        "series_id": series_id,
        "instrument": instrument,
        "resolution_seconds": resolution_seconds,
        "newest": format_moment(moment),
        "age_seconds": (scope.now - moment) / MICROSECONDS_PER_SECOND,
    }
