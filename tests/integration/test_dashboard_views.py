"""The views that dashboards ask: what is newest, what is left to do, and days of partitions."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import psycopg2
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

_QUALITY: Final = """
    WITH run AS (
        INSERT INTO quality_runs (run_key, datasets, checks, window_end, state, asked_by, finished_at)
        VALUES (%(key)s, '{}', '{}', now(), 'green', 'test', CASE WHEN %(ended)s THEN now() END)
        RETURNING run_id
    )
    INSERT INTO quality_results
    SELECT run_id, 'deribit.option_quotes', %(check)s, %(severity)s, %(status)s, 1, 0, '{}', '[]', NULL, 0 FROM run
"""
_BACKFILL: Final = """
    INSERT INTO instruments (venue, name, kind, currency, listed_at) VALUES ('deribit', 'A', 'option', 'ETH', now());
    INSERT INTO series (dataset, instrument_id) SELECT 'deribit.option_quotes', max(instrument_id) FROM instruments;
    INSERT INTO backfill_runs (
        run_key, dataset, instruments, resolution_seconds, window_start, window_end, direction, mode, created_at
    ) VALUES (
        'a', 'deribit.option_quotes', '{A}', 60, now() - interval '9 hours', now(), 'newest first', 'missing only',
        now() - interval '100 seconds'
    );
    INSERT INTO backfill_chunks (
        run_id, series_id, window_start, window_end, position, state, finished_at, rows_inserted
    )
    SELECT max(run_id), (SELECT max(series_id) FROM series), now() - n * interval '1 hour',
        now() - (n - 1) * interval '1 hour', n, chunk.state, chunk.finished_at, chunk.rows
    FROM backfill_runs CROSS JOIN (VALUES
        (1, 'done', now() - interval '60 seconds', 300),
        (2, 'failed', now() - interval '20 seconds', 100),
        (3, 'running', NULL, 0),
        (4, 'pending', NULL, 0),
        (5, 'pending', NULL, 0)
    ) AS chunk (n, state, finished_at, rows)
    GROUP BY n, chunk.state, chunk.finished_at, chunk.rows
"""


@pytest.fixture
def cursor(module_database_url: str) -> Iterator[Cursor]:
    with closing(psycopg2.connect(module_database_url)) as connection, connection.cursor() as opened:
        yield opened


def checked(
    cursor: Cursor, key: str, status: str, *, check: str = "anomaly", severity: str = "warning", ended: bool = True
) -> None:
    asked = {"key": key, "check": check, "severity": severity, "status": status, "ended": ended}
    cursor.execute(_QUALITY, asked)


def asked(cursor: Cursor, question: str) -> list[tuple[object, ...]]:
    cursor.execute("SET LOCAL ROLE tapekeeper_reader")
    cursor.execute(question)
    return cursor.fetchall()


def test_the_newest_result_of_each_check_is_of_a_run_that_ended(cursor: Cursor) -> None:
    checked(cursor, "first", "red")
    checked(cursor, "second", "green")
    checked(cursor, "of another check", "red", check="freshness", severity="critical")
    checked(cursor, "could not be done", "error", check="refetch", severity="critical")
    checked(cursor, "goes on", "red", ended=False)
    told = asked(cursor, "SELECT check_name, level, is_newest FROM quality_history ORDER BY run_id")
    assert told == [
        ("anomaly", 1, False),
        ("anomaly", 0, True),
        ("freshness", 2, True),
        ("refetch", 3, True),
    ]


def test_what_is_left_of_a_run_takes_as_long_as_what_is_done_took(cursor: Cursor) -> None:
    cursor.execute(_BACKFILL)
    told = asked(
        cursor, "SELECT chunks, waiting, done, failed, seconds, rows_per_second, seconds_left FROM backfill_progress"
    )
    assert told == [(5, 3, 1, 1, 80, 5, 120)]


def test_days_of_partitions_can_be_asked_for_by_their_day(cursor: Cursor) -> None:
    for day in ("2026-05-19", "2026-05-20"):
        cursor.execute("SELECT ensure_day_partition('option_trades', %s)", (day,))
    told = asked(
        cursor,
        """
        SELECT table_name, day::text, day_start = '2026-05-20Z', rows_estimated, bytes > 0
        FROM partition_days WHERE day_start BETWEEN '2026-05-20Z' AND '2026-05-21Z'
        """,
    )
    assert told == [("option_trades", "2026-05-20", True, 0, True)]
