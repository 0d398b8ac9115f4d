"""Aggregate trades: written once, corrected with a trace, proven by their ids, and missed where they are not told."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, from_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.agg_trade import AggTrades
from tapekeeper.model.backfill import RowCounts
from tapekeeper.model.gap import Cause, Gap, GapState, Sequences
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.window import Window
from tapekeeper.quality.ledger import close_filled
from tapekeeper.store import gaps, told
from tapekeeper.store.agg_trades import INCOMING_AGG_TRADES, ensure_days, settle_window, write_agg_trades
from tapekeeper.store.database import Database
from tapekeeper.store.gap_counts import lack
from tapekeeper.store.trade_gaps import open_untold_gap
from tests.support.agg_trades import BITCOIN, check_days, followed_trades, some_trades
from tests.support.candles import MINUTE, START, followed_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

DAY = MICROSECONDS_PER_DAY
BY = "test"
THREE_DAYS = Window(START, START + 3 * DAY)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_AGG_TRADES)) as database:
        yield database


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


def minutes(start: int, end: int) -> Window:
    return Window(START + start * MINUTE, START + end * MINUTE)


def minutes_of(*windows: Window) -> set[int]:
    return {minute for window in windows for minute in range(window.start, window.end, MINUTE)}


def every_minute(*numbers: int, price: float = 100.0) -> AggTrades:
    """Return the trades of some minutes: each minute has one, with the id of the minute."""
    return some_trades(numbers, [START + number * MINUTE for number in numbers], price=price)


def write(cursor: Cursor, series_id: int, trades: AggTrades, source: str = "rest") -> RowCounts:
    return write_agg_trades(cursor, series_id, trades, source=source)


def settled(cursor: Cursor, series_id: int, window: Window) -> list[Gap]:
    return settle_window(cursor, series_id, window, cause=Cause.SEQUENCE_BREAK, by=BY, evidence={"told_by": "a test"})


def untold_gap(cursor: Cursor, series_id: int, window: Window) -> Gap | None:
    evidence = {"file": "BTCUSDT-aggTrades-2020-09-15.zip"}
    return open_untold_gap(cursor, series_id, window, cause=Cause.ARCHIVE_DEFECT, by=BY, evidence=evidence)


def given_up(cursor: Cursor, gap_id: int) -> gaps.Receipt:
    gaps.begin_repair(cursor, gap_id, by=BY, why="asked again")
    return gaps.close_gap(cursor, gap_id, requests=1, by=BY)


def numbers_of(opened: list[Gap]) -> list[tuple[int, int]]:
    return [(gap.sequences.first, gap.sequences.last) for gap in opened if gap.sequences is not None]


def account_of(cursor: Cursor, series_id: int) -> dict[int, tuple[int, int, int]]:
    """Return what is expected, held and explained, by the number of the day."""
    cursor.execute("SELECT day, expected, held, explained FROM coverage WHERE series_id = %s", (series_id,))
    first = from_microseconds(START).date()
    return {(day - first).days: (expected, held, explained) for day, expected, held, explained in cursor.fetchall()}


def test_trades_are_written_once_with_all_that_was_told_of_them(database: Database) -> None:
    trades = every_minute(*range(1_430, 1_450))

    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, THREE_DAYS)
        assert write(cursor, series_id, trades) == RowCounts(20, inserted=20)
        cursor.execute("SELECT ctid, * FROM agg_trades ORDER BY agg_trade_id")
        written = cursor.fetchall()
        assert write(cursor, series_id, trades) == RowCounts(20, unchanged=20)
        assert write(cursor, series_id, trades) == RowCounts(20, unchanged=20)
        assert write(cursor, series_id, AggTrades.empty()) == RowCounts()
        cursor.execute("SELECT ctid, * FROM agg_trades ORDER BY agg_trade_id")
        assert cursor.fetchall() == written
        check_days(cursor, series_id, minutes_of(THREE_DAYS))
        cursor.execute(
            """
            SELECT agg_trade_id, event_time, price, quantity, first_trade_id, last_trade_id, is_buyer_maker
            FROM agg_trades ORDER BY agg_trade_id
            """
        )
        told_columns = zip(
            trades.agg_trade_id.tolist(),
            map(from_microseconds, trades.event_time.tolist()),
            trades.price.tolist(),
            trades.quantity.tolist(),
            trades.first_trade_id.tolist(),
            trades.last_trade_id.tolist(),
            trades.is_buyer_maker.tolist(),
            strict=True,
        )
        assert cursor.fetchall() == list(told_columns)
        cursor.execute("SELECT count(*) FROM corrections")
        assert cursor.fetchall() == [(0,)]
        cursor.execute("SELECT count(*) FROM agg_trades_20200914")
        assert cursor.fetchall() == [(10,)]

    database.run(work)


def test_a_trade_that_is_moved_over_midnight_leaves_the_partitions_of_other_days_alone(database: Database) -> None:
    times = [START + DAY - 2 * MINUTE, START + DAY - MINUTE, START + DAY]

    def set_up(cursor: Cursor) -> int:
        ensure_days(cursor, Window(START - 40 * DAY, START - 30 * DAY))
        series_id = followed_trades(cursor, THREE_DAYS)
        write(cursor, series_id, some_trades([7, 8, 9], times))
        return series_id

    series_id = database.run(set_up)

    def move(cursor: Cursor) -> None:
        write(cursor, series_id, some_trades([7, 8, 9], [times[0], times[2], times[2]]))
        cursor.execute(
            "SELECT DISTINCT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
            "WHERE pid = pg_backend_pid() AND relname ~ '^agg_trades_202008'"
        )
        assert cursor.fetchall() == []

    database.run(move)


def test_a_trade_that_is_corrected_leaves_its_former_self_behind_and_moves_to_its_day(database: Database) -> None:
    # The last trade of the first day happened after midnight, and another one at another price.
    times = [START + DAY - 3 * MINUTE, START + DAY - 2 * MINUTE, START + DAY - MINUTE]
    later = [*times[:2], START + DAY + MINUTE]

    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, THREE_DAYS)
        write(cursor, series_id, some_trades([7, 8, 9], times))
        mixed = some_trades([7, 8, 9, 10], [*later, later[-1]])
        mixed.price[1] = 101.0
        assert write(cursor, series_id, mixed, source="a file") == RowCounts(4, inserted=1, updated=2, unchanged=1)
        assert write(cursor, series_id, mixed) == RowCounts(4, unchanged=4)
        check_days(cursor, series_id, minutes_of(THREE_DAYS))
        assert {day: held for day, (_, held, _) in account_of(cursor, series_id).items()} == {0: 2, 1: 2, 2: 0}
        cursor.execute("SELECT event_time, before, after, source FROM corrections ORDER BY correction_id")
        priced, moved = cursor.fetchall()
        assert (priced[0], priced[1]["price"], priced[2]["price"]) == (from_microseconds(times[1]), 100.0, 101.0)
        assert {**priced[1], "price": 101.0} == priced[2]
        assert (moved[0], moved[3]) == (from_microseconds(times[2]), "a file")
        assert moved[1] == {
            "agg_trade_id": 9,
            "event_time": "2020-09-14T23:59:00+00:00",
            "price": 100.0,
            "quantity": 1.125,
            "first_trade_id": 27,
            "last_trade_id": 28,
            "is_buyer_maker": False,
        }
        assert moved[2] == {**moved[1], "event_time": "2020-09-15T00:01:00+00:00"}

    database.run(work)


def test_what_cannot_be_written_is_refused_by_name(database: Database) -> None:
    trades = every_minute(1, 2)
    nameless = some_trades([1], [START])
    nameless.price[0] = np.nan

    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, THREE_DAYS)
        with pytest.raises(InvariantBroken, match="there is no series 99: call ensure_series before writing"):
            write(cursor, 99, trades)
        with pytest.raises(InvariantBroken, match="price is missing"):
            write(cursor, series_id, nameless)
        with pytest.raises(InvariantBroken, match="event_time 7 is no moment of this century in microseconds"):
            write(cursor, series_id, some_trades([1], [7]))
        candles = followed_series(cursor, minutes(0, 10))
        with pytest.raises(InvariantBroken, match=rf"series {candles} is not told in windows"):
            untold_gap(cursor, candles, minutes(0, 10))

    database.run(work)


def test_ids_that_the_venue_left_out_are_gaps_wherever_the_windows_were_cut(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, THREE_DAYS)
        write(cursor, series_id, every_minute(1, 2, 5, 6))
        (inside,) = settled(cursor, series_id, minutes(0, 10))
        assert (inside.sequences, inside.window, inside.missing) == (Sequences(3, 4), minutes(2, 5), 2)
        assert (inside.state, inside.cause) == (GapState.CLASSIFIED, Cause.SEQUENCE_BREAK)
        # Nobody told what is in between: nothing is proven yet.
        write(cursor, series_id, every_minute(23, 24))
        assert settled(cursor, series_id, minutes(20, 30)) == []
        # Not one trade in it, and the chain is broken across it.
        (across,) = settled(cursor, series_id, minutes(10, 20))
        assert (across.sequences, across.window) == (Sequences(7, 22), minutes(6, 23))
        write(cursor, series_id, every_minute(31))
        (junction,) = settled(cursor, series_id, minutes(30, 40))
        assert (junction.sequences, junction.window) == (Sequences(25, 30), minutes(24, 31))
        check_days(cursor, series_id, minutes_of(THREE_DAYS) - minutes_of(minutes(0, 40)))

    database.run(work)


def test_a_window_that_is_told_again_doubles_nothing(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, THREE_DAYS)
        untold = minutes_of(THREE_DAYS) - minutes_of(minutes(0, 10))
        for _ in range(2):
            write(cursor, series_id, every_minute(1, 2, 6))
            settled(cursor, series_id, minutes(0, 10))
            check_days(cursor, series_id, untold)
        # This time the venue leaves out less: what came counted itself.
        write(cursor, series_id, every_minute(1, 2, 3, 6))
        assert settled(cursor, series_id, minutes(0, 10)) == []
        (gap,) = gaps.open_gaps(cursor, [series_id])
        given_up(cursor, gap.gap_id)
        check_days(cursor, series_id, untold)
        write(cursor, series_id, every_minute(4, 5))
        assert settled(cursor, series_id, minutes(3, 6)) == []
        close_filled(cursor, [series_id], by=BY)
        check_days(cursor, series_id, untold)
        assert account_of(cursor, series_id)[0] == (7, 6, 0)

    database.run(work)


def test_two_trades_of_one_moment_leave_a_gap_of_a_microsecond(database: Database) -> None:
    def work(cursor: Cursor) -> list[Gap]:
        series_id = followed_trades(cursor, THREE_DAYS)
        write(cursor, series_id, some_trades([1, 3], [START + MINUTE, START + MINUTE]))
        return settled(cursor, series_id, minutes(0, 10))

    (gap,) = database.run(work)
    assert gap.window == Window(START + MINUTE, START + MINUTE + 1)


def test_no_day_far_away_is_looked_at_however_long_the_stretch_is(database: Database) -> None:
    def prepared(cursor: Cursor) -> int:
        month = Window(START, START + 40 * DAY)
        series_id = followed_trades(cursor, month)
        days = [*range(10), *range(20, 40)]
        write(cursor, series_id, some_trades(range(len(days)), [START + day * DAY + MINUTE for day in days]))
        ensure_days(cursor, month)
        told.mark_told(cursor, series_id, Window(month.start, START + 12 * DAY))
        told.mark_told(cursor, series_id, Window(START + 13 * DAY, month.end))
        return series_id

    def opened(cursor: Cursor) -> set[int]:
        """Return which days' partitions the transaction opened."""
        cursor.execute(
            """
            SELECT DISTINCT right(relname, 8) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
            WHERE pid = pg_backend_pid() AND relname LIKE 'agg\\_trades\\_2%' AND relkind = 'r'
            """
        )
        first = from_microseconds(START).date()
        return {(date.fromisoformat(day) - first).days for (day,) in cursor.fetchall()}

    series_id = database.run(prepared)

    def settle(cursor: Cursor) -> None:
        gap_free = settled(cursor, series_id, Window(START + 12 * DAY, START + 13 * DAY))
        assert gap_free == []
        # Its own day, those that touch it, and those where its neighbours are.
        assert opened(cursor) == {9, 11, 12, 13, 20}
        raise _RolledBack

    def count(cursor: Cursor) -> None:
        lack(cursor, series_id, Window(START + 21 * DAY, START + 21 * DAY + MINUTE), Sequences(11, 11))
        assert opened(cursor) == {20, 21, 22}
        raise _RolledBack

    for work in (settle, count):
        with pytest.raises(_RolledBack):
            database.run(work)


