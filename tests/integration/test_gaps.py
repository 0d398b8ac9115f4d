"""Gaps: nothing is missing twice, nothing is closed unseen, and the account stays true whatever comes first."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, day_start, from_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.gap import Cause, Gap, GapState, Loss, Sequences
from tapekeeper.model.window import Window
from tapekeeper.store import gaps, option_series, ticks
from tapekeeper.store.account import Seconds, account_seconds
from tapekeeper.store.database import Database
from tapekeeper.store.gaps import Receipt
from tapekeeper.store.late_rows import settle_late_rows
from tapekeeper.store.losses import record_losses, touched_seconds
from tapekeeper.store.ticks import write_ticks
from tapekeeper.store.trade_gaps import open_gap
from tests.support.ticks import MIDNIGHT, SECOND, check_account, option, rows, trade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.store.option_series import OptionSeries

TODAY = date(2024, 11, 21)
HOUR = 3_600 * SECOND
BY = "test"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=ticks.INCOMING_TABLES)) as database:
        yield database


@pytest.fixture
def known(database: Database) -> OptionSeries:
    return database.run(lambda cursor: option_series.ensure_option_series(cursor, [option(0)]))[option(0).name]


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


def moment(trade_seq: int) -> int:
    """Return when a trade happened: one every hour."""
    return MIDNIGHT + trade_seq * HOUR


def write_trades(cursor: Cursor, known: OptionSeries, *numbers: int) -> None:
    write_ticks(cursor, [], [trade(known.instrument_id, moment(number), number) for number in numbers])


def opened(
    cursor: Cursor, known: OptionSeries, first: int, last: int, cause: Cause = Cause.SEQUENCE_BREAK
) -> list[Gap]:
    window = Window(moment(first - 1), moment(last + 1) + 1)
    evidence = {"session": "a", "expected": first, "reason": "cut\x00off"}
    return open_gap(
        cursor, known.trades_series_id, window, Sequences(first, last), cause=cause, by=BY, evidence=evidence
    )


def repaired(cursor: Cursor, gap_id: int) -> Receipt:
    gaps.begin_repair(cursor, gap_id, by=BY, why="asked again")
    return gaps.close_gap(cursor, gap_id, requests=2, by=BY)


def totals(cursor: Cursor, series_id: int) -> tuple[int, int, int]:
    cursor.execute("SELECT expected, held, explained FROM series_totals WHERE series_id = %s", (series_id,))
    ((expected, held, explained),) = cursor.fetchall()
    return expected, held, explained


def digest(*numbers: int) -> str:
    return hashlib.md5(",".join(map(str, numbers)).encode(), usedforsecurity=False).hexdigest()


def test_what_is_missing_is_expected_until_it_is_found(database: Database, known: OptionSeries) -> None:
    def work(cursor: Cursor) -> None:
        write_trades(cursor, known, 1, 2, 7)
        (gap,) = opened(cursor, known, 3, 6)
        assert (gap.missing, gap.state, gap.cause) == (4, GapState.CLASSIFIED, Cause.SEQUENCE_BREAK)
        assert totals(cursor, known.trades_series_id) == (7, 3, 0)
        assert gaps.open_gaps(cursor, [known.trades_series_id]) == [
            Gap(
                gap.gap_id,
                known.trades_series_id,
                Window(moment(2), moment(7) + 1),
                4,
                Cause.SEQUENCE_BREAK,
                GapState.CLASSIFIED,
                {"session": "a", "expected": 3, "reason": "cut\\u0000off"},
                Sequences(3, 6),
            )
        ]
        write_trades(cursor, known, 3, 4, 5, 6)
        assert repaired(cursor, gap.gap_id) == Receipt(gap.gap_id, GapState.REPAIRED, 4, 0)
        assert totals(cursor, known.trades_series_id) == (7, 7, 0)
        assert gaps.open_gaps(cursor, [known.trades_series_id]) == []
        check_account(cursor)

    database.run(work)
    assert rows(
        database, "SELECT requests, rows_found, rows_missing, digest_before, digest_after FROM repair_receipts"
    ) == [(2, 4, 0, digest(), digest(3, 4, 5, 6))]
    assert rows(database, "SELECT from_state, to_state, by FROM data_gap_events ORDER BY event_id") == [
        (None, "open", BY),
        ("open", "classified", BY),
        ("classified", "repairing", BY),
        ("repairing", "repaired", BY),
    ]
    assert rows(database, "SELECT state, closed_at >= opened_at FROM data_gaps") == [("repaired", True)]


def test_what_is_not_found_is_permanent_and_explained(database: Database, known: OptionSeries) -> None:
    def work(cursor: Cursor) -> None:
        write_trades(cursor, known, 1, 7)
        (gap,) = opened(cursor, known, 2, 6)
        write_trades(cursor, known, 3, 5)
        assert repaired(cursor, gap.gap_id) == Receipt(gap.gap_id, GapState.PERMANENT, 2, 3)
        assert totals(cursor, known.trades_series_id) == (7, 4, 3)
        check_account(cursor)

    database.run(work)
    assert rows(database, "SELECT digest_before, digest_after FROM repair_receipts") == [(digest(), digest(3, 5))]


def test_a_claim_of_rows_that_are_not_in_the_table_convinces_nobody(database: Database, known: OptionSeries) -> None:
    """Of another instrument, or outside the days of the gap: neither counts."""

    def work(cursor: Cursor) -> Receipt:
        other = option_series.ensure_option_series(cursor, [option(1)])[option(1).name]
        (gap,) = opened(cursor, known, 3, 6)
        write_trades(cursor, other, 3, 4, 5, 6)
        write_ticks(cursor, [], [trade(known.instrument_id, moment(3) + 9 * MICROSECONDS_PER_DAY, 3)])
        return repaired(cursor, gap.gap_id)

    assert database.run(work).rows_missing == 4


def test_the_same_hole_is_one_gap_and_a_larger_one_adds_the_rest(database: Database, known: OptionSeries) -> None:
    def work(cursor: Cursor) -> None:
        write_trades(cursor, known, 1, 5, 20)
        (first,) = opened(cursor, known, 8, 11)
        assert opened(cursor, known, 8, 11) == []
        assert opened(cursor, known, 9, 10) == []
        assert [(gap.sequences, gap.missing) for gap in opened(cursor, known, 2, 19)] == [
            (Sequences(2, 7), 5),
            (Sequences(12, 19), 8),
        ]
        assert totals(cursor, known.trades_series_id) == (20, 3, 0)
        repaired(cursor, first.gap_id)
        assert opened(cursor, known, 8, 11) == []
        assert totals(cursor, known.trades_series_id) == (20, 3, 4)
        check_account(cursor)

    database.run(work)


def test_a_hole_that_is_held_already_is_no_gap(database: Database, known: OptionSeries) -> None:
    def work(cursor: Cursor) -> None:
        write_trades(cursor, known, 1, 2, 3, 4)
        assert opened(cursor, known, 2, 3) == []
        assert totals(cursor, known.trades_series_id) == (4, 4, 0)

    database.run(work)
    assert rows(database, "SELECT FROM data_gaps") == []


def test_two_who_see_the_same_hole_at_once_record_it_once(
    database_url: str, database: Database, known: OptionSeries
) -> None:
    def seen(_: int) -> int:
        with closing(Database(database_url)) as own:
            return len(own.run(lambda cursor: opened(cursor, known, 3, 6)))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(seen, range(8))) == 1
    database.run(check_account)


def test_an_unknown_cause_is_classified_later(database: Database, known: OptionSeries) -> None:
    def work(cursor: Cursor) -> tuple[Gap, Gap]:
        (gap,) = opened(cursor, known, 3, 6, Cause.UNKNOWN)
        return gap, gaps.classify(cursor, gap.gap_id, Cause.VENUE_OUTAGE, by="a person", why="the venue said so")

    before, after = database.run(work)
    assert (before.state, before.cause) == (GapState.OPEN, Cause.UNKNOWN)
    assert (after.state, after.cause) == (GapState.CLASSIFIED, Cause.VENUE_OUTAGE)
    assert rows(database, "SELECT cause, state FROM data_gaps") == [("venue_outage", "classified")]
    assert rows(database, "SELECT by, why FROM data_gap_events WHERE to_state = 'classified'") == [
        ("a person", "the venue said so")
    ]


def test_a_repair_that_fails_is_tried_again_later(database: Database, known: OptionSeries) -> None:
    def work(cursor: Cursor) -> None:
        (gap,) = opened(cursor, known, 3, 6)
        gaps.begin_repair(cursor, gap.gap_id, by=BY, why="asked again")
        later = gaps.postpone_repair(
            cursor, gap.gap_id, next_attempt_at=MIDNIGHT + 60 * SECOND, by=BY, why="the venue is away"
        )
        assert later.state is GapState.CLASSIFIED
        cursor.execute("SELECT next_attempt_at FROM data_gaps")
        assert cursor.fetchall() == [(from_microseconds(MIDNIGHT + 60 * SECOND),)]
        write_trades(cursor, known, 3, 4, 5, 6)
        assert repaired(cursor, gap.gap_id).state is GapState.REPAIRED
        cursor.execute("SELECT next_attempt_at FROM data_gaps")
        assert cursor.fetchall() == [(None,)]

    database.run(work)


def test_a_gap_is_not_closed_out_of_turn(database: Database, known: OptionSeries) -> None:
    (gap,) = database.run(lambda cursor: opened(cursor, known, 3, 6))
    with pytest.raises(InvariantBroken, match="a gap that is classified cannot become permanent"):
        database.run(lambda cursor: gaps.close_gap(cursor, gap.gap_id, requests=1, by=BY))
    with pytest.raises(InvariantBroken, match="classified cannot become classified"):
        database.run(lambda cursor: gaps.classify(cursor, gap.gap_id, Cause.RESTART, by=BY, why=""))
    database.run(lambda cursor: repaired(cursor, gap.gap_id))
    with pytest.raises(InvariantBroken, match="permanent cannot become repairing: from there it may go to no other"):
        database.run(lambda cursor: gaps.begin_repair(cursor, gap.gap_id, by=BY, why="again"))
    assert len(rows(database, "SELECT FROM repair_receipts")) == 1
    database.run(check_account)


def test_there_is_no_gap_of_that_number_and_none_in_quotes(database: Database, known: OptionSeries) -> None:
    with pytest.raises(InvariantBroken, match="there is no gap 99"):
        database.run(lambda cursor: gaps.begin_repair(cursor, 99, by=BY, why=""))
    quotes = known._replace(trades_series_id=known.quotes_series_id)
    with pytest.raises(InvariantBroken, match=r"series \d+ is deribit.option_quotes, which counts no trades"):
        database.run(lambda cursor: opened(cursor, quotes, 3, 6))


def loss(series_id: int, start: int, end: int) -> Loss:
    return Loss(series_id, Window(start, end), Cause.DISCONNECT, {"close_code": 1006, "reason": "gone\x00"})


def test_lost_quotes_are_permanent_at_once_and_explain_their_seconds(database: Database, known: OptionSeries) -> None:
    series_id = known.quotes_series_id
    start, end = MIDNIGHT + 2 * SECOND + 700_000, MIDNIGHT + 5 * SECOND + 1

    def work(cursor: Cursor) -> None:
        account_seconds(cursor, [Seconds(series_id, TODAY, 10, 6)], until=MIDNIGHT + 10 * SECOND)
        assert len(record_losses(cursor, [loss(series_id, start, end)], by=BY)) == 1
        assert totals(cursor, series_id) == (10, 6, 4)
        assert gaps.open_gaps(cursor, [series_id]) == []
        check_account(cursor)

    database.run(work)
    assert rows(database, "SELECT window_start, window_end, missing, state, evidence FROM data_gaps") == [
        (
            from_microseconds(start),
            from_microseconds(end),
            4,
            "permanent",
            {"close_code": 1006, "reason": "gone\\u0000"},
        )
    ]
    assert rows(database, "SELECT from_state, to_state, by FROM data_gap_events") == [(None, "permanent", BY)]
    assert rows(database, "SELECT state FROM series_days") == [("explained",)]


def test_the_same_loss_again_explains_nothing_more(database: Database, known: OptionSeries) -> None:
    series_id = known.quotes_series_id
    losses = [loss(series_id, MIDNIGHT, MIDNIGHT + 3 * SECOND)]

    def work(cursor: Cursor) -> None:
        account_seconds(cursor, [Seconds(series_id, TODAY, 10, 2)], until=MIDNIGHT + 10 * SECOND)
        assert len(record_losses(cursor, losses * 2, by=BY)) == 1
        assert record_losses(cursor, losses, by=BY) == []
        # It touches one second that the first touched, and one that it did not.
        assert len(record_losses(cursor, [loss(series_id, MIDNIGHT + 2_500_000, MIDNIGHT + 3_500_000)], by=BY)) == 1
        assert totals(cursor, series_id) == (10, 2, 4)

    database.run(work)
    assert rows(database, "SELECT missing FROM data_gaps ORDER BY gap_id") == [(3,), (1,)]


def test_a_loss_of_many_series_across_midnight_counts_for_both_days(database: Database) -> None:
    def work(cursor: Cursor) -> None:
        known = option_series.ensure_option_series(cursor, map(option, range(400)))
        losses = [loss(one.quotes_series_id, MIDNIGHT - 2 * SECOND, MIDNIGHT + 5 * SECOND) for one in known.values()]
        assert len(set(record_losses(cursor, losses, by=BY))) == 400
        cursor.execute("SELECT day, lost, explained, count(*) FROM coverage GROUP BY 1, 2, 3 ORDER BY 1")
        assert cursor.fetchall() == [(date(2024, 11, 20), 2, 0, 400), (TODAY, 5, 0, 400)]
        check_account(cursor)

    database.run(work)
    assert rows(database, "SELECT count(DISTINCT gap_id), count(*) FROM data_gap_events") == [(400, 400)]


TRADE_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.sets(st.integers(1, 40), max_size=8)),
        st.tuples(st.just("hole"), st.tuples(st.integers(1, 40), st.integers(0, 12))),
        st.tuples(st.just("repair"), st.integers(0, 5)),
    ),
    max_size=12,
)


@given(TRADE_STEPS, st.sets(st.integers(1, 60)))
@settings(max_examples=60)
def test_the_account_of_trades_is_true_after_every_step(
    database: Database, known: OptionSeries, steps: list[Any], obtainable: set[int]
) -> None:
    def apply(cursor: Cursor, kind: str, value: Any) -> None:
        waiting = gaps.open_gaps(cursor, [known.trades_series_id])
        if kind == "insert":
            write_trades(cursor, known, *value)
        elif kind == "hole":
            opened(cursor, known, value[0], sum(value))
        elif waiting:
            gap = waiting[value % len(waiting)]
            assert gap.sequences is not None
            numbers = set(range(gap.sequences.first, gap.sequences.last + 1))
            write_trades(cursor, known, *(numbers & obtainable))
            repaired(cursor, gap.gap_id)

    def example(cursor: Cursor) -> None:
        for kind, value in steps:
            apply(cursor, kind, value)
            check_account(cursor)
        while gaps.open_gaps(cursor, [known.trades_series_id]):
            apply(cursor, "repair", 0)
        check_account(cursor)
        expected, held, explained = totals(cursor, known.trades_series_id)
        assert held + explained == expected
        cursor.execute("SELECT DISTINCT trade_seq FROM option_trades")
        numbers = {number for (number,) in cursor.fetchall()}
        assert len(numbers) == held
        # What came after its gap was given up is counted once, too.
        settle_late_rows(cursor, [known.trades_series_id])
        check_account(cursor)
        cursor.execute("SELECT first_sequence, last_sequence FROM data_gaps")
        lost = {number for first, last in cursor.fetchall() for number in range(first, last + 1)} - numbers
        assert totals(cursor, known.trades_series_id) == (len(numbers | lost), len(numbers), len(lost))
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)


SPAN = 60
QUOTE_STEPS = st.tuples(
    st.lists(st.tuples(st.integers(0, SPAN * 10 - 1), st.integers(1, 150)), max_size=6),
    st.lists(st.integers(1, SPAN - 1), max_size=4),
    st.randoms(use_true_random=False),
)


@given(QUOTE_STEPS)
@settings(max_examples=60)
def test_the_account_of_quotes_is_true_in_any_order_of_losses_and_seconds(
    database: Database, known: OptionSeries, steps: Any
) -> None:
    """One minute around midnight, cut where seconds are accounted, with losses in tenths of seconds."""
    holes, cuts, shuffler = steps
    series_id, start = known.quotes_series_id, MIDNIGHT - SPAN // 2 * SECOND
    windows = [
        Window(start + first * SECOND // 10, min(start + (first + length) * SECOND // 10, start + SPAN * SECOND))
        for first, length in holes
    ]
    touched = {second for window in windows for second in range(window.start // SECOND, -(-window.end // SECOND))}

    def account(cursor: Cursor, first: int, last: int) -> None:
        window = Window(start + first * SECOND, start + last * SECOND)
        lost = {second for part in touched_seconds(cursor, {series_id: window})[series_id] for second in range(*part)}
        seconds = range(window.start // SECOND, window.end // SECOND)
        followed = Counter(day_of(second * SECOND) for second in seconds)
        verified = Counter(day_of(second * SECOND) for second in seconds if second not in lost)
        counted = [Seconds(series_id, day, number, verified[day]) for day, number in followed.items()]
        account_seconds(cursor, counted, until=window.end)

    edges = sorted({0, *cuts, SPAN})
    # Seconds come in their order, and losses at any time: before, in the same turn, or long after nobody noticed any.
    accounts = [partial(account, first=first, last=last) for first, last in itertools.pairwise(edges)]
    recorded = [Loss(series_id, window, Cause.RESTART, {}) for window in windows]
    losses = [partial(record_losses, losses=[one], by=BY) for one in recorded]
    turns = [*[True] * len(accounts), *[False] * len(losses)]
    shuffler.shuffle(turns)
    work: list[Any] = [accounts.pop(0) if is_account else losses.pop(0) for is_account in turns]

    def example(cursor: Cursor) -> None:
        option_series.follow_from(cursor, [series_id], start)
        for step in work:
            step(cursor)
            check_account(cursor)
        assert totals(cursor, series_id) == (SPAN, SPAN - len(touched), len(touched))
        for day, first in ((date(2024, 11, 20), start), (TODAY, day_start(TODAY))):
            inside = {second for second in touched if first <= second * SECOND < first + SPAN // 2 * SECOND}
            cursor.execute("SELECT expected, held, explained FROM coverage WHERE day = %s", (day,))
            assert cursor.fetchall() == [(SPAN // 2, SPAN // 2 - len(inside), len(inside))]
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)
