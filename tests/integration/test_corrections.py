"""Rows that are told again: what differs is updated and remembered, what is not told stays as it is."""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.cli import main
from tapekeeper.clock import MICROSECONDS_PER_SECOND, day_of, from_microseconds
from tapekeeper.model.backfill import RowCounts
from tapekeeper.model.funding_rate import FundingRates
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_FUNDING_RATES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, coverage
from tapekeeper.store.corrections import list_corrections
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import CANDLES, FUNDING_RATES, INCOMING_GRID_TABLES, write_rows
from tests.support.candles import MINUTE, START, followed_series, some_candles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.candle import Candles

HOUR = 3_600 * MICROSECONDS_PER_SECOND
STEP = 8 * HOUR
BITCOIN = Instrument("binance_um", "BTCUSDT", "perpetual", "BTC", START)
SLOTS = 20
NOT_TOLD = math.nan
Rate = tuple[int, float, float]
"""Microseconds after the hour, rate, and mark price or NaN."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        yield database


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


def rows(cursor: Cursor, sql: str) -> list[tuple[Any, ...]]:
    cursor.execute(sql)
    return list(cursor.fetchall())


def followed_rates(cursor: Cursor) -> int:
    window = Window(START, START + SLOTS * STEP)
    interval = Resolution(STEP // MICROSECONDS_PER_SECOND)
    series_id = catalogue.ensure_series(cursor, BINANCE_UM_FUNDING_RATES, BITCOIN, interval).series_id
    catalogue.follow(cursor, series_id, window, keep_fresh=False, reason="test")
    coverage.expect(cursor, series_id, window, interval, life_start=START, horizon=window.end)
    return series_id


def rates(told: Mapping[int, Rate]) -> FundingRates:
    due_at = START + np.array(sorted(told), dtype=np.int64) * STEP
    late, rate, mark = (np.array([told[slot][place] for slot in sorted(told)]) for place in range(3))
    return FundingRates(due_at, due_at + late.astype(np.int64), rate.astype(float), mark.astype(float))


RATES = st.dictionaries(
    st.integers(0, SLOTS - 1),
    st.tuples(st.sampled_from([0, 4_000]), st.sampled_from([0.0, 0.1, -0.3]), st.sampled_from([NOT_TOLD, 7.5, 8.25])),
    max_size=6,
)


@given(tellings=st.lists(RATES, max_size=6))
@settings(max_examples=60)
def test_rates_are_merged_as_one_by_one(database: Database, tellings: list[dict[int, Rate]]) -> None:
    def example(cursor: Cursor) -> None:
        series_id, held, changes = followed_rates(cursor), dict[int, Rate](), []
        for number, told in enumerate(tellings):
            inserted, changed = 0, 0
            for slot, (late, rate, mark) in sorted(told.items()):
                before = held.get(slot)
                kept = mark if before is None or not math.isnan(mark) else before[2]
                held[slot] = (late, rate, kept)
                inserted += before is None
                if before is not None and repr(before) != repr(held[slot]):
                    changes.append((slot, before, held[slot], f"file {number}"))
                    changed += 1
            counts = write_rows(cursor, FUNDING_RATES, series_id, rates(told), source=f"file {number}")
            assert counts == RowCounts(len(told), inserted, changed, len(told) - inserted - changed)
        assert rows(cursor, "SELECT due_at, paid_at, funding_rate, mark_price FROM funding_rates ORDER BY 1") == [
            (from_microseconds(START + slot * STEP), *in_words(slot, held[slot])) for slot in sorted(held)
        ]
        remembered = rows(cursor, "SELECT event_time, before, after, source FROM corrections ORDER BY correction_id")
        assert remembered == [
            (from_microseconds(START + slot * STEP), as_kept(slot, before), as_kept(slot, after), source)
            for slot, before, after, source in changes
        ]
        assert rows(cursor, "SELECT day, held FROM coverage WHERE held > 0 ORDER BY 1") == by_day(held)
        assert rows(cursor, "SELECT held, expected FROM series_totals") == [(len(held), SLOTS)]
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)


def in_words(slot: int, rate: Rate) -> tuple[datetime, float, float | None]:
    late, funding_rate, mark_price = rate
    paid_at = from_microseconds(START + slot * STEP + late)
    return paid_at, funding_rate, None if math.isnan(mark_price) else mark_price


def as_kept(slot: int, rate: Rate) -> dict[str, object]:
    paid_at, funding_rate, mark_price = in_words(slot, rate)
    # PostgreSQL leaves out zeros at the end of a fraction.
    written = paid_at.isoformat(timespec="milliseconds" if paid_at.microsecond else "seconds")
    return {"paid_at": written, "funding_rate": funding_rate, "mark_price": mark_price}


def by_day(held: Mapping[int, Rate]) -> list[tuple[object, int]]:
    counted: dict[object, int] = {}
    for slot in sorted(held):
        day = day_of(START + slot * STEP)
        counted[day] = counted.get(day, 0) + 1
    return list(counted.items())


def write(database: Database, series_id: int, candles: Candles, source: str) -> RowCounts:
    return database.run(lambda cursor: write_rows(cursor, CANDLES, series_id, candles, source=source))


@pytest.fixture
def series_id(database: Database) -> int:
    return database.run(lambda cursor: followed_series(cursor, Window(START, START + 100 * MINUTE)))


def test_only_rows_that_are_updated_leave_a_correction(database: Database, series_id: int) -> None:
    candles = some_candles(START, 60)
    write(database, series_id, candles.select(np.arange(60) < 50), "rest")
    volume = candles.volume.copy()
    volume[3] += 1
    write(database, series_id, replace(candles, volume=volume), "a file")
    (correction,) = database.run(lambda cursor: list_corrections(cursor))
    assert correction.changes == {"volume": (candles.volume[3], volume[3])}
    assert correction.before["open"] == candles.open[3], "bit for bit"
    assert (correction.dataset, correction.instrument) == ("deribit.perpetual_candles", "BTC-PERPETUAL")
    assert (correction.event_time, correction.source) == (from_microseconds(START + 3 * MINUTE), "a file")


def test_a_count_that_is_not_told_leaves_the_one_that_was(database: Database, series_id: int) -> None:
    candles = some_candles(START, 3)
    write(database, series_id, replace(candles, trade_count=np.array([5, 6, 7])), "a file")
    assert write(database, series_id, candles, "rest") == RowCounts(3, 0, 0, 3)
    assert write(database, series_id, replace(candles, close=candles.low), "rest").updated == 3
    assert database.run(lambda cursor: rows(cursor, "SELECT trade_count FROM candles ORDER BY open_time")) == [
        (5,),
        (6,),
        (7,),
    ]


def test_the_command_tells_what_was_and_what_is(database_url: str, database: Database, series_id: int) -> None:
    def shell(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["corrections", *arguments], env={"TAPEKEEPER_DATABASE_URL": database_url})
        assert result.exit_code == 0, result.output
        return result.stdout

    assert shell() == "No row was changed after it was written.\n"
    candles = replace(some_candles(START, 3), volume=np.array([1.0, 2.0, 3.0]))
    write(database, series_id, candles, "rest")
    write(database, series_id, replace(candles, volume=np.array([1.0, 2.5, 3.5])), "BTCUSDT-1m-2024-03.zip 5f70bf18")
    told = " ".join(shell().split())
    for words in ("BTC-PERPETUAL 1m", "volume 3, 3.5", "volume 2, 2.5", "BTCUSDT-1m-2024-03.zip 5f70bf18"):
        assert words in told
    assert "There are more: --limit 10 shows further ones." in shell("--limit", "1")
    found = json.loads(shell("--instrument", "BTC-PERPETUAL", "--dataset", "deribit.perpetual_candles", "--json"))
    assert [each["after"]["volume"] for each in found["corrections"]] == [3.5, 2.5]
    assert found["corrections"][0]["event_time"] == "2020-09-14T00:02:00Z"
    assert found["more"] is False
    assert json.loads(shell("--instrument", "ETH-PERPETUAL", "--json"))["corrections"] == []
