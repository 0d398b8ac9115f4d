"""Marks in every graph: when something was missing, and when the venue was away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.queries import sql

if TYPE_CHECKING:
    from grafana.generator.dashboard import Dashboard

# A connection that is cut leaves a gap in every series that it carried: together they are one mark. What was repaired
# is whole again and marks nothing.
_GAPS: Final = """
SELECT
    min(window_start) AS time, max(window_end) AS timeend, dataset || ': ' || cause AS title,
    count(gap_id) || ' gaps, ' || sum(missing) || ' missing' AS text, state AS tags
FROM gap_ledger
WHERE $__timeFilter(window_end) AND state <> 'repaired'
GROUP BY date_trunc('minute', window_end), dataset, cause, state
ORDER BY time DESC
LIMIT 200
"""
_OUTAGES: Final = """
SELECT window_start AS time, window_end AS timeend, venue || ': ' || kind AS title, source AS text, kind AS tags
FROM outages
WHERE $__timeFilter(window_end)
ORDER BY time DESC
LIMIT 200
"""


def with_incidents(dashboard: Dashboard) -> Dashboard:
    """Mark gaps and outages."""
    return dashboard.annotation("Gaps", sql(_GAPS), "orange").annotation("Outages", sql(_OUTAGES), "purple")
