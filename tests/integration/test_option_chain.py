"""Daily candles of a chain's options, and what is followed and expected of them, against the slow way to count."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, day_of, from_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.backfill import RowCounts
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.option_candle import OptionCandles
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, coverage
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES, OPTION_CANDLES, write_rows
from tapekeeper.store.option_chain import write_chain
from tapekeeper.store.series_lock import lock_series
from tapekeeper.store.told import expect_untold, untold_windows
from tests.support.candles import START

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from psycopg2.extensions import cursor as Cursor

DAY = MICROSECONDS_PER_DAY
EIGHT = 8 * 3_600 * MICROSECONDS_PER_SECOND
DAILY = Resolution(86_400)
ETHER = Instrument("cryptodatadownload", "ETH", "option_chain", "ETH", START - 365 * DAY)
DAYS = 12
LAST_DAY = DAYS - 1
Told = dict[int, float]
"""What a venue tells of a day: the close of each option, by its number."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        yield database


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


def option_of(number: int, *, first_day: int, expiry_day: int = LAST_DAY) -> Instrument:
    return Instrument(
        ETHER.venue,
        f"ETH-{number}",
        "option",
        "ETH",
        listed_at=START + first_day * DAY,
        expires_at=START + expiry_day * DAY + EIGHT,
        strike=float(number),
        option_type="call",
    )


def candles_of(told: Mapping[int, Told]) -> OptionCandles:
    """Return the candles of days, in the order of the model."""
    rows = sorted((day, number, close) for day, closes in told.items() for number, close in closes.items())
    numbers = sorted({number for _, number, _ in rows})
    first = {number: min(day for day, other, _ in rows if other == number) for number in numbers}
    options = tuple(option_of(number, first_day=first[number]) for number in numbers)
    places = {number: place for place, number in enumerate(numbers)}
    day = np.array([START + day * DAY for day, _, _ in rows], dtype=np.int64)
    close = np.array([close for _, _, close in rows], dtype=np.float64)
    option = np.array([places[number] for _, number, _ in rows], dtype=np.int64)
    return OptionCandles(options, option, day, day + EIGHT, close, close + 1, close, close, close * 0)


def days(first: int, end: int) -> Window:
    return Window(START + first * DAY, START + end * DAY)


def follow(cursor: Cursor, *windows: Window) -> int:
    """Follow windows of the chain and return its series."""
    chain = catalogue.ensure_series(cursor, CRYPTODATADOWNLOAD_OPTION_CANDLES, ETHER, Resolution(0)).series_id
    lock_series(cursor, chain)
    for window in windows:
        catalogue.follow(cursor, chain, window, keep_fresh=False, reason="test")
        expect_untold(cursor, chain, window, horizon=START + DAYS * DAY)
    return chain


def tell(cursor: Cursor, chain: int, day: int, closes: Told) -> RowCounts:
    return write_chain(cursor, chain, days(day, day + 1), candles_of({day: closes}), source="rest")


def rows(cursor: Cursor, sql: str, *values: object) -> list[tuple[Any, ...]]:
    cursor.execute(sql, values)
    return list(cursor.fetchall())


@dataclass(frozen=True)
class Count:
    """What one option should have."""

    series_id: int
    held: dict[int, float]
    expected: set[int]


def check_account(cursor: Cursor, chain: int, told: Mapping[int, Told], followed: set[int]) -> list[Count]:
    """Compare rows, coverage, totals and what is followed of every option with what was told; return the counts."""
    series = dict(rows(cursor, "SELECT name, series_id FROM series JOIN instruments USING (instrument_id)"))
    counts = []
    for number in sorted({number for closes in told.values() for number in closes}):
        held = {day: closes[number] for day, closes in told.items() if number in closes}
        expected = followed & told.keys() & set(range(min(held), max(held) + 1))
        counts.append(Count(series[f"ETH-{number}"], held, expected))
    for count in counts:
        assert rows(
            cursor, "SELECT day, close FROM option_candles WHERE series_id = %s ORDER BY 1", count.series_id
        ) == [(from_microseconds(START + day * DAY), close) for day, close in sorted(count.held.items())]
        assert rows(
            cursor,
            "SELECT day, expected, held, first_event_time FROM coverage WHERE series_id = %s AND expected + held > 0"
            " ORDER BY day",
            count.series_id,
        ) == [
            (
                day_of(START + day * DAY),
                int(day in count.expected),
                int(day in count.held),
                from_microseconds(START + day * DAY) if day in count.held else None,
            )
            for day in sorted(count.expected | count.held.keys())
        ]
        assert rows(
            cursor,
            "SELECT held, expected, rows_held, first_event_time, last_event_time FROM series_totals"
            " WHERE series_id = %s",
            count.series_id,
        ) == [
            (
                len(count.held),
                len(count.expected),
                len(count.held),
                from_microseconds(START + min(count.held) * DAY),
                from_microseconds(START + max(count.held) * DAY),
            )
        ]
    untold = {day for day in followed if day not in told}
    pieces = rows(cursor, "SELECT day FROM coverage WHERE series_id = %s AND expected > 0 ORDER BY 1", chain)
    assert pieces == [(day_of(START + day * DAY),) for day in sorted(untold)]
    return counts


