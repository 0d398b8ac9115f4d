"""Chunks are leased to one worker at a time, and come back from a dead one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from tapekeeper.model.backfill import BackfillRequest, Chunk, PlannedChunk, RowCounts, Source
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import run_summary, runs
from tapekeeper.store.database import Database
from tests.support.candles import MINUTE, ONE_MINUTE, START, followed_series

WINDOW = Window(START, START + 100 * MINUTE)
REQUEST = BackfillRequest(DERIBIT_PERPETUAL_CANDLES, ("BTC-PERPETUAL",), WINDOW, ONE_MINUTE)
CHUNKS = [Window(START + at * MINUTE, START + (at + 10) * MINUTE) for at in range(0, 100, 10)]
Result = TypeVar("Result")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


@pytest.fixture
def run_id(database: Database) -> int:
    def make(cursor: Any) -> int:
        run_id = runs.create_run(cursor, "key", REQUEST)
        assert run_id is not None
        chunks = [PlannedChunk(window, Source.REST) for window in CHUNKS]
        runs.add_chunks(cursor, run_id, followed_series(cursor, WINDOW), chunks)
        return run_id

    return database.run(make)


def claim(database: Database, run_id: int, owner: UUID, lease_seconds: float = 60) -> Chunk:
    chunk = database.run(lambda cursor: runs.claim(cursor, run_id, None, owner, lease_seconds))
    assert chunk is not None
    return chunk


def waiting(database: Database, run_id: int) -> float | None:
    return database.run(lambda cursor: runs.seconds_until_next(cursor, run_id, None))


def test_a_key_names_one_run(database: Database, run_id: int) -> None:
    assert database.run(lambda cursor: runs.create_run(cursor, "key", REQUEST)) is None
    assert database.run(lambda cursor: runs.find_run(cursor, "key")) == run_id
    assert database.run(lambda cursor: runs.request_of(cursor, run_id)) == REQUEST


def test_many_workers_get_each_chunk_once_and_in_order(database_url: str, run_id: int) -> None:
    def worker(_: int) -> list[Window]:
        claimed = []
        with closing(Database(database_url)) as own:
            while chunk := own.run(lambda cursor: runs.claim(cursor, run_id, None, uuid4(), 60)):
                claimed.append(chunk.window)
        return claimed

    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(worker, range(4)))
    assert sorted(window for windows in claimed for window in windows) == CHUNKS
    assert all(windows == sorted(windows) for windows in claimed)


def test_a_silent_worker_loses_its_chunk_and_cannot_finish_it(database: Database, run_id: int) -> None:
    dead, alive = uuid4(), uuid4()
    lost = claim(database, run_id, dead, lease_seconds=-1)
    again = claim(database, run_id, alive)
    assert (again.window, again.attempts) == (lost.window, 2)
    actions: list[Callable[[Any], None]] = [
        lambda cursor: runs.finish(cursor, lost, dead, RowCounts(10, 10)),
        lambda cursor: runs.renew(cursor, lost, dead, 60),
    ]
    for action in actions:
        with pytest.raises(runs.LeaseLost, match="another worker took BTC-PERPETUAL"):
            database.run(action)
    database.run(lambda cursor: runs.finish(cursor, again, alive, RowCounts(10, 10)))
    assert database.run(lambda cursor: run_summary.summarise(cursor, run_id)).rows == RowCounts(10, 10)


def test_a_chunk_given_back_waits_and_the_try_may_not_count(database: Database, run_id: int) -> None:
    owner = uuid4()
    first = claim(database, run_id, owner)
    database.run(
        lambda cursor: runs.give_back(
            cursor, first, owner, RowCounts(), error="come back", after_seconds=500, counts=False
        )
    )
    assert claim(database, run_id, owner).window == CHUNKS[1]
    for _ in CHUNKS[2:]:
        chunk = claim(database, run_id, owner)
        database.run(lambda cursor, chunk=chunk: runs.finish(cursor, chunk, owner, RowCounts()))  # type: ignore[misc]
    seconds = waiting(database, run_id)
    assert seconds is not None
    assert 0 < seconds <= 60, "the chunk that is leased comes first"
    database.run(lambda cursor: cursor.execute("UPDATE backfill_chunks SET not_before = '-infinity'"))
    assert claim(database, run_id, owner).attempts == 1


def test_a_run_ends_when_nothing_is_left_and_tells_what_failed(database: Database, run_id: int) -> None:
    owner = uuid4()
    for _ in CHUNKS[1:]:
        chunk = claim(database, run_id, owner)
        database.run(lambda cursor, chunk=chunk: runs.finish(cursor, chunk, owner, RowCounts(10, 8, 1, 1)))  # type: ignore[misc]
    database.run(lambda cursor: runs.close_run(cursor, run_id))
    assert database.run(lambda cursor: run_summary.summarise(cursor, run_id)).state == "running"
    last = claim(database, run_id, owner)
    database.run(lambda cursor: runs.fail(cursor, last, owner, RowCounts(), error="the venue is away"))
    database.run(lambda cursor: runs.close_run(cursor, run_id))
    summary = database.run(lambda cursor: run_summary.summarise(cursor, run_id))
    assert (summary.state, summary.chunks_done, summary.chunks_failed) == ("failed", 9, 1)
    assert (summary.requested, summary.rows) == (100, RowCounts(90, 72, 9, 9))
    assert summary.errors == ("BTC-PERPETUAL from 2020-09-14T01:30:00Z: the venue is away",)
    assert waiting(database, run_id) is None
