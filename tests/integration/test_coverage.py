"""What is expected and what is missing, against the slow and obvious way to count it."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, coverage
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import CANDLES, INCOMING_GRID_TABLES, write_rows
from tests.support.candles import BITCOIN, MINUTE, ONE_MINUTE, START, followed_series, some_candles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

DAYS = Window(START, START + 3 * MICROSECONDS_PER_DAY)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        yield database


def minutes(start: int, end: int) -> Window:
    return Window(START + start * MINUTE, START + end * MINUTE)


WINDOWS = st.tuples(st.integers(0, 4_000), st.integers(1, 2_500)).map(lambda pair: minutes(pair[0], sum(pair)))


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


@given(st.lists(WINDOWS, min_size=1, max_size=5))
@settings(max_examples=40)
def test_expected_is_the_union_of_what_is_followed(database: Database, followed: list[Window]) -> None:
    def example(cursor: Cursor) -> None:
        for window in followed:
            series_id = followed_series(cursor, window)
        cursor.execute("SELECT day, expected FROM coverage ORDER BY day")
        wanted: dict[Any, int] = {}
        for point in sorted({point for window in followed for point in range(window.start, window.end, MINUTE)}):
            wanted[day_of(point)] = wanted.get(day_of(point), 0) + 1
        # Each window was the horizon of its own count, so a day that a later window ends in is counted up to there.
        assert dict(cursor.fetchall()).keys() == wanted.keys()
        whole = Window(min(window.start for window in followed), max(window.end for window in followed))
        coverage.expect(cursor, series_id, whole, ONE_MINUTE, life_start=BITCOIN.listed_at, horizon=whole.end)
        cursor.execute("SELECT day, expected FROM coverage ORDER BY day")
        assert dict(cursor.fetchall()) == wanted
        cursor.execute("SELECT expected FROM series_totals")
        assert cursor.fetchall() == [(sum(wanted.values()),)]
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)


@given(st.lists(WINDOWS, max_size=4), WINDOWS, st.sets(st.integers(0, 4_400), max_size=6))
@settings(max_examples=60)
def test_missing_is_what_is_asked_and_not_held(
    database: Database, held: list[Window], asked: Window, lost: set[int]
) -> None:
    def example(cursor: Cursor) -> None:
        series_id = followed_series(cursor, asked)
        points = {point for window in held for point in range(window.start, window.end, MINUTE)}
        points -= {START + minute * MINUTE for minute in lost}
        if points:
            open_time = np.array(sorted(points))
            candles = some_candles(START, len(points))
            write_rows(
                cursor, CANDLES, series_id, type(candles)(open_time, *(getattr(candles, name) for name in _PRICES))
            )
        missing = coverage.missing_windows(cursor, series_id, asked, ONE_MINUTE)
        found = [point for window in missing for point in range(window.start, window.end, MINUTE)]
        assert found == sorted(set(range(asked.start, asked.end, MINUTE)) - points)
        assert all(left.end < right.start for left, right in itertools.pairwise(missing))
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)


_PRICES = ("open", "high", "low", "close", "volume", "cost")


def test_nothing_is_expected_before_the_listing_or_after_the_horizon(database: Database) -> None:
    def counts(cursor: Cursor) -> list[Any]:
        series = catalogue.ensure_series(cursor, DERIBIT_PERPETUAL_CANDLES, BITCOIN, ONE_MINUTE)
        catalogue.follow(cursor, series.series_id, DAYS, keep_fresh=True, reason="test")
        coverage.expect(
            cursor,
            series.series_id,
            DAYS,
            ONE_MINUTE,
            life_start=START + 10 * MINUTE,
            horizon=START + MICROSECONDS_PER_DAY + 5 * MINUTE,
        )
        cursor.execute("SELECT expected FROM coverage ORDER BY day")
        return [row[0] for row in cursor.fetchall()]

    assert database.run(counts) == [1_430, 5]


def test_following_again_makes_the_window_longer_and_not_another_row(database: Database) -> None:
    def windows(cursor: Cursor) -> list[Any]:
        series_id = followed_series(cursor, minutes(0, 100))
        catalogue.follow(cursor, series_id, minutes(100, 200), keep_fresh=False, reason="test")
        catalogue.follow(cursor, series_id, minutes(50, 60), keep_fresh=False, reason="test")
        cursor.execute("SELECT extract(epoch FROM window_end - window_start) / 60 FROM followed")
        closed = cursor.fetchall()
        catalogue.follow(cursor, series_id, minutes(100, 200), keep_fresh=True, reason="test")
        catalogue.follow(cursor, series_id, minutes(150, 300), keep_fresh=False, reason="test")
        cursor.execute("SELECT window_end FROM followed")
        return [closed, cursor.fetchall()]

    assert database.run(windows) == [[(200,)], [(None,)]]
