"""Every live connection is on record, from its opening to its end."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tapekeeper.clock import from_microseconds
from tapekeeper.store import sessions
from tapekeeper.store.database import Database
from tests.support.ticks import MIDNIGHT, SECOND, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

FIRST, SECOND_SESSION = UUID(int=1), UUID(int=2)
ALL = """
    SELECT session_id, collector, opened_at, closed_at, close_code, close_reason, messages, channels
    FROM collector_sessions ORDER BY session_id
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def opened(cursor: Cursor, session_id: UUID = FIRST, collector: str = "live 0/1") -> None:
    sessions.open_session(cursor, session_id, collector=collector, opened_at=MIDNIGHT, channels=150)


def closed(cursor: Cursor, closed_at: int = MIDNIGHT + SECOND, reason: str = "heartbeat close") -> bool:
    return sessions.close_session(
        cursor, FIRST, closed_at=closed_at, close_code=4000, close_reason=reason, messages=12_345, channels=148
    )


def test_a_session_is_kept_from_its_opening_to_its_end(database: Database) -> None:
    database.run(opened)
    assert rows(database, ALL) == [
        (str(FIRST), "live 0/1", from_microseconds(MIDNIGHT), None, None, None, 0, 150),
    ]
    assert database.run(closed)
    ended = (str(FIRST), "live 0/1", from_microseconds(MIDNIGHT), from_microseconds(MIDNIGHT + SECOND))
    assert rows(database, ALL) == [(*ended, 4000, "heartbeat close", 12_345, 148)]


def test_the_first_opening_and_the_first_end_stand(database: Database) -> None:
    database.run(opened)
    database.run(closed)
    before = rows(database, ALL)
    database.run(opened)
    assert not database.run(lambda cursor: closed(cursor, MIDNIGHT + 9 * SECOND, "another"))
    assert rows(database, ALL) == before


def test_a_session_never_opened_has_no_end(database: Database) -> None:
    assert not database.run(closed)


def test_a_clock_that_went_back_and_odd_words_end_a_session_all_the_same(database: Database) -> None:
    database.run(opened)
    assert database.run(lambda cursor: closed(cursor, MIDNIGHT - SECOND, "gone\x00away"))
    assert rows(database, "SELECT closed_at = opened_at, close_reason FROM collector_sessions") == [
        (True, "gone\\u0000away")
    ]


def test_sessions_of_a_killed_collector_are_ended_and_those_of_others_are_not(database: Database) -> None:
    database.run(opened)
    database.run(lambda cursor: opened(cursor, SECOND_SESSION, "live 1/2"))

    def abandoned(cursor: Cursor) -> int:
        return sessions.close_abandoned_sessions(cursor, collector="live 0/1", closed_at=MIDNIGHT + SECOND)

    assert [database.run(abandoned), database.run(abandoned)] == [1, 0]
    assert rows(database, "SELECT closed_at IS NULL, close_reason FROM collector_sessions ORDER BY session_id") == [
        (False, "the collector was killed"),
        (True, None),
    ]
