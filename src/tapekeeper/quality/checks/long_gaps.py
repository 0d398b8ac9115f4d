"""Which holes are longer than a few minutes?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import GRID_DATASETS
from tapekeeper.quality.checks.check import Findings
from tapekeeper.quality.checks.gap_detection import holes_as_json, longest_seconds
from tapekeeper.quality.checks.holes import missing_runs, not_under_way, unexplained

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.quality import Hole
    from tapekeeper.quality.checks.check import Scope


class LongGaps:
    """The report that others know: runs of missing candles that last longer than a threshold.

    A run is as long as nothing is held in it, so two gaps of the ledger side by side are one. What permanent and
    accepted gaps explain, or a backfill is about to fetch, is told among the figures and is no finding.
    """

    name = "long_gaps"
    question = "Which holes are longer than a few minutes?"
    severity = Severity.WARNING
    datasets = GRID_DATASETS

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return the long holes of the closed days; `checked` counts holes of any length, explained ones included."""
        runs = missing_runs(cursor, scope)
        threshold = scope.settings.quality.gap_threshold_seconds
        long = _longer(runs, threshold)
        found = _longer(not_under_way(cursor, unexplained(cursor, runs)), threshold)
        figures = {
            "threshold_seconds": threshold,
            "explained_or_under_way": len(long) - len(found),
            "missing": sum(hole.missing for hole in found),
            "longest_seconds": longest_seconds(found),
        }
        return Findings(len(runs), len(found), figures, holes_as_json(cursor, found))


def _longer(holes: list[Hole], seconds: int) -> list[Hole]:
    return [hole for hole in holes if hole.window.end - hole.window.start > seconds * MICROSECONDS_PER_SECOND]
