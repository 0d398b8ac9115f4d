"""Work that was done in seconds, dated as if it had taken a week: runs by day, checks by night, repairs for hours."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import psycopg2

NIGHTS: Final = 13
"""Before the newest checks."""
_LAST_NIGHT: Final = "date_trunc('day', now() - interval '135 minutes', 'UTC') + interval '135 minutes'"
"""02:15 in UTC."""

# One run nine hours before the next one, and six seconds for a chunk; what goes on began just now.
_RUNS: Final = """
    WITH dated AS (
        SELECT run_id, now() - interval '3 hours' - (max(run_id) OVER () - run_id) * interval '9 hours' AS began
        FROM backfill_runs WHERE state <> 'running'
    ), chunks AS (
        UPDATE backfill_chunks SET finished_at = began + (position + 1) * interval '6 seconds'
        FROM dated WHERE dated.run_id = backfill_chunks.run_id
    )
    UPDATE backfill_runs SET
        created_at = began,
        finished_at = began + (SELECT count(*) FROM backfill_chunks WHERE run_id = dated.run_id) * interval '6 seconds'
    FROM dated WHERE dated.run_id = backfill_runs.run_id
"""
# A hole is seen within two hours and filled within six; each step in between takes its share of the time.
_GAPS: Final = """
    UPDATE data_gaps SET
        opened_at = least(window_end + (gap_id % 9 + 1) * interval '13 minutes', now() - interval '9 hours'),
        closed_at = CASE WHEN closed_at IS NOT NULL THEN
            least(window_end + (gap_id % 9 + 1) * interval '13 minutes', now() - interval '9 hours')
            + (gap_id * 7 % 11 + 1) * interval '31 minutes' END
"""
_GAP_EVENTS: Final = """
    WITH placed AS (
        SELECT event_id, opened_at, coalesce(closed_at, opened_at) AS ended,
            row_number() OVER (PARTITION BY gap_id ORDER BY event_id) - 1 AS before,
            greatest(count(*) OVER (PARTITION BY gap_id) - 1, 1) AS others
        FROM data_gap_events JOIN data_gaps USING (gap_id)
    )
    UPDATE data_gap_events SET happened_at = opened_at + (ended - opened_at) * before / others
    FROM placed WHERE placed.event_id = data_gap_events.event_id
"""
_RECEIPTS: Final = """
    UPDATE repair_receipts SET checked_at = closed_at FROM data_gaps WHERE data_gaps.gap_id = repair_receipts.gap_id
"""
_QUARANTINE: Final = """
    UPDATE quarantine SET
        first_seen_at = first_seen_at - interval '30 hours',
        last_seen_at = last_seen_at - interval '9 hours'
"""
_CHECKS: Final = f"""
    UPDATE quality_runs SET
        started_at = {_LAST_NIGHT} - nights_ago * interval '1 day' - interval '40 seconds',
        finished_at = {_LAST_NIGHT} - nights_ago * interval '1 day'
    FROM (SELECT run_id, max(run_id) OVER () - run_id AS nights_ago FROM quality_runs) AS dated
    WHERE dated.run_id = quality_runs.run_id
"""
# Their numbers are below those of the newest runs, as of everything older.
_NIGHTS: Final = f"""
    INSERT INTO quality_runs
        (run_id, run_key, datasets, checks, window_start, window_end, state, asked_by, started_at, finished_at)
    OVERRIDING SYSTEM VALUE
    SELECT -night, 'night ' || night, datasets, checks, window_start, window_end - night * interval '1 day',
        CASE WHEN night % 6 = 4 THEN 'red' ELSE 'green' END, 'airflow',
        started_at - night * interval '1 day', finished_at - night * interval '1 day'
    FROM quality_runs, generate_series(1, {NIGHTS}) AS night
    WHERE run_id = 1
"""
_RESULTS: Final = f"""
    INSERT INTO quality_results
        (run_id, dataset, check_name, severity, status, checked, found, figures, sample, error, seconds)
    SELECT -night, dataset, check_name, severity, CASE WHEN bad THEN 'red' ELSE 'green' END, checked,
        CASE WHEN bad THEN 2 ELSE 0 END, figures, '[]', NULL, seconds
    FROM quality_results
    CROSS JOIN generate_series(1, {NIGHTS}) AS night
    CROSS JOIN LATERAL (
        SELECT dataset LIKE '%candles' AND (
            night % 6 = 4 AND check_name IN ('gap_detection', 'row_counts', 'long_gaps')
            OR night % 9 = 7 AND check_name = 'price_jump'
        ) AS bad
    ) AS told
    WHERE run_id = 1
"""


def date_back(url: str) -> None:
    """Date everything that the database holds about its work over the days before now."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in (_RUNS, _GAPS, _GAP_EVENTS, _RECEIPTS, _QUARANTINE, _CHECKS, _NIGHTS, _RESULTS):
            cursor.execute(statement)