def test_where_there_is_room_already_two_series_are_written_at_once(database: Database, database_url: str) -> None:
    database.run(lambda cursor: ensure_days(cursor, minutes(0, 1_440)))
    ether = Instrument("binance_um", "ETHUSDT", "perpetual", "ETH", START)
    first, second = (
        database.run(partial(followed_trades, window=THREE_DAYS, instrument=instrument))
        for instrument in (BITCOIN, ether)
    )
    other = Database(database_url, prepare=f"SET lock_timeout = '5s'; {INCOMING_AGG_TRADES}")

    def work(cursor: Cursor) -> None:
        write(cursor, first, every_minute(1, 2))
        # The first one is not committed yet.
        other.run(lambda cursor: write(cursor, second, every_minute(1, 2)))

    with closing(other):
        database.run(work)
        for series_id in (first, second):
            database.run(partial(check_days, series_id=series_id, untold=minutes_of(THREE_DAYS)))


def test_a_window_that_cannot_be_had_is_a_gap_until_it_is_told(database: Database) -> None:
    second_day = Window(START + DAY, START + 2 * DAY)

    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, THREE_DAYS)
        gap = untold_gap(cursor, series_id, second_day)
        assert gap is not None
        assert (gap.window, gap.missing, gap.sequences, gap.state) == (second_day, 1, None, GapState.CLASSIFIED)
        assert untold_gap(cursor, series_id, second_day) is None
        assert account_of(cursor, series_id) == {0: (1, 0, 0), 1: (1, 0, 0), 2: (1, 0, 0)}
        assert given_up(cursor, gap.gap_id) == gaps.Receipt(gap.gap_id, GapState.PERMANENT, 0, 1)
        assert untold_gap(cursor, series_id, second_day) is None
        assert account_of(cursor, series_id) == {0: (1, 0, 0), 1: (1, 0, 1), 2: (1, 0, 0)}
        check_days(cursor, series_id, minutes_of(THREE_DAYS))
        # It is told nevertheless, one half first: the other half is given up as before.
        write(cursor, series_id, some_trades([1], [second_day.start]))
        settled(cursor, series_id, minutes(1_440, 2_000))
        assert account_of(cursor, series_id)[1] == (2, 1, 1)
        settled(cursor, series_id, minutes(2_000, 2_880))
        assert account_of(cursor, series_id)[1] == (1, 1, 0)
        check_days(cursor, series_id, minutes_of(THREE_DAYS) - minutes_of(second_day))
        assert untold_gap(cursor, series_id, second_day) is None

    database.run(work)