def check_expected_again(cursor: Cursor, counts: list[Count]) -> None:
    """Fail if counting one series in the way of all grids makes a difference."""
    everything = "SELECT * FROM coverage WHERE expected > 0 ORDER BY series_id, day"
    before = rows(cursor, everything), rows(cursor, "SELECT * FROM series_totals ORDER BY 1")
    for count in counts:
        ((listed_at, expires_at),) = rows(
            cursor,
            "SELECT listed_at, expires_at FROM series JOIN instruments USING (instrument_id) WHERE series_id = %s",
            count.series_id,
        )
        life_start, horizon = (int(moment.timestamp()) * MICROSECONDS_PER_SECOND for moment in (listed_at, expires_at))
        assert life_start == START + min(count.held) * DAY
        coverage.expect(cursor, count.series_id, days(-1, DAYS + 1), DAILY, life_start=life_start, horizon=horizon)
    assert (rows(cursor, everything), rows(cursor, "SELECT * FROM series_totals ORDER BY 1")) == before


CLOSES = st.dictionaries(st.integers(0, 4), st.sampled_from([0.0, 0.25, 0.3]), max_size=5)
FOLLOWED = st.lists(st.tuples(st.integers(0, LAST_DAY), st.integers(1, DAYS)).map(lambda pair: (pair[0], sum(pair))))


@given(
    followed=FOLLOWED.map(lambda windows: [(start, min(end, DAYS)) for start, end in windows][:3]),
    tellings=st.lists(st.tuples(st.integers(0, LAST_DAY), CLOSES), max_size=14),
)
@settings(max_examples=60)
def test_the_account_is_what_counting_tells(
    database: Database, followed: list[tuple[int, int]], tellings: list[tuple[int, Told]]
) -> None:
    def example(cursor: Cursor) -> None:
        chain = follow(cursor, *(days(*window) for window in followed))
        wanted = {day for window in followed for day in range(*window)}
        told: dict[int, Told] = {}
        corrected = 0
        # A chunk is of a day that is followed; what is told again tells some rows differently, and lacks others.
        for day, closes in (each for each in tellings if each[0] in wanted):
            before = told.get(day, {})
            differs = sum(close != before[number] for number, close in closes.items() if number in before)
            new = len(closes.keys() - before.keys())
            counts = tell(cursor, chain, day, closes)
            assert counts == RowCounts(len(closes), new, differs, len(closes) - new - differs)
            told[day] = {**before, **closes}
            corrected += differs
        counted = check_account(cursor, chain, told, wanted)
        assert rows(cursor, "SELECT count(*) FROM corrections") == [(corrected,)]
        check_expected_again(cursor, counted)
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)


