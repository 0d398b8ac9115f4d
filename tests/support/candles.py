"""Candles made from a seed, and a series to put them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.candle import Candles
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, coverage
from tapekeeper.store.grid_rows import CANDLES, write_rows
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import cursor as Cursor

MINUTE = 60 * MICROSECONDS_PER_SECOND
ONE_MINUTE = Resolution(60)
BITCOIN = Instrument("deribit", "BTC-PERPETUAL", "perpetual", "BTC", listed_at=1_534_242_287_000_000, tick_size=0.5)
START = 1_600_041_600_000_000
"""2020-09-14 00:00 UTC in microseconds."""


def some_candles(start: int, count: int, *, seed: int = 1, step: int = MINUTE) -> Candles:
    """Return `count` candles from `start` on that contradict nothing."""
    random = np.random.default_rng(seed)
    low = random.uniform(1_000, 60_000, count)
    opened, closed = low + random.uniform(0, 50, count), low + random.uniform(0, 50, count)
    high = np.maximum(opened, closed) + random.uniform(0, 10, count)
    volume = random.uniform(0, 100, count)
    open_time = start + np.arange(count, dtype=np.int64) * step
    return Candles(open_time, opened, high, low, closed, volume, volume * opened)


def followed_series(cursor: Cursor, window: Window, instrument: Instrument = BITCOIN) -> int:
    """Make a series of which a window is followed, and return its id."""
    series = catalogue.ensure_series(cursor, DERIBIT_PERPETUAL_CANDLES, instrument, ONE_MINUTE)
    lock_series(cursor, series.series_id)
    catalogue.follow(cursor, series.series_id, window, keep_fresh=False, reason="test")
    coverage.expect(cursor, series.series_id, window, ONE_MINUTE, life_start=instrument.listed_at, horizon=window.end)
    return series.series_id


def write_minutes(cursor: Cursor, series_id: int, minutes: Iterable[int]) -> None:
    """Write the candles of some minutes after `START`, each the same whenever it is written."""
    wanted = sorted(set(minutes))
    if wanted:
        everything = some_candles(START, wanted[-1] + 1)
        mask = np.zeros(len(everything), dtype=np.bool_)
        mask[wanted] = True
        write_rows(cursor, CANDLES, series_id, everything.select(mask))
        # The next write may be in the same transaction, which a writer's never is.
        cursor.execute("DELETE FROM incoming_candles")


def check_candle_account(cursor: Cursor) -> None:
    """Fail unless coverage, totals, losses and the table of candles agree with each other, day by day."""
    cursor.execute(
        """
        SELECT day, expected, held, lost, explained FROM coverage
        WHERE held + explained > expected OR explained <> greatest(0, least(lost, expected - held))
        """
    )
    assert cursor.fetchall() == []
    cursor.execute(
        """
        SELECT coverage.day, coverage.held, table_of_candles.*
        FROM coverage
        CROSS JOIN LATERAL (
            SELECT count(*) AS rows, min(open_time) AS first, max(open_time) AS last
            FROM candles
            WHERE candles.series_id = coverage.series_id AND (open_time AT TIME ZONE 'UTC')::date = coverage.day
        ) AS table_of_candles
        WHERE (coverage.held, coverage.first_event_time, coverage.last_event_time)
            IS DISTINCT FROM (rows, first, last)
        """
    )
    assert cursor.fetchall() == []
    cursor.execute(
        """
        SELECT total.*
        FROM series_totals AS total
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(expected), 0) AS expected, coalesce(sum(held), 0) AS held,
                coalesce(sum(explained), 0) AS explained, min(first_event_time) AS first, max(last_event_time) AS last
            FROM coverage WHERE coverage.series_id = total.series_id
        ) AS day
        WHERE (total.expected, total.held, total.explained, total.rows_held, first_event_time, last_event_time)
            IS DISTINCT FROM (day.expected, day.held, day.explained, day.held, day.first, day.last)
        """
    )
    assert cursor.fetchall() == []
