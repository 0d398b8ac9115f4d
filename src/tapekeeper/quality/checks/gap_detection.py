"""Which rows are missing?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import GRID_DATASETS
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, series_labels, window_as_json
from tapekeeper.quality.checks.holes import missing_runs, not_under_way, unexplained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.quality import Hole
    from tapekeeper.quality.checks.check import Scope

_DAYS: Final = """
    SELECT count(*) FROM coverage JOIN series USING (series_id)
    WHERE dataset = %s AND day >= %s AND day < %s AND expected > 0
"""


class GapDetection:
    """Holes in candles that no permanent or accepted gap explains: each is one finding, and one for the ledger.

    A minute without a trade is no hole: the venue tells it, with no volume. Nothing is expected before the listing,
    after the expiry, or where nobody followed the instrument. What a backfill is about to fetch is no hole yet, though
    its days are not complete either.
    """

    name = "gap_detection"
    question = "Which rows are missing?"
    severity = Severity.CRITICAL
    datasets = GRID_DATASETS

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the holes of the closed days; `checked` counts days, `found` holes."""
        cursor.execute(_DAYS, (scope.dataset.name, scope.first_day, scope.end_day))
        ((days,),) = cursor.fetchall()
        runs = missing_runs(cursor, scope)
        red = unexplained(cursor, runs)
        holes = not_under_way(cursor, red)
        in_all, in_red, in_holes = (sum(hole.missing for hole in some) for some in (runs, red, holes))
        figures = {
            "missing": in_holes,
            "explained": in_all - in_red,
            "under_way": in_red - in_holes,
            "longest_seconds": longest_seconds(holes),
        }
        return Findings(days, len(holes), figures, holes_as_json(cursor, holes), holes=tuple(holes))


def longest_seconds(holes: Sequence[Hole]) -> int:
    """Return how long the longest hole is; 0 without any."""
    return max((hole.window.end - hole.window.start for hole in holes), default=0) // MICROSECONDS_PER_SECOND


def holes_as_json(cursor: Cursor, holes: Sequence[Hole]) -> tuple[dict[str, object], ...]:
    """Return the longest holes as rows of a sample."""
    worst = sorted(holes, key=lambda hole: hole.window.start - hole.window.end)[:SAMPLE_ROWS]
    labels = series_labels(cursor, (hole.series_id for hole in worst))
    return tuple(
        {
            "series_id": hole.series_id,
            **labels[hole.series_id].as_json(),
            **window_as_json(hole.window),
            "missing": hole.missing,
        }
        for hole in worst
    )