def test_days_between_are_expected_of_an_option_as_they_are_told_of_the_chain(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        chain = follow(cursor, days(0, 2), days(6, 8))
        for day in (0, 7):
            tell(cursor, chain, day, {1: 0.5})
        counted = check_account(cursor, chain, {0: {1: 0.5}, 7: {1: 0.5}}, {0, 1, 6, 7})
        assert counted[0].expected == {0, 7}
        follow(cursor, days(2, 6))
        for day in range(1, 7):
            tell(cursor, chain, day, {})
        told = {day: {1: 0.5} if day in (0, 7) else {} for day in range(8)}
        check_account(cursor, chain, told, set(range(8)))
        (series_id,) = {count.series_id for count in counted}
        assert rows(cursor, "SELECT window_start, window_end FROM followed WHERE series_id = %s", series_id) == [
            days(0, 8).as_datetimes()
        ]

    database.run(work)


def test_a_day_between_that_is_not_told_is_a_hole_and_those_around_are_not(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        chain = follow(cursor, days(0, DAYS))
        told = {day: {1: 0.5, 2: 0.25} if day in (2, 3, 6) else {2: 0.25} for day in (6, 1, 2, 4, 3, 7)}
        for day, closes in told.items():
            tell(cursor, chain, day, closes)
        counted = check_account(cursor, chain, told, set(range(DAYS)))
        assert [count.expected - count.held.keys() for count in counted] == [{4}, set()]
        missing = coverage.missing_windows(cursor, counted[0].series_id, days(2, 5), DAILY)
        assert missing == [days(4, 5)]
        assert untold_windows(cursor, chain, days(0, DAYS)) == [days(0, 1), days(5, 6), days(8, DAYS)]

    database.run(work)


def test_the_day_of_the_expiry_is_inside_the_life_and_the_next_one_is_not(database: Database) -> None:
    chain = database.run(lambda cursor: follow(cursor, days(0, DAYS + 1)))

    def last_day(cursor: Cursor) -> None:
        assert tell(cursor, chain, LAST_DAY, {1: 0.5}).inserted == 1
        check_expected_again(cursor, check_account(cursor, chain, {LAST_DAY: {1: 0.5}}, set(range(DAYS))))

    database.run(last_day)
    with pytest.raises(
        InvariantBroken, match=r"ETH-1 expired at 2020-09-25T08:00:00Z and cannot have a candle of 2020"
    ):
        database.run(lambda cursor: tell(cursor, chain, DAYS, {1: 0.5}))


def test_an_empty_answer_is_told_and_writes_nothing(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        chain = follow(cursor, days(0, 3))
        assert write_chain(cursor, chain, days(0, 3), OptionCandles.empty(), source="rest") == RowCounts()
        assert untold_windows(cursor, chain, days(0, 3)) == []
        assert rows(cursor, "SELECT count(*), sum(expected) FROM coverage") == [(3, 0)]
        assert rows(cursor, "SELECT count(*) FROM series") == [(1,)]

    database.run(work)


def test_a_correction_tells_what_was_and_what_is(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        chain = follow(cursor, days(0, 3))
        tell(cursor, chain, 1, {1: 0.5, 2: 0.25})
        again = replace(candles_of({1: {1: 0.5, 2: 0.3}}), open_time=np.full(2, START + DAY + EIGHT + 1))
        assert write_chain(cursor, chain, days(1, 2), again, source="rest").updated == 2
        found = rows(cursor, "SELECT before, after, source FROM corrections ORDER BY series_id")
        assert [(before["close"], after["close"], source) for before, after, source in found] == [
            (0.5, 0.5, "rest"),
            (0.25, 0.3, "rest"),
        ]
        assert [found[0][side]["open_time"] for side in (0, 1)] == [
            "2020-09-15T08:00:00+00:00",
            "2020-09-15T08:00:00.000001+00:00",
        ]

    database.run(work)


def test_a_hole_of_one_option_is_filled_as_any_other(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        chain = follow(cursor, days(0, 3))
        for day, closes in ((0, {1: 0.5, 2: 0.5}), (1, {2: 0.5}), (2, {1: 0.5, 2: 0.5})):
            tell(cursor, chain, day, closes)
        hole, _ = check_account(cursor, chain, {0: {1: 0.5, 2: 0.5}, 1: {2: 0.5}, 2: {1: 0.5, 2: 0.5}}, {0, 1, 2})
        assert hole.expected - hole.held.keys() == {1}
        found = candles_of({1: {1: 0.25}})
        assert write_rows(cursor, OPTION_CANDLES, hole.series_id, found) == RowCounts(1, 1, 0, 0)
        told = {0: {1: 0.5, 2: 0.5}, 1: {1: 0.25, 2: 0.5}, 2: {1: 0.5, 2: 0.5}}
        check_expected_again(cursor, check_account(cursor, chain, told, {0, 1, 2}))
        assert tell(cursor, chain, 1, told[1]) == RowCounts(2, 0, 0, 2)

    database.run(work)


def test_chunks_of_several_workers_come_to_the_same(database_url: str, database: Database) -> None:
    chain = database.run(lambda cursor: follow(cursor, days(0, DAYS)))
    told = {day: {number: 0.5 for number in range(40) if (day * 7 + number) % 3} for day in range(DAYS)}

    def worker(number: int) -> int:
        with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as own:
            mine = [day for day in told if day % 3 != number]
            return sum(
                own.run(lambda cursor, day=day: tell(cursor, chain, day, told[day])).inserted  # type: ignore[misc]
                for day in (mine if number % 2 else reversed(mine))
            )

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(worker, range(3))) == sum(map(len, told.values()))
    database.run(lambda cursor: check_account(cursor, chain, told, set(range(DAYS))))
