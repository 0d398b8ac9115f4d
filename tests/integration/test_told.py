"""What was told of series without a grid, and what is expected of it, against the slow and obvious way to count."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, told
from tapekeeper.store.database import Database
from tests.support.candles import MINUTE, START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

BITCOIN = Instrument("binance_um", "BTCUSDT", "perpetual", "BTC", START)
LONGEST = 6_500


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def minutes(pair: tuple[int, int]) -> Window:
    return Window(START + pair[0] * MINUTE, START + sum(pair) * MINUTE)


WINDOWS = st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 2_500)).map(minutes), max_size=5)


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


def minutes_of(windows: list[Window]) -> set[int]:
    return {minute for window in windows for minute in range(window.start, window.end, MINUTE)}


def pieces_of(untold: set[int]) -> dict[date, int]:
    """Count the minutes with which a piece begins: after one that is none, or with a day."""
    starts = [m for m in untold if m - MINUTE not in untold or m % MICROSECONDS_PER_DAY == 0]
    counted: dict[date, int] = {}
    for start in starts:
        counted[day_of(start)] = counted.get(day_of(start), 0) + 1
    return counted


@given(followed=WINDOWS, whole=WINDOWS, horizon=st.integers(1, LONGEST))
@settings(max_examples=40)
def test_each_piece_that_is_followed_and_was_never_told_is_expected(
    database: Database, followed: list[Window], whole: list[Window], horizon: int
) -> None:
    end = START + horizon * MINUTE

    def example(cursor: Cursor) -> None:
        series_id = catalogue.ensure_series(cursor, BINANCE_UM_AGG_TRADES, BITCOIN, Resolution(0)).series_id
        for window in followed:
            catalogue.follow(cursor, series_id, window, keep_fresh=False, reason="test")
            told.expect_untold(cursor, series_id, window, horizon=end)
        for window in whole:
            told.mark_told(cursor, series_id, window)
        untold = {m for m in minutes_of(followed) - minutes_of(whole) if m < end}
        cursor.execute("SELECT day, expected FROM coverage WHERE series_id = %s AND expected > 0", (series_id,))
        assert dict(cursor.fetchall()) == pieces_of(untold)
        cursor.execute("SELECT expected FROM series_totals WHERE series_id = %s", (series_id,))
        assert cursor.fetchall() == [(sum(pieces_of(untold).values()),)]
        everything = Window(START, START + LONGEST * MINUTE)
        assert told.untold_pieces(cursor, series_id, everything) == pieces_of(untold)
        left = told.untold_windows(cursor, series_id, everything)
        assert minutes_of(left) == minutes_of([everything]) - minutes_of(whole)
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)


def test_what_is_told_joins_what_it_touches(database: Database) -> None:
    def example(cursor: Cursor) -> list[Window]:
        series_id = catalogue.ensure_series(cursor, BINANCE_UM_AGG_TRADES, BITCOIN, Resolution(0)).series_id
        windows = ((0, 10), (20, 10), (10, 5), (15, 5))
        return [told.mark_told(cursor, series_id, minutes(window)) for window in windows]

    stretches = database.run(example)
    assert stretches == [minutes(window) for window in ((0, 10), (20, 10), (0, 15), (0, 30))]
