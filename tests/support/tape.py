"""Rows and their account, put into the database directly: for tests of what reads them."""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PERPETUAL_CANDLES: Final = "deribit.perpetual_candles"

_ADD: Final = """
    WITH instrument AS (
        INSERT INTO instruments (venue, name, kind, currency, listed_at)
        VALUES ('deribit', %(name)s, 'perpetual', 'BTC', '2018-01-01') RETURNING instrument_id
    ), new_series AS (
        INSERT INTO series (dataset, instrument_id, resolution_seconds)
        SELECT %(dataset)s, instrument_id, 60 FROM instrument RETURNING series_id
    ), total AS (
        INSERT INTO series_totals (series_id, rows_held, held, expected, first_event_time, last_event_time)
        SELECT series_id, %(rows)s, %(rows)s, %(expected)s, %(first)s, %(last)s FROM new_series
    )
    INSERT INTO candles (series_id, open_time, open, high, low, close, volume)
    SELECT series_id, open_time, 1, 2, 0.5, 1.5, 3
    FROM new_series, generate_series(%(first)s::timestamptz, %(last)s::timestamptz, interval '1 minute') AS open_time
"""


def minutes_ago(minutes: int) -> datetime:
    """Return the minute that began so long ago."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes)


def add_series(
    url: str,
    name: str,
    *,
    first: datetime,
    rows: int,
    expected: int | None = None,
    dataset: str = PERPETUAL_CANDLES,
) -> None:
    """Add an instrument with `rows` one-minute candles from `first` on, and what the writers keep beside them."""
    last = first + timedelta(minutes=rows - 1)
    values = {
        "name": name,
        "dataset": dataset,
        "rows": rows,
        "expected": rows if expected is None else expected,
        "first": first,
        "last": last,
    }
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(_ADD, values)


def move_in_time(url: str, by: timedelta) -> None:
    """Move every candle and its account, so that data age or grow younger at once."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE moved ON COMMIT DROP AS SELECT * FROM candles")
        cursor.execute("DELETE FROM candles")
        cursor.execute("UPDATE moved SET open_time = open_time + %s", (by,))
        cursor.execute("INSERT INTO candles SELECT * FROM moved")
        cursor.execute(
            """
            UPDATE series_totals
            SET first_event_time = first_event_time + %(by)s, last_event_time = last_event_time + %(by)s
            """,
            {"by": by},
        )


def add_run(url: str, run_key: str, *, state: str, chunks: Sequence[str]) -> None:
    """Add a backfill run whose chunks, one per state given, belong to the first series."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO backfill_runs
                (run_key, dataset, instruments, resolution_seconds, window_start, window_end, direction, mode, state)
            VALUES (%s, %s, '{BTC-PERPETUAL}', 60, '2024-05-01Z', '2024-05-02Z', 'newest first', 'missing only', %s)
            RETURNING run_id
            """,
            (run_key, PERPETUAL_CANDLES, state),
        )
        run_id = (cursor.fetchone() or (0,))[0]
        for position, chunk_state in enumerate(chunks):
            cursor.execute(
                """
                INSERT INTO backfill_chunks (run_id, series_id, window_start, window_end, position, state)
                SELECT %(run_id)s, min(series_id), '2024-05-01Z'::timestamptz + %(position)s * interval '1 hour',
                    '2024-05-01Z'::timestamptz + (%(position)s + 1) * interval '1 hour', %(position)s, %(state)s
                FROM series
                """,
                {"run_id": run_id, "position": position, "state": chunk_state},
            )


@contextmanager
def table_out_of_sight(url: str, table: str) -> Iterator[None]:
    """Hide a table for the block, as if its migration had not run."""
    _rename(url, table, "out_of_sight")
    try:
        yield
    finally:
        _rename(url, "out_of_sight", table)


def _rename(url: str, table: str, name: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(sql.Identifier(table), sql.Identifier(name)))


def forget_everything(url: str) -> None:
    """Empty every table that data are kept in."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE instruments, candles, backfill_runs CASCADE")


_DAY: Final = """
    INSERT INTO coverage (series_id, day, expected, held, explained)
    SELECT series_id, (now() AT TIME ZONE 'UTC')::date - %(ago)s, 1440, 1440 - %(lacking)s, %(explained)s
    FROM series JOIN instruments USING (instrument_id) WHERE name = %(name)s
"""
_GAP: Final = """
    WITH gap AS (
        INSERT INTO data_gaps (series_id, window_start, window_end, missing, cause, state, evidence, closed_at)
        SELECT series_id, hole_start, hole_start + %(missing)s * interval '1 minute', %(missing)s, 'unknown', %(state)s,
            '{}', CASE WHEN %(state)s IN ('repaired', 'permanent', 'accepted') THEN now() END
        FROM series
        JOIN instruments USING (instrument_id)
        CROSS JOIN (
            SELECT date_trunc('day', now(), 'UTC') - %(ago)s * interval '1 day' AS hole_start
        ) AS hole
        WHERE name = %(name)s
        RETURNING gap_id, closed_at
    ), event AS (
        INSERT INTO data_gap_events (gap_id, to_state, by, why, evidence)
        SELECT gap_id, %(state)s, 'test', 'nobody has it', '{}' FROM gap
    )
    INSERT INTO repair_receipts (gap_id, requests, rows_found, rows_missing, digest_before, digest_after)
    SELECT gap_id, 2, %(missing)s / 2, %(missing)s - %(missing)s / 2, md5('before'), md5('after')
    FROM gap WHERE closed_at IS NOT NULL
"""


def add_days(
    url: str,
    name: str,
    *,
    days: int,
    lacking: Mapping[int, int] | None = None,
    explained: Mapping[int, int] | None = None,
) -> None:
    """Account for the running day of an instrument and `days` before it; what is lacking is told by how long ago."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for ago in range(days + 1):
            lost, known = (lacking or {}).get(ago, 0), (explained or {}).get(ago, 0)
            cursor.execute(_DAY, {"name": name, "ago": ago, "lacking": lost, "explained": known})


def add_gap(url: str, name: str, *, days_ago: int, missing: int, state: str) -> None:
    """Record a gap of minutes from the beginning of a day on; one that is closed has a receipt."""
    values = {"name": name, "ago": days_ago, "missing": missing, "state": state}
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(_GAP, values)