def test_a_gap_of_what_was_not_told_closes_when_it_is_told(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, THREE_DAYS)
        gap = untold_gap(cursor, series_id, minutes(100, 300))
        assert gap is not None
        # Another one that overlaps it takes what is left.
        rest = untold_gap(cursor, series_id, minutes(200, 400))
        assert rest is not None
        assert rest.window == minutes(300, 400)
        settled(cursor, series_id, minutes(150, 160))
        # Two pieces are left of one: nothing was found yet.
        gaps.begin_repair(cursor, gap.gap_id, by=BY, why="asked again")
        gaps.postpone_repair(cursor, gap.gap_id, next_attempt_at=START, by=BY, why="the file is still corrupt")
        assert gaps.events_of(cursor, gap.gap_id)[-1].evidence["found"] == 0
        assert close_filled(cursor, [series_id], by=BY) == 0
        settled(cursor, series_id, minutes(90, 310))
        assert close_filled(cursor, [series_id], by=BY) == 1
        assert [left.gap_id for left in gaps.open_gaps(cursor, [series_id])] == [rest.gap_id]
        assert gaps.find_gap(cursor, gap.gap_id).state is GapState.REPAIRED
        check_days(cursor, series_id, minutes_of(THREE_DAYS) - minutes_of(minutes(90, 310)))

    database.run(work)


