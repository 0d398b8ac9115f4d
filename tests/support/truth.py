"""What the database holds against what the simulated venue knows, row by row."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg2

from tapekeeper.clock import from_microseconds

if TYPE_CHECKING:
    from tapekeeper.model.window import Window
    from tests.support.simulator import Simulator

_COLUMNS = ("open", "high", "low", "close", "volume", "cost")
Row = tuple[Any, ...]


def true_candles(simulator: Simulator, instrument: str, window: Window, resolution: str = "1") -> list[Row]:
    """Return open time and prices of every candle that the venue has in a window."""
    start, end = (str(moment // 1_000) for moment in (window.start, window.end))
    truth = simulator.truth_candles(instrument=instrument, start=start, end=end, resolution=resolution)
    times = [datetime.fromtimestamp(tick / 1_000, UTC) for tick in truth["ticks"]]
    return list(zip(times, *(map(float, truth[column]) for column in _COLUMNS), strict=True))


def held_candles(url: str, instrument: str, window: Window, resolution_seconds: int = 60) -> list[Row]:
    """Return open time and prices of every candle that the database holds in a window."""
    with closing(psycopg2.connect(url, options="-c TimeZone=UTC")) as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT open_time, open, high, low, close, volume, cost
            FROM candles JOIN series USING (series_id) JOIN instruments USING (instrument_id)
            WHERE name = %s AND resolution_seconds = %s AND open_time >= %s AND open_time < %s
            ORDER BY open_time
            """,
            (instrument, resolution_seconds, from_microseconds(window.start), from_microseconds(window.end)),
        )
        return list(cursor.fetchall())


def query(url: str, sql: str, *values: object) -> list[Row]:
    """Return the rows of a query, with moments in UTC."""
    with closing(psycopg2.connect(url, options="-c TimeZone=UTC")) as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def one_value(url: str, sql: str) -> Any:
    """Return the only value of a query."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    assert row is not None
    return row[0]
