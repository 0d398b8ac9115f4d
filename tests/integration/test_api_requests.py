"""Every request is kept, those of failed work too, and those asked while the database was away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, from_microseconds
from tapekeeper.errors import Stop
from tapekeeper.http.request_log import RequestRecord
from tapekeeper.model.backfill import Chunk, Source
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.store.api_requests import ApiRequestLog
from tapekeeper.store.database import Database
from tests.support.candles import START

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def record(requested_at: int, status: int | None = 200) -> RequestRecord:
    return RequestRecord(
        venue="deribit",
        method="public/get_time",
        parameters={"instrument_name": "BTC-PERPETUAL"},
        requested_at=requested_at,
        status=status,
        outcome="ok" if status == 200 else "retry",
        reason="",
        weight=1.0,
        latency_seconds=0.01,
        bytes=10,
        attempt=1,
    )


def kept(database: Database) -> list[tuple[Any, ...]]:
    def read(cursor: Any) -> list[tuple[Any, ...]]:
        cursor.execute(
            "SELECT requested_at, status, outcome, parameters->>'instrument_name', run_id, series_id, window_start"
            " FROM api_requests ORDER BY requested_at"
        )
        return list(cursor.fetchall())

    return database.run(read)


def test_requests_of_two_days_land_in_partitions_with_their_chunk(database: Database) -> None:
    log = ApiRequestLog(database)
    log.record(record(START - 1))
    window = Window(START, START + 60_000_000)
    log.purpose = Chunk(7, 3, "BTC-PERPETUAL", window, attempts=1, resolution=Resolution(60), source=Source.REST)
    log.record(record(START, status=None))
    assert kept(database) == [
        (from_microseconds(START - 1), 200, "ok", "BTC-PERPETUAL", None, None, None),
        (from_microseconds(START), None, "retry", "BTC-PERPETUAL", 7, 3, from_microseconds(START)),
    ]


def test_records_wait_for_a_database_that_is_away(database: Database, database_url: str) -> None:
    away = Database("postgresql://x@127.0.0.1:1/x")
    log = ApiRequestLog(away)
    log.record(record(START))
    log.record(record(START + 1))
    away._url = database_url
    log.record(record(START + 2))
    assert [row[0] for row in kept(database)] == [from_microseconds(START + offset) for offset in range(3)]
    log.record(record(START + 3))
    assert len(kept(database)) == 4, "nothing is written twice"
    away.close()


def test_many_processes_may_begin_a_day_at_once(database_url: str) -> None:
    workers, days = 6, 12
    together = Barrier(workers, timeout=60)

    def begin_days(_: int) -> None:
        with closing(Database(database_url)) as own:
            log = ApiRequestLog(own)
            for day in range(days):
                together.wait()
                try:
                    log.record(record(START + day * MICROSECONDS_PER_DAY))
                except BaseException:
                    together.abort()
                    raise

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(begin_days, range(workers)))
    with closing(Database(database_url)) as database:
        assert len(kept(database)) == workers * days


def test_a_day_whose_first_record_was_undone_is_begun_again(database: Database) -> None:
    refuse = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not at the commit'; END $$;
        CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON api_requests DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()
    """
    log = ApiRequestLog(database)
    database.run(lambda cursor: cursor.execute(refuse))
    with pytest.raises(Stop, match="not at the commit"):
        log.record(record(START))
    database.run(lambda cursor: cursor.execute("DROP TRIGGER refused ON api_requests"))
    log.record(record(START + 1))
    assert len(kept(database)) == 2