def test_numbers_that_come_late_are_told_from_pieces_that_were_never_told(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, minutes(0, 1_440))
        write(cursor, series_id, every_minute(1, 2, 5, 6))
        (numbers,) = settled(cursor, series_id, minutes(0, 10))
        untold = untold_gap(cursor, series_id, minutes(10, 1_440))
        assert untold is not None
        for gap in (numbers, untold):
            given_up(cursor, gap.gap_id)
        assert account_of(cursor, series_id)[0] == (7, 4, 3)
        close_filled(cursor, [series_id], by=BY)
        assert account_of(cursor, series_id)[0] == (7, 4, 3)
        write(cursor, series_id, every_minute(3))
        close_filled(cursor, [series_id], by=BY)
        assert account_of(cursor, series_id)[0] == (7, 5, 2)
        check_days(cursor, series_id, minutes_of(minutes(10, 1_440)))

    database.run(work)


LAST_MINUTE = 3 * 1_440
WINDOWS = st.one_of(
    # The same windows again and again, and some that meet others anywhere.
    st.sampled_from([minutes(0, LAST_MINUTE), minutes(0, 1_440), minutes(1_000, 2_880)]),
    st.tuples(st.integers(0, LAST_MINUTE - 1), st.integers(1, 2_500)).map(
        lambda pair: minutes(pair[0], min(LAST_MINUTE, sum(pair)))
    ),
)


