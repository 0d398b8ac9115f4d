"""Whose turn a gap is: never two at once, never against a collector, and never lost with whoever was killed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY
from tapekeeper.model.gap import Cause, GapState
from tapekeeper.model.window import Window
from tapekeeper.store import gaps, repair_claims
from tapekeeper.store.candle_gaps import open_candle_gaps
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tests.support.candles import MINUTE, START, followed_series, write_minutes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.store.repair_claims import Claim

BY = "test"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        yield database


@pytest.fixture
def gap_id(database: Database) -> int:
    """A gap of ten minutes."""

    def work(cursor: Cursor) -> int:
        series_id = followed_series(cursor, Window(START, START + MICROSECONDS_PER_DAY))
        window = Window(START, START + 10 * MINUTE)
        (gap,) = open_candle_gaps(cursor, series_id, [window], cause=Cause.UNKNOWN, by=BY, evidence={})
        return gap.gap_id

    return database.run(work)


def claimed(cursor: Cursor, gap_id: int) -> Claim | None:
    return repair_claims.claim(cursor, gap_id, by=BY, head_start_minutes=15)


def due(cursor: Cursor) -> list[int]:
    return repair_claims.due_gaps(cursor, head_start_minutes=15, limit=10)


def test_a_gap_that_nobody_could_classify_is_classified_by_the_try(database: Database, gap_id: int) -> None:
    def work(cursor: Cursor) -> None:
        write_minutes(cursor, gaps.find_gap(cursor, gap_id).series_id, range(3))
        claim = claimed(cursor, gap_id)
        assert claim is not None
        assert (claim.gap.state, claim.gap.cause, claim.missing) == (GapState.REPAIRING, Cause.UNKNOWN, 7)
        assert (claim.instrument_name, claim.resolution.seconds, claim.attempt) == ("BTC-PERPETUAL", 60, 1)
        assert (claim.found_empty_at, claim.is_in_outage) == (None, False)

    database.run(work)


def test_a_lock_is_one_connections_and_goes_with_it(database_url: str, database: Database, gap_id: int) -> None:
    with closing(Database(database_url)) as other:
        assert other.run(lambda cursor: repair_claims.lock_gap(cursor, gap_id))
        assert not database.run(lambda cursor: repair_claims.lock_gap(cursor, gap_id))
        assert database.run(lambda cursor: repair_claims.lock_gap(cursor, gap_id + 1))
        other.run(lambda cursor: repair_claims.unlock_gap(cursor, gap_id))
        assert database.run(lambda cursor: repair_claims.lock_gap(cursor, gap_id))


def test_whoever_lost_his_gap_to_another_changes_nothing(database: Database, gap_id: int) -> None:
    def work(cursor: Cursor) -> None:
        first = claimed(cursor, gap_id)
        second = claimed(cursor, gap_id)
        assert first is not None
        assert second is not None
        assert (repair_claims.is_ours(cursor, first), repair_claims.is_ours(cursor, second)) == (False, True)
        repair_claims.give_back(cursor, first, by=BY, why="too late")
        assert gaps.find_gap(cursor, gap_id).state is GapState.REPAIRING
        repair_claims.give_back(cursor, second, by=BY, why="interrupted")
        assert gaps.find_gap(cursor, gap_id).state is GapState.CLASSIFIED
        assert due(cursor) == [gap_id]

    database.run(work)


def test_a_gap_that_somebody_else_repairs_is_his_for_an_hour(database: Database, gap_id: int) -> None:
    def work(cursor: Cursor) -> None:
        gaps.classify(cursor, gap_id, Cause.DISCONNECT, by="collector", why="")
        gaps.begin_repair(cursor, gap_id, by="collector", why="the venue was asked for the trades")
        assert due(cursor) == []
        assert claimed(cursor, gap_id) is None
        assert repair_claims.claim(cursor, gap_id, by=BY, head_start_minutes=None) is None
        cursor.execute("UPDATE data_gap_events SET happened_at = happened_at - interval '61 minutes'")
        assert due(cursor) == [gap_id]
        assert claimed(cursor, gap_id) is not None

    database.run(work)


def test_a_gap_that_waits_is_due_for_a_person_alone(database: Database, gap_id: int) -> None:
    def work(cursor: Cursor) -> None:
        cursor.execute("UPDATE data_gaps SET next_attempt_at = clock_timestamp() + interval '1 hour'")
        assert due(cursor) == []
        assert claimed(cursor, gap_id) is None
        assert repair_claims.count_left(cursor) == 1
        assert repair_claims.claim(cursor, gap_id, by=BY, head_start_minutes=None) is not None

    database.run(work)
