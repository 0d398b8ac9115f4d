"""The writer against a real database: order, poison, and batches that are written twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.batch import Batch, apply
from collector.buffer import Buffer
from collector.counters import Counters
from collector.notes import Accounted, Followed, Note, QuotesLost, Span, TradesFetched, TradesMissing
from collector.spool import Spool
from collector.writer import Writer
from tapekeeper.clock import MICROSECONDS_PER_SECOND as SECOND
from tapekeeper.clock import from_microseconds
from tapekeeper.model.gap import Cause
from tapekeeper.model.quote import Quote
from tapekeeper.model.trade import Trade
from tapekeeper.store.database import Database
from tapekeeper.store.option_series import OptionSeries, ensure_option_series
from tapekeeper.store.ticks import INCOMING_TABLES
from tests.support.processes import wait_for
from tests.support.ticks import MIDNIGHT, check_account, option, quote, rows, trade

START = MIDNIGHT + 100 * SECOND


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, prepare=INCOMING_TABLES)
    yield database
    database.close()


@pytest.fixture
def series(database: Database) -> OptionSeries:
    (series,) = database.run(lambda cursor: ensure_option_series(cursor, [option(1)])).values()
    return series


class Stage:
    def __init__(self, url: str, tmp_path: Path, series: OptionSeries) -> None:
        self.buffer, self.counters = Buffer(1_000, 1_000), Counters()
        self.spool = Spool(tmp_path, 1_000_000)
        database = Database(url, prepare=INCOMING_TABLES)
        self.writer = Writer(
            database,
            self.buffer,
            self.spool,
            self.counters,
            "test",
            0.05,
            {series.instrument_id: series.quotes_series_id}.get,
        )

    def run_until_empty(self) -> None:
        self.writer.start()
        wait_for(lambda: self.buffer.rows_waiting == 0 and self.writer.has_drained)
        self.writer.stop(30)


@pytest.fixture
def stage(database_url: str, tmp_path: Path, series: OptionSeries) -> Iterator[Stage]:
    stage = Stage(database_url, tmp_path, series)
    yield stage
    stage.spool.close()


def batch_of(series: OptionSeries) -> Batch:
    hole = START + SECOND, START + 3 * SECOND
    return Batch(
        [
            Followed([series.quotes_series_id, series.trades_series_id], START),
            TradesMissing(series.trades_series_id, 2, 3, START, START + SECOND, Cause.DISCONNECT, {"code": 1006}),
        ],
        [quote(series.instrument_id, START + number, number + 1) for number in range(3)],
        [trade(series.instrument_id, START + number, number) for number in range(1, 5)],
        [
            QuotesLost(series.quotes_series_id, *hole, Cause.DISCONNECT, {"code": 1006}),
            TradesFetched(series.trades_series_id, 2, 3, 1),
            Accounted([Span(series.quotes_series_id, START, START + 10 * SECOND)]),
        ],
    )


def test_a_batch_survives_the_spool_and_tells_everything(database: Database, series: OptionSeries) -> None:
    content = msgspec.msgpack.encode(batch_of(series))
    batch = msgspec.msgpack.decode(content, type=Batch)
    assert batch == batch_of(series)
    assert all(type(row) is Quote for row in batch.quotes)
    assert all(type(row) is Trade for row in batch.trades)
    counts = database.run(lambda cursor: apply(cursor, batch, "test"))
    assert (counts.quotes_inserted, counts.trades_inserted) == (3, 4)
    assert rows(database, "SELECT cause, state FROM data_gaps ORDER BY gap_id") == [
        ("disconnect", "repaired"), ("disconnect", "permanent"),
    ]  # fmt: skip
    assert rows(database, "SELECT rows_found, rows_missing FROM repair_receipts") == [(2, 0)]
    told = "SELECT expected, held, explained FROM series_totals ORDER BY series_id"
    assert rows(database, told) == [(10, 8, 2), (4, 4, 0)]
    database.run(check_account)


def test_what_the_venue_lacks_is_left_to_later_repairs(database: Database, series: OptionSeries) -> None:
    whole = batch_of(series)
    partly = msgspec.structs.replace(whole, trades=[row for row in whole.trades if row.trade_seq != 3])
    database.run(lambda cursor: apply(cursor, partly, "test"))
    told = "SELECT state, missing, attempts, found_empty_at <= now(), next_attempt_at <= now() FROM data_gaps"
    assert rows(database, f"{told} WHERE first_sequence = 2") == [("classified", 2, 1, True, True)]
    assert rows(database, "SELECT expected, held, explained FROM series_totals ORDER BY series_id")[1] == (4, 3, 0)
    assert rows(database, "SELECT count(*) FROM repair_receipts") == [(0,)]
    database.run(check_account)


def test_written_twice_it_changes_nothing(database: Database, series: OptionSeries) -> None:
    batch = batch_of(series)
    database.run(lambda cursor: apply(cursor, batch, "test"))
    before = rows(database, "SELECT * FROM series_totals ORDER BY series_id")
    counts = database.run(lambda cursor: apply(cursor, batch, "test"))
    assert (counts.quotes_inserted, counts.trades_inserted) == (0, 0)
    assert rows(database, "SELECT count(*) FROM data_gaps") == [(2,)]
    assert rows(database, "SELECT * FROM series_totals ORDER BY series_id") == before
    database.run(check_account)


def test_seconds_that_were_verified_before_the_hole_was_noticed_are_taken_back(
    database: Database, series: OptionSeries
) -> None:
    def commit(*notes: Note) -> tuple[int, int, int]:
        database.run(lambda cursor: apply(cursor, Batch([], [], [], list(notes)), "test"))
        told = f"SELECT expected, held, explained FROM series_totals WHERE series_id = {quotes}"
        return rows(database, told)[0]

    quotes = series.quotes_series_id
    overflow = QuotesLost(quotes, START + 1, START + 2, Cause.BUFFER_OVERFLOW, {})
    commit(Followed([quotes], START), overflow)
    assert commit(Accounted([Span(quotes, START, START + 10 * SECOND)])) == (10, 9, 1)
    late = QuotesLost(quotes, START - SECOND, START + 4 * SECOND, Cause.SEQUENCE_BREAK, {})
    assert commit(late) == commit(late) == (10, 6, 4)
    assert commit(Accounted([Span(quotes, START + 10 * SECOND, START + 12 * SECOND)])) == (12, 8, 4)
    database.run(check_account)


def test_a_gap_of_quotes_that_found_no_room_begins_and_ends_with_them(
    database_url: str, tmp_path: Path, database: Database, series: OptionSeries
) -> None:
    stage = Stage(database_url, tmp_path, series)
    stage.buffer.quotes_capacity = 2
    stage.buffer.announce(Followed([series.quotes_series_id], START))
    for number in range(6):
        stage.buffer.add_quotes([quote(series.instrument_id, START + number * SECOND, number + 1)])
    stage.run_until_empty()
    stage.spool.close()
    window = from_microseconds(START), from_microseconds(START + 3 * SECOND + 1)
    assert rows(database, "SELECT window_start, window_end, cause, evidence FROM data_gaps") == [
        (*window, "buffer_overflow", {"quotes": 4})
    ]
    assert stage.counters.rows_dropped["option_quotes"] == 4


def test_what_was_spooled_is_written_first(stage: Stage, database: Database, series: OptionSeries) -> None:
    for number in (1, 2):
        old = Batch([], [], [trade(series.instrument_id, START + number, number)], [])
        stage.spool.put(msgspec.msgpack.encode(old))
    stage.buffer.add_trades([trade(series.instrument_id, START + 3, 3)])
    stage.run_until_empty()
    assert rows(database, "SELECT trade_seq FROM option_trades ORDER BY trade_seq") == [(1,), (2,), (3,)]
    assert stage.spool.batches == 0


def test_a_poison_row_is_quarantined_and_the_rest_goes_on(
    stage: Stage, database: Database, series: OptionSeries
) -> None:
    good = [trade(series.instrument_id, START + number, number) for number in range(1, 20)]
    stage.buffer.announce(Followed([series.trades_series_id], START))
    stage.buffer.add_trades([*good[:9], trade(series.instrument_id, START, 50, price=float("nan")), *good[9:]])
    stage.buffer.note(QuotesLost(999_999, START, START + 1, Cause.RESTART, {}))
    stage.buffer.note(QuotesLost(series.quotes_series_id, START, START + 1, Cause.RESTART, {}))
    stage.run_until_empty()
    assert rows(database, "SELECT count(*) FROM option_trades") == [(19,)]
    assert rows(database, "SELECT count(*) FROM quarantine") == [(1,)]
    assert rows(database, "SELECT count(*) FROM data_gaps WHERE cause = 'restart'") == [(1,)]
    assert stage.spool._connection.execute("SELECT count(*) FROM refused").fetchone() == (1,)


def test_a_batch_of_the_spool_that_cannot_be_read_is_put_aside(
    stage: Stage, database: Database, series: OptionSeries
) -> None:
    stage.spool.put(b"no batch")
    stage.buffer.add_trades([trade(series.instrument_id, START, 1)])
    stage.run_until_empty()
    assert rows(database, "SELECT count(*) FROM option_trades") == [(1,)]
    assert stage.spool._connection.execute("SELECT content FROM refused").fetchone() == (b"no batch",)
