"""Candles and their account: exact, idempotent, and never apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.clock import from_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.answer import RejectedRow
from tapekeeper.model.backfill import RowCounts
from tapekeeper.model.candle import Candles
from tapekeeper.model.window import Window
from tapekeeper.store.database import Database, connect
from tapekeeper.store.grid_rows import CANDLES, INCOMING_GRID_TABLES, write_rows
from tapekeeper.store.quarantine import quarantine
from tests.support.candles import MINUTE, START, followed_series, some_candles
from tests.support.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

WINDOW = Window(START, START + 3_000 * MINUTE)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        yield database


@pytest.fixture
def series_id(database: Database) -> int:
    return database.run(lambda cursor: followed_series(cursor, WINDOW))


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    def fetch(cursor: Any) -> list[tuple[Any, ...]]:
        cursor.execute(sql)
        return list(cursor.fetchall())

    return database.run(fetch)


def write(database: Database, series_id: int, candles: Candles) -> RowCounts:
    return database.run(lambda cursor: write_rows(cursor, CANDLES, series_id, candles))


def test_every_double_comes_back_bit_for_bit(database: Database, series_id: int) -> None:
    candles = some_candles(START, 3_000)
    assert write(database, series_id, candles) == RowCounts(3_000, 3_000, 0, 0)
    held = rows(
        database, "SELECT open_time, open, high, low, close, volume, cost, trade_count FROM candles ORDER BY open_time"
    )
    assert [row[0] for row in held] == [from_microseconds(int(moment)) for moment in candles.open_time]
    for position, name in enumerate(("open", "high", "low", "close", "volume", "cost"), start=1):
        np.testing.assert_array_equal(np.array([row[position] for row in held]), getattr(candles, name))
    assert {row[7] for row in held} == {None}


def test_a_trade_count_is_kept(database: Database, series_id: int) -> None:
    write(database, series_id, replace(some_candles(START, 3), trade_count=np.array([0, 7, 2_000_000_000])))
    assert rows(database, "SELECT trade_count FROM candles ORDER BY open_time") == [(0,), (7,), (2_000_000_000,)]


def test_what_cannot_be_written_is_refused_by_name(database: Database, series_id: int) -> None:
    candles = some_candles(START, 3)
    told_badly = {
        "trade_count cannot be written as integer: 3000000000 does not fit": {
            "trade_count": np.array([0, 7, 3_000_000_000])
        },
        "open is missing": {"open": np.array([1.0, np.nan, 1.0])},
        "close holds NaN or infinity": {"close": np.array([1.0, np.inf, 1.0])},
        "open_time 7 is no moment of this century in microseconds": {"open_time": np.array([7, START, START + MINUTE])},
    }
    for message, columns in told_badly.items():
        with pytest.raises(InvariantBroken, match=message):
            write(database, series_id, replace(candles, **columns))
    assert not rows(database, "SELECT FROM candles")


def test_the_account_counts_what_was_really_inserted(database: Database, series_id: int) -> None:
    write(database, series_id, some_candles(START, 2_000))
    write(database, series_id, some_candles(START + 1_000 * MINUTE, 2_000))
    assert rows(database, "SELECT expected, held FROM coverage ORDER BY day") == [
        (1440, 1440),
        (1440, 1440),
        (120, 120),
    ]
    assert rows(database, "SELECT held, expected, first_event_time, last_event_time FROM series_totals") == [
        (3_000, 3_000, from_microseconds(START), from_microseconds(START + 2_999 * MINUTE))
    ]


def test_the_same_candles_again_change_no_row(database: Database, series_id: int) -> None:
    candles = some_candles(START, 500)
    write(database, series_id, candles)
    before = rows(database, "SELECT xmin, ctid, open_time FROM candles")
    assert write(database, series_id, candles) == RowCounts(500, 0, 0, 500)
    assert rows(database, "SELECT xmin, ctid, open_time FROM candles") == before


def test_a_correction_updates_only_what_differs_and_counts_no_row_twice(database: Database, series_id: int) -> None:
    candles = some_candles(START, 500)
    write(database, series_id, candles)
    volume = candles.volume.copy()
    volume[[3, 4]] += 1
    assert write(database, series_id, replace(candles, volume=volume)) == RowCounts(500, 0, 2, 498)
    assert rows(database, "SELECT sum(held) FROM coverage") == [(500,)]
    assert rows(database, "SELECT volume FROM candles ORDER BY open_time OFFSET 3 LIMIT 1") == [(volume[3],)]


def test_no_candles_change_nothing(database: Database, series_id: int) -> None:
    assert write(database, series_id, Candles.empty()) == RowCounts()


def test_two_writers_of_the_same_rows_count_them_once(database_url: str, series_id: int, database: Database) -> None:
    def writer(number: int) -> int:
        with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as own:
            return sum(
                write(own, series_id, some_candles(START + part * 300 * MINUTE, 300)).inserted
                for part in (range(10) if number % 2 else reversed(range(10)))
            )

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(writer, range(4))) == 3_000
    assert rows(database, "SELECT sum(held), (SELECT count(*) FROM candles) FROM coverage") == [(3_000, 3_000)]


def test_a_row_of_a_writer_without_the_lock_is_merged(database_url: str, series_id: int, database: Database) -> None:
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with (
        closing(connect(database_url)) as stranger,
        closing(Database(database_url)) as observer,
        ThreadPoolExecutor(1) as pool,
    ):
        with stranger, stranger.cursor() as cursor:
            values = (series_id, from_microseconds(START + 7 * MINUTE))
            cursor.execute("INSERT INTO candles VALUES (%s, %s, 1, 1, 1, 1, 1)", values)
            written = pool.submit(write, database, series_id, some_candles(START, 500))
            wait_for(lambda: len(rows(observer, waiting)) == 1)
        assert written.result() == RowCounts(500, 499, 1, 0)
    assert rows(database, "SELECT sum(held) FROM coverage") == [(499,)]
    assert rows(database, "SELECT count(*) FROM candles WHERE high = 1") == [(0,)]


def test_a_failed_transaction_leaves_neither_rows_nor_account(database: Database, series_id: int) -> None:
    def work(cursor: Any) -> None:
        write_rows(cursor, CANDLES, series_id, some_candles(START, 100))
        raise RuntimeError("killed before the commit")

    with pytest.raises(RuntimeError):
        database.run(work)
    assert rows(database, "SELECT count(*) FROM candles") == [(0,)]
    assert rows(database, "SELECT sum(held) FROM coverage") == [(0,)]


def test_a_row_in_quarantine_is_kept_once_and_counted(database: Database, series_id: int) -> None:
    bad = [
        RejectedRow(START, "high 1.0 is below low 2.0", {"high": 1.0, "low": 2.0}),
        *[RejectedRow(None, "open 'x' is not a number", {"open": "x"})] * 2,
    ]
    for _ in range(3):
        database.run(lambda cursor: quarantine(cursor, series_id, bad))
    assert rows(database, "SELECT event_time, reason, content, times_seen FROM quarantine ORDER BY quarantine_id") == [
        (from_microseconds(START), "high 1.0 is below low 2.0", {"low": 2.0, "high": 1.0}, 3),
        (None, "open 'x' is not a number", {"open": "x"}, 6),
    ]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["open", "high", "volume"]), JSON_VALUES, max_size=3))
@settings(max_examples=60)
def test_whatever_a_venue_sends_can_be_kept_in_quarantine(
    database: Database, series_id: int, row: dict[str, object]
) -> None:
    database.run(lambda cursor: quarantine(cursor, series_id, [RejectedRow(None, "odd", row)]))


def test_the_view_that_users_query_has_their_columns_and_types(database: Database, series_id: int) -> None:
    write(database, series_id, some_candles(START, 2))
    assert rows(
        database,
        """
        SELECT column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns
        WHERE table_name = 'perpetuals_ohlcv' ORDER BY ordinal_position
        """,
    ) == [
        ("timestamp", "timestamp with time zone", None, None),
        ("instrument", "text", None, None),
        *((name, "numeric", 18, 8) for name in ("open", "high", "low", "close", "volume")),
    ]
    assert rows(database, "SELECT instrument, count(*) FROM perpetuals_ohlcv GROUP BY 1") == [("BTC-PERPETUAL", 2)]
