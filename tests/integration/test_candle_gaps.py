"""Holes in candles: recorded once, explained only when they are closed, and the account is true after every step."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, from_microseconds, to_microseconds
from tapekeeper.errors import ConfigInvalid, InvariantBroken
from tapekeeper.model.gap import Cause, GapState
from tapekeeper.model.quality import Hole
from tapekeeper.model.window import Window
from tapekeeper.quality import ledger
from tapekeeper.store import coverage, gaps, outages
from tapekeeper.store.candle_gaps import open_candle_gaps
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tests.support.candles import (
    BITCOIN,
    MINUTE,
    ONE_MINUTE,
    START,
    check_candle_account,
    followed_series,
    write_minutes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

BY = "test"
DAY_MINUTES = 1_440
NOTHING = hashlib.md5(b"", usedforsecurity=False).hexdigest()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        yield database


@pytest.fixture
def series_id(database: Database) -> int:
    """A series of which two days are followed."""
    return database.run(lambda cursor: followed_series(cursor, Window(START, START + 2 * MICROSECONDS_PER_DAY)))


class _RolledBack(Exception):
    """Ends an example without leaving anything behind."""


def minutes(start: int, end: int) -> Window:
    return Window(START + start * MINUTE, START + end * MINUTE)


def hole(series_id: int, start: int, end: int) -> Hole:
    return Hole(series_id, minutes(start, end), end - start)


def recorded(cursor: Cursor, series_id: int, start: int, end: int) -> list[tuple[Window, int]]:
    opened = ledger.record_holes(cursor, [hole(series_id, start, end)], by=BY)
    return [(gap.window, gap.missing) for gap in opened]


def totals(cursor: Cursor) -> tuple[int, int, int]:
    cursor.execute("SELECT expected, held, explained FROM series_totals")
    ((expected, held, explained),) = cursor.fetchall()
    return expected, held, explained


def states(cursor: Cursor) -> dict[date, str]:
    cursor.execute("SELECT day, state FROM series_days ORDER BY day")
    return dict(cursor.fetchall())


def begun(cursor: Cursor, gap_id: int) -> None:
    gap = gaps.find_gap(cursor, gap_id)
    if gap.state is GapState.OPEN:
        gaps.classify(cursor, gap_id, Cause.UNKNOWN, by=BY, why="nobody knows")
    gaps.begin_repair(cursor, gap_id, by=BY, why="asked")


def test_a_hole_across_midnight_is_explained_on_both_days_once_it_is_permanent(
    database: Database, series_id: int
) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, [*range(1_430), *range(1_443, 2_880)])
        ((window, missing),) = recorded(cursor, series_id, 1_430, 1_443)
        assert (window, missing) == (minutes(1_430, 1_443), 13)
        assert totals(cursor) == (2_880, 2_867, 0), "what is missing is expected already"
        assert set(states(cursor).values()) == {"red"}
        (gap,) = gaps.open_gaps(cursor, [series_id])
        begun(cursor, gap.gap_id)
        assert gaps.close_gap(cursor, gap.gap_id, requests=2, by=BY) == gaps.Receipt(
            gap.gap_id, GapState.PERMANENT, 0, 13
        )
        cursor.execute("SELECT lost, explained FROM coverage ORDER BY day")
        assert cursor.fetchall() == [(10, 10), (3, 3)]
        assert set(states(cursor).values()) == {"explained"}
        check_candle_account(cursor)
        write_minutes(cursor, series_id, range(1_435, 1_441))
        cursor.execute("SELECT held, lost, explained FROM coverage ORDER BY day")
        assert cursor.fetchall() == [(1_435, 10, 5), (1_438, 3, 2)], "a late row is explained no longer"
        check_candle_account(cursor)

    database.run(work)


def test_a_repaired_hole_leaves_a_receipt_that_tells_what_came(database: Database, series_id: int) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, [*range(100), *range(103, 2_880)])
        recorded(cursor, series_id, 100, 103)
        (gap,) = gaps.open_gaps(cursor, [series_id])
        begun(cursor, gap.gap_id)
        write_minutes(cursor, series_id, [101])
        gaps.postpone_repair(cursor, gap.gap_id, next_attempt_at=START, by=BY, why="a part came", requests=1)
        assert totals(cursor) == (2_880, 2_878, 0)
        begun(cursor, gap.gap_id)
        write_minutes(cursor, series_id, [100, 102])
        gaps.close_gap(cursor, gap.gap_id, requests=2, by=BY)
        receipt = gaps.receipt_of(cursor, gap.gap_id)
        assert receipt is not None
        assert (receipt.requests, receipt.rows_found, receipt.rows_missing) == (3, 3, 0)
        assert receipt.digest_before == NOTHING != receipt.digest_after
        assert [
            (event.to_state.value, event.evidence.get("found")) for event in gaps.events_of(cursor, gap.gap_id)
        ] == [
            ("open", None),
            ("classified", None),
            ("repairing", None),
            ("classified", 1),
            ("repairing", None),
            ("repaired", 2),
        ]
        (listed,) = gaps.list_gaps(cursor, dataset="deribit.perpetual_candles", states=[GapState.REPAIRED], limit=5)
        assert (listed.instrument, listed.resolution_seconds, listed.attempts) == ("BTC-PERPETUAL", 60, 2)
        assert gaps.list_gaps(cursor, states=[GapState.OPEN]) == []
        assert set(states(cursor).values()) == {"complete"}
        check_candle_account(cursor)

    database.run(work)


def test_no_grid_point_is_in_two_gaps_and_none_that_is_held(database: Database, series_id: int) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, [15, 16, *range(30, 2_880)])
        assert recorded(cursor, series_id, 10, 14) == [(minutes(10, 14), 4)]
        assert recorded(cursor, series_id, 10, 14) == []
        assert recorded(cursor, series_id, 0, 20) == [(minutes(0, 10), 10), (minutes(14, 20), 4)]
        assert recorded(cursor, series_id, 30, 40) == []
        overlapping = [hole(series_id, 20, 26), hole(series_id, 24, 30), hole(series_id, 20, 30)]
        opened = ledger.record_holes(cursor, overlapping, by=BY)
        assert [gap.window for gap in opened] == [minutes(20, 26), minutes(26, 30)]
        # What was repaired may be lost again.
        (first, *_) = gaps.open_gaps(cursor, [series_id])
        write_minutes(cursor, series_id, range(10, 14))
        assert ledger.close_filled(cursor, [series_id], by=BY) == 1
        assert gaps.find_gap(cursor, first.gap_id).state is GapState.REPAIRED
        ledger.quarantine_rows(cursor, series_id, [START + 11 * MINUTE], reason="high 1 is below low 2", by=BY)
        (again,) = (gap for gap in gaps.open_gaps(cursor, [series_id]) if gap.window == minutes(11, 12))
        assert again.missing == 1
        check_candle_account(cursor)

    database.run(work)


def test_a_gap_that_fills_itself_closes_itself_without_a_request(database: Database, series_id: int) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, range(2_800))
        recorded(cursor, series_id, 2_800, 2_840)
        recorded(cursor, series_id, 2_840, 2_880)
        filled, still_open = gaps.open_gaps(cursor, [series_id])
        write_minutes(cursor, series_id, range(2_800, 2_879))
        assert ledger.close_filled(cursor, [series_id], by=BY) == 1
        assert ledger.close_filled(cursor, [series_id], by=BY) == 0
        receipt = gaps.receipt_of(cursor, filled.gap_id)
        assert receipt is not None
        assert (receipt.requests, receipt.rows_found, receipt.rows_missing) == (0, 40, 0)
        assert [gap.gap_id for gap in gaps.open_gaps(cursor, [series_id])] == [still_open.gap_id]
        check_candle_account(cursor)

    database.run(work)


def test_what_came_late_does_not_explain_another_hole(database: Database, series_id: int) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, range(10, 2_880))
        recorded(cursor, series_id, 0, 10)
        (gap,) = gaps.open_gaps(cursor, [series_id])
        gaps.accept(cursor, gap.gap_id, by=BY, note="tested")
        write_minutes(cursor, series_id, range(4))
        ledger.close_filled(cursor, [series_id], by=BY)
        moments = [START + minute * MINUTE for minute in range(100, 103)]
        ledger.quarantine_rows(cursor, series_id, moments, reason="bad", by=BY)
        assert totals(cursor) == (2_880, 2_871, 6)
        assert states(cursor)[day_of(START)] == "red"
        check_candle_account(cursor)

    database.run(work)


def test_a_person_accepts_a_gap_with_a_reason(database: Database, series_id: int) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, range(2_870))
        recorded(cursor, series_id, 2_870, 2_880)
        (gap,) = gaps.open_gaps(cursor, [series_id])
        with pytest.raises(ConfigInvalid, match="give a name and a note"):
            gaps.accept(cursor, gap.gap_id, by="A. Person", note=" ")
        accepted = gaps.accept(cursor, gap.gap_id, by="A. Person", note="not worth a request")
        assert (accepted.state, accepted.cause) == (GapState.ACCEPTED, Cause.UNKNOWN)
        assert totals(cursor) == (2_880, 2_870, 10)
        last = gaps.events_of(cursor, gap.gap_id)[-1]
        assert (last.by, last.why, last.from_state) == ("A. Person", "not worth a request", GapState.CLASSIFIED)
        with pytest.raises(InvariantBroken, match="a gap that is accepted cannot become accepted"):
            gaps.accept(cursor, gap.gap_id, by="A. Person", note="again")
        with pytest.raises(ConfigInvalid, match="there is no gap 4711: `tapekeeper gaps list"):
            gaps.accept(cursor, 4_711, by="A. Person", note="again")
        check_candle_account(cursor)

    database.run(work)


def test_accepting_what_is_held_meanwhile_explains_nothing(database: Database, series_id: int) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, range(2_870))
        recorded(cursor, series_id, 2_870, 2_880)
        (gap,) = gaps.open_gaps(cursor, [series_id])
        write_minutes(cursor, series_id, range(2_870, 2_880))
        assert gaps.accept(cursor, gap.gap_id, by="A. Person", note="whatever").state is GapState.REPAIRED
        assert totals(cursor) == (2_880, 2_880, 0)

    database.run(work)


def test_an_impossible_row_goes_to_quarantine_and_leaves_a_hole_that_is_known(
    database: Database, series_id: int
) -> None:
    bad = [0, 1, 2, 700, 2_879]

    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, range(2_880))
        cursor.execute("UPDATE candles SET high = 'NaN' WHERE open_time = %s", (from_microseconds(START),))
        moments = [START + minute * MINUTE for minute in bad]
        assert ledger.quarantine_rows(cursor, series_id, moments, reason="high nan is no number", by=BY).rows == 5
        assert ledger.quarantine_rows(cursor, series_id, moments, reason="high nan is no number", by=BY).rows == 0
        opened = gaps.open_gaps(cursor, [series_id])
        assert [gap.window for gap in opened] == [minutes(0, 3), minutes(700, 701), minutes(2_879, 2_880)]
        assert all(gap.evidence == {"quarantined": "high nan is no number"} for gap in opened)
        assert totals(cursor) == (2_880, 2_875, 0)
        assert set(states(cursor).values()) == {"red"}
        cursor.execute("SELECT event_time, content ->> 'high' FROM quarantine ORDER BY event_time")
        kept = cursor.fetchall()
        assert [moment for moment, _ in kept] == [from_microseconds(moment) for moment in moments]
        assert kept[0][1] == "nan"
        check_candle_account(cursor)

    database.run(work)


def test_an_outage_tells_why_a_hole_is_there(database: Database, series_id: int) -> None:
    def work(cursor: Cursor) -> None:
        recorded(cursor, series_id, 0, 60)
        recorded(cursor, series_id, 100, 110)
        recorded(cursor, series_id, 200, 210)
        early, middle, late = gaps.open_gaps(cursor, [series_id])
        gaps.classify(cursor, middle.gap_id, Cause.UNKNOWN, by=BY, why="nobody knows")
        for window, kind in ((minutes(-60, 5), Cause.VENUE_OUTAGE), (minutes(5, 105), Cause.VENUE_MAINTENANCE)):
            outages.add_outage(cursor, venue="deribit", window=window, kind=kind, source="the venue's page", by=BY)
        assert ledger.classify_by_outages(cursor, by=BY) == 2
        assert ledger.classify_by_outages(cursor, by=BY) == 0
        causes = {gap.gap_id: (gap.cause, gap.state) for gap in gaps.open_gaps(cursor, [series_id])}
        assert causes == {
            early.gap_id: (Cause.VENUE_MAINTENANCE, GapState.CLASSIFIED),
            middle.gap_id: (Cause.VENUE_MAINTENANCE, GapState.CLASSIFIED),
            late.gap_id: (Cause.UNKNOWN, GapState.OPEN),
        }
        assert [event.why for event in gaps.events_of(cursor, middle.gap_id)][-1] == (
            "the venue was away: the venue's page"
        )
        # Two outages, one after the other, cover the first hole, none covers the second whole.
        covered = [outages.covers_gap(cursor, gap.gap_id) for gap in (early, middle, late)]
        assert covered == [True, False, False]
        assert totals(cursor) == (2_880, 0, 0), "an outage lowers nothing"

    database.run(work)


def test_outages_are_told_with_their_source_and_the_known_ones_are_there(database: Database) -> None:
    window = Window(START, START + MINUTE)

    def work(cursor: Cursor) -> None:
        add = partial(outages.add_outage, cursor, venue="deribit", window=window, kind=Cause.VENUE_OUTAGE, by="me")
        first = add(source="seen")
        again = add(source="seen twice")
        assert (again.outage_id, again.source, again.window) == (first.outage_id, "seen twice", window)
        listed = outages.list_outages(cursor, "deribit")
        assert [outage.window.as_datetimes()[0] for outage in listed] == [
            datetime(2020, 11, 26, tzinfo=UTC),
            from_microseconds(START),
            datetime(2020, 8, 27, 5, 15, tzinfo=UTC),
        ]
        assert outages.list_outages(cursor, None) == listed
        assert outages.list_outages(cursor, "kraken") == []
        with pytest.raises(ConfigInvalid, match="tell where it is known from"):
            add(source="")
        with pytest.raises(ConfigInvalid, match="'restart' is no kind of outage: choose one of venue_outage, venue_"):
            add(source="seen", kind=Cause.RESTART)
        with pytest.raises(ConfigInvalid, match="there is no venue 'deribitt': choose one of binance_um, "):
            add(source="seen", venue="deribitt")

    database.run(work)


def test_a_day_that_is_followed_longer_is_explained_anew(database: Database, series_id: int) -> None:
    """What is expected grows over what was lost, and shrinks again with the horizon."""

    def work(cursor: Cursor) -> None:
        write_minutes(cursor, series_id, range(10))
        recorded(cursor, series_id, 10, 20)
        (gap,) = gaps.open_gaps(cursor, [series_id])
        gaps.accept(cursor, gap.gap_id, by=BY, note="tested")
        for horizon, explained in ((15, 5), (10, 0), (30, 10)):
            whole = minutes(0, DAY_MINUTES)
            coverage.expect(
                cursor, series_id, whole, ONE_MINUTE, life_start=BITCOIN.listed_at, horizon=START + horizon * MINUTE
            )
            cursor.execute("SELECT expected, explained FROM coverage ORDER BY day LIMIT 1")
            assert cursor.fetchall() == [(horizon, explained)]
            check_candle_account(cursor)

    database.run(work)


FOLLOWED = minutes(DAY_MINUTES - 60, DAY_MINUTES + 60)


class _Ledger:
    """One series of which two hours around midnight are followed, and all that can happen to it."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.series_id = followed_series(cursor, FOLLOWED)
        self.horizon = FOLLOWED.end

    def write(self, window: Window) -> None:
        if window.end > self.horizon:
            self.expect(window)
        points = range(window.start, window.end, MINUTE)
        write_minutes(self.cursor, self.series_id, [(point - START) // MINUTE for point in points])

    def expect(self, window: Window) -> None:
        """Nothing is held that was never expected: a writer plans before it writes."""
        self.cursor.execute("SELECT coalesce(max(open_time), 'epoch') FROM candles")
        ((newest,),) = self.cursor.fetchall()
        self.horizon = max(window.end, to_microseconds(newest) + MINUTE)
        coverage.expect(
            self.cursor, self.series_id, FOLLOWED, ONE_MINUTE, life_start=BITCOIN.listed_at, horizon=self.horizon
        )

    def hole(self, window: Window) -> None:
        open_candle_gaps(self.cursor, self.series_id, [window], cause=Cause.UNKNOWN, by=BY, evidence={})

    def quarantine(self, window: Window) -> None:
        points = list(range(window.start, window.end, MINUTE))
        ledger.quarantine_rows(self.cursor, self.series_id, points, reason="bad", by=BY)

    def fill(self, window: Window) -> None:
        self.write(window)
        ledger.close_filled(self.cursor, [self.series_id], by=BY)

    def close(self, gap_id: int) -> None:
        begun(self.cursor, gap_id)
        gaps.close_gap(self.cursor, gap_id, requests=1, by=BY)

    def postpone(self, gap_id: int) -> None:
        begun(self.cursor, gap_id)
        gaps.postpone_repair(self.cursor, gap_id, next_attempt_at=START, by=BY, why="later", requests=1)

    def accept(self, gap_id: int) -> None:
        gaps.accept(self.cursor, gap_id, by=BY, note="tested")

    def check_what_is_lost(self) -> None:
        """Check that exactly what gaps that were given up lack is explained, and that no point is in two gaps."""
        self.cursor.execute("SELECT open_time FROM candles")
        held = {to_microseconds(moment) for (moment,) in self.cursor.fetchall()}
        listed = gaps.list_gaps(self.cursor, states=set(GapState) - {GapState.REPAIRED}, limit=1_000)
        points = [
            (point, one.gap.state.is_closed)
            for one in listed
            for point in range(one.gap.window.start, one.gap.window.end, MINUTE)
        ]
        assert len({point for point, _ in points}) == len(points)
        lost = Counter(day_of(point) for point, is_closed in points if is_closed and point not in held)
        self.cursor.execute("SELECT day, lost, explained FROM coverage")
        assert {day: (number, number) for day, number in lost.items()} == {
            day: (number, explained) for day, number, explained in self.cursor.fetchall() if number
        }

    def step(self, name: str, start: int, length: int) -> None:
        """Do something to a window, or to one of the gaps that are not closed."""
        if name in {"close", "postpone", "accept"}:
            waiting = gaps.open_gaps(self.cursor, [self.series_id])
            if waiting:
                getattr(self, name)(waiting[start % len(waiting)].gap_id)
        else:
            window = Window(FOLLOWED.start + start * MINUTE, FOLLOWED.start + (start + length) * MINUTE)
            getattr(self, name)(window.intersect(FOLLOWED))
        check_candle_account(self.cursor)


NAMES = st.sampled_from(["write", "expect", "hole", "quarantine", "fill", "close", "postpone", "accept"])


@given(st.lists(st.tuples(NAMES, st.integers(0, 119), st.integers(1, 60)), max_size=14))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_account_of_candles_is_true_after_every_step(database: Database, steps: list[tuple[str, int, int]]) -> None:
    def example(cursor: Cursor) -> None:
        example = _Ledger(cursor)
        for step in steps:
            example.step(*step)
        example.step("expect", 0, 120)
        ledger.close_filled(cursor, [example.series_id], by=BY)
        example.check_what_is_lost()
        example.step("hole", 0, 120)
        while gaps.open_gaps(cursor, [example.series_id]):
            example.step("accept", 0, 0)
        expected, held, explained = totals(cursor)
        assert held + explained == expected == (FOLLOWED.end - FOLLOWED.start) // MINUTE
        raise _RolledBack

    with pytest.raises(_RolledBack):
        database.run(example)
