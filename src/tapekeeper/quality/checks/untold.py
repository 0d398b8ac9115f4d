"""Was everything that is followed ever told?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND, to_microseconds
from tapekeeper.model.quality import Hole, Severity
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, series_labels, window_as_json
from tapekeeper.store.told import TOLD_DATASETS

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope

_DAYS: Final = """
    SELECT count(*) FROM coverage JOIN series USING (series_id)
    WHERE dataset = %(dataset)s AND resolution_seconds = 0 AND day >= %(first_day)s AND day < %(end_day)s
"""
# Coverage tells which days have such pieces; what of them is followed and expected is what `store/told.py` counts.
_UNTOLD: Final = """
    WITH flagged AS MATERIALIZED (
        SELECT series_id, range_agg(tstzrange(day AT TIME ZONE 'UTC', (day + 1) AT TIME ZONE 'UTC')) AS days
        FROM coverage
        JOIN series USING (series_id)
        WHERE dataset = %(dataset)s AND resolution_seconds = 0 AND untold > 0
            AND day >= %(first_day)s AND day < %(end_day)s
        GROUP BY series_id
    ), untold AS MATERIALIZED (
        SELECT series_id, days
            * tstzmultirange(tstzrange(NULL, accounted_until))
            * (
                SELECT range_agg(tstzrange(window_start, coalesce(window_end, 'infinity')))
                FROM followed WHERE followed.series_id = flagged.series_id
            )
            - coalesce((
                SELECT range_agg(tstzrange(window_start, window_end))
                FROM told_windows WHERE told_windows.series_id = flagged.series_id
            ), '{}') AS ranges
        FROM flagged
        JOIN series_totals USING (series_id)
    ), explained AS (
        SELECT series_id, range_agg(tstzrange(window_start, window_end)) AS ranges
        FROM data_gaps
        WHERE series_id IN (SELECT series_id FROM untold) AND state IN ('permanent', 'accepted')
            AND first_sequence IS NULL
        GROUP BY series_id
    ), under_way AS (
        SELECT series_id, range_agg(tstzrange(chunk.window_start, chunk.window_end)) AS ranges
        FROM backfill_runs AS run
        JOIN backfill_chunks AS chunk USING (run_id)
        WHERE series_id IN (SELECT series_id FROM untold)
            AND run.state = 'running' AND chunk.state IN ('pending', 'running')
        GROUP BY series_id
    ), red AS (
        SELECT series_id, untold.ranges - coalesce(explained.ranges, '{}') AS ranges
        FROM untold LEFT JOIN explained USING (series_id)
    ), piece AS (
        SELECT series_id, 'untold' AS what, unnest(ranges) AS piece FROM untold
        UNION ALL
        SELECT series_id, 'red', unnest(ranges) FROM red
        UNION ALL
        SELECT series_id, 'found', unnest(red.ranges - coalesce(under_way.ranges, '{}'))
        FROM red LEFT JOIN under_way USING (series_id)
    )
    SELECT what, series_id, lower(piece), upper(piece) FROM piece ORDER BY series_id, piece
"""


class Untold:
    """Windows of series without a grid that are followed and that the venue never told, on days that are over.

    Nobody knows how many rows they have, so each is one that is missing of its day. What permanent and accepted gaps
    explain, or a backfill is about to fetch, is told among the figures and is no finding.
    """

    name = "untold"
    question = "Was everything that is followed ever told?"
    severity = Severity.CRITICAL
    datasets = TOLD_DATASETS

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return what was never told; `checked` counts days, `found` windows without a break."""
        values = {"dataset": scope.dataset.name, "first_day": scope.first_day, "end_day": scope.end_day}
        cursor.execute(_DAYS, values)
        ((days,),) = cursor.fetchall()
        cursor.execute(_UNTOLD, values)
        windows: dict[str, list[tuple[int, Window]]] = {"untold": [], "red": [], "found": []}
        for what, series_id, start, end in cursor.fetchall():
            windows[what].append((series_id, Window(to_microseconds(start), to_microseconds(end))))
        in_all, in_red, in_found = (_seconds(found) for found in windows.values())
        figures = {"seconds": in_found, "explained_seconds": in_all - in_red, "under_way_seconds": in_red - in_found}
        # A window of several days is missing of each of them.
        holes = tuple(Hole(series_id, window, len(list(window.days()))) for series_id, window in windows["found"])
        worst = sorted(holes, key=lambda hole: hole.window.start - hole.window.end)[:SAMPLE_ROWS]
        labels = series_labels(cursor, (hole.series_id for hole in worst))
        sample = tuple(
            {
                "series_id": hole.series_id,
                "instrument": labels[hole.series_id].instrument,
                **window_as_json(hole.window),
                "missing": hole.missing,
            }
            for hole in worst
        )
        return Findings(days, len(holes), figures, sample, holes=holes)


def _seconds(found: list[tuple[int, Window]]) -> int:
    return sum(window.end - window.start for _, window in found) // MICROSECONDS_PER_SECOND