@dataclass(frozen=True)
class Telling:
    """The venue tells a window: some trades left out, some at another price or half a minute later than before."""

    window: Window
    left_out: frozenset[int]
    price: float
    shift: int


@dataclass(frozen=True)
class GivingUp:
    """A window that cannot be had."""

    window: Window


class Closing:
    """The nightly look at the gaps, and the end of one of them."""


STEPS = st.lists(
    st.one_of(
        st.builds(
            Telling,
            WINDOWS,
            st.frozensets(st.integers(0, 24), max_size=8),
            st.sampled_from([100.0, 101.0]),
            st.sampled_from([0, 0, 30_000_000]),
        ),
        st.builds(GivingUp, WINDOWS),
        st.builds(Closing),
    ),
    min_size=1,
    max_size=10,
)
# At 45 seconds past a minute, so that half a minute later is in the next one, or on the next day.
CHAINS = st.lists(st.integers(0, LAST_MINUTE - 1), min_size=1, max_size=25).map(
    lambda chosen: [START + minute * MINUTE + 45_000_000 for minute in sorted([*chosen, 1_439, 1_439, 1_440])]
)


def tell(cursor: Cursor, series_id: int, chain: list[int], telling: Telling) -> None:
    moments = [moment + telling.shift for moment in chain]
    wanted = [
        number
        for number, moment in enumerate(moments)
        if telling.window.start <= moment < telling.window.end and number not in telling.left_out
    ]
    for half in (wanted[: len(wanted) // 2], wanted[len(wanted) // 2 :]):
        write(cursor, series_id, some_trades(half, [moments[number] for number in half], price=telling.price))
    settled(cursor, series_id, telling.window)


def give_up_one(cursor: Cursor, series_id: int) -> None:
    close_filled(cursor, [series_id], by=BY)
    waiting = gaps.open_gaps(cursor, [series_id])
    if waiting:
        given_up(cursor, waiting[0].gap_id)


def count_what_came(cursor: Cursor, series_id: int) -> None:
    """Let every gap that waits take off what came of it meanwhile."""
    close_filled(cursor, [series_id], by=BY)
    for gap in gaps.open_gaps(cursor, [series_id]):
        gaps.begin_repair(cursor, gap.gap_id, by=BY, why="asked again")
        gaps.postpone_repair(cursor, gap.gap_id, next_attempt_at=START, by=BY, why="the venue is away")


@given(chain=CHAINS, followed=st.lists(WINDOWS, min_size=1, max_size=3), steps=STEPS)
@settings(max_examples=60)
def test_whatever_is_told_left_out_corrected_and_given_up_the_account_is_what_is_counted_slowly(
    database: Database, chain: list[int], followed: list[Window], steps: list[Any]
) -> None:
    def example(cursor: Cursor) -> None:
        series_id = followed_trades(cursor, followed[0])
        for window in followed[1:]:
            followed_trades(cursor, window)
        wanted = minutes_of(*(Window(w.start, min(w.end, START + 3 * DAY)) for w in followed))
        for step in steps:
            if isinstance(step, Telling):
                tell(cursor, series_id, chain, step)
            elif isinstance(step, GivingUp):
                untold_gap(cursor, series_id, step.window)
            else:
                give_up_one(cursor, series_id)
        count_what_came(cursor, series_id)
        was_told = minutes_of(*(step.window for step in steps if isinstance(step, Telling)))
        check_days(cursor, series_id, wanted - was_told)
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)
