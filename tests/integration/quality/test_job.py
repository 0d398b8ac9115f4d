"""A quality run: what it checks, what it records, and what is kept of it."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from psycopg2 import sql

from tapekeeper.clock import from_microseconds, now_microseconds
from tapekeeper.errors import ConfigInvalid, DatabaseUnavailable
from tapekeeper.model.quality import CheckStatus
from tapekeeper.model.series import DATASETS, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.checks.row_counts import RowCounts
from tapekeeper.quality.job import QualityJob
from tapekeeper.settings import Settings, read_settings
from tapekeeper.store import quality_runs
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tests.support.candles import MINUTE, START
from tests.support.market import DAY, follow, hold, market, minutes_after, only, perpetual, without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.quality import QualitySummary
    from tapekeeper.quality.checks.check import Findings, Scope

TWO_DAYS = Window(START, START + 2 * DAY)
TYPED = "2020-09-14/2020-09-16"
CANDLES = [DERIBIT_PERPETUAL_CANDLES.name]
COUNTS = ["gap_detection", "row_counts"]
HOLE = START + 300 * MINUTE
BAD = START + 900 * MINUTE


@pytest.fixture
def settings(database_url: str) -> Settings:
    return read_settings({"TAPEKEEPER_DATABASE_URL": database_url})


@pytest.fixture
def job(settings: Settings) -> Iterator[QualityJob]:
    with QualityJob(settings) as job:
        yield job


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        yield database


@pytest.fixture
def series_id(database: Database) -> int:
    """Two days of candles, of which two are missing."""

    def write(cursor: Cursor) -> int:
        series_id = follow(cursor, perpetual("BTC-PERPETUAL"), TWO_DAYS)
        hold(cursor, series_id, without(market(START, 2_880), HOLE, HOLE + MINUTE))
        return series_id

    return database.run(write)


def fetched(database: Database, query: str) -> list[tuple[object, ...]]:
    def fetch(cursor: Cursor) -> list[tuple[object, ...]]:
        cursor.execute(query)
        return list(cursor.fetchall())

    return database.run(fetch)


def found(summary: QualitySummary) -> dict[str, int]:
    return {result.check: result.found for result in summary.results if result.found}


def test_a_run_finds_records_and_keeps(
    job: QualityJob, database: Database, series_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        summary = job.run(job.request(CANDLES, TYPED, COUNTS), "first", by="test")
    assert not summary.is_green
    assert (summary.gaps_opened, summary.gaps_closed, summary.rows_quarantined) == (1, 0, 0)
    assert [(result.check, result.status, result.checked, result.found) for result in summary.results] == [
        ("gap_detection", CheckStatus.RED, 2, 1),
        ("row_counts", CheckStatus.RED, 2, 1),
    ]
    assert fetched(database, "SELECT series_id, missing, state, cause FROM data_gaps") == [
        (series_id, 2, "open", "unknown")
    ]
    assert json.loads(caplog.messages[-1]) == json.loads(json.dumps({"event": "quality_summary", **summary.as_json()}))
    assert fetched(database, "SELECT run_key, state, asked_by, finished_at IS NULL, datasets FROM quality_runs") == [
        ("first", "red", "test", False, CANDLES)
    ]
    kept = fetched(database, "SELECT check_name, status, found, figures, sample FROM quality_results ORDER BY 1")
    assert kept == [
        (result.check, "red", result.found, dict(result.figures), [dict(row) for row in result.sample])
        for result in summary.results
    ]


def test_the_same_key_asks_the_same_run_again(job: QualityJob, database: Database, series_id: int) -> None:
    request = job.request(CANDLES, TYPED, COUNTS)
    first, again = job.run(request, "key", by="test"), job.run(request, "key", by="somebody else")
    assert (first.run_id, first.gaps_opened) == (again.run_id, 1)
    assert again.gaps_opened == 0
    assert fetched(database, "SELECT count(*) FROM quality_results") == [(2,)]
    assert fetched(database, "SELECT count(*) FROM data_gaps") == [(1,)]
    assert job.run(request, "another key", by="test").run_id != first.run_id


def test_a_gap_that_filled_itself_is_closed_before_the_checks(
    job: QualityJob, database: Database, series_id: int
) -> None:
    request = job.request(CANDLES, TYPED, COUNTS)
    job.run(request, "first", by="test")
    late = only(market(START, 2_880), HOLE, HOLE + MINUTE)
    database.run(lambda cursor: hold(cursor, series_id, late))
    summary = job.run(request, "second", by="test")
    assert summary.is_green
    assert (summary.gaps_opened, summary.gaps_closed) == (0, 1)
    assert fetched(database, "SELECT state FROM data_gaps") == [("repaired",)]
    last = database.run(lambda cursor: quality_runs.last_run(cursor, CANDLES[0]))
    assert last is not None
    assert (last.run_id, last.state, last.checks, last.alarms, last.warnings) == (summary.run_id, "green", 2, 0, 0)
    assert database.run(lambda cursor: quality_runs.last_run(cursor, "deribit.option_trades")) is None


def test_a_login_that_may_only_write_takes_bad_candles_out(
    job: QualityJob, database: Database, database_url: str, series_id: int
) -> None:
    def spoil(cursor: Cursor) -> None:
        cursor.execute("UPDATE candles SET high = low - 1 WHERE open_time = %s", (from_microseconds(BAD),))
        cursor.execute("SELECT current_database()")
        ((name,),) = cursor.fetchall()
        cursor.execute(sql.SQL("ALTER DATABASE {} SET role = 'tapekeeper_writer'").format(sql.Identifier(name)))

    database.run(spoil)
    request = job.request(CANDLES, TYPED, [name for name in CHECKS if name != "refetch"])
    first, again = job.run(request, "first", by="test"), job.run(request, "again", by="test")
    assert (first.gaps_opened, first.rows_quarantined) == (2, 1)
    assert found(first) == {"gap_detection": 1, "row_counts": 1, "ohlcv_sanity": 1}
    assert (again.gaps_opened, again.rows_quarantined) == (0, 0)
    assert found(again) == {"gap_detection": 2, "row_counts": 1, "ohlcv_sanity": 1}
    assert fetched(database, "SELECT held, expected FROM series_totals") == [(2_880 - 3, 2_880)]
    assert fetched(database, "SELECT event_time, reason FROM quarantine") == [
        (from_microseconds(BAD), "high is below low")
    ]
    assert fetched(database, "SELECT count(*), sum(missing) FROM data_gaps WHERE state = 'open'") == [(2, 3)]


def test_the_running_day_is_judged_when_it_is_over(job: QualityJob, database: Database) -> None:
    """A series that is followed still: yesterday was never planned, and today is not over."""
    today = now_microseconds() // DAY * DAY

    def write(cursor: Cursor) -> None:
        start = today - 2 * DAY
        series_id = follow(cursor, perpetual("BTC-PERPETUAL"), minutes_after(start, 1_440), keep_fresh=True)
        hold(cursor, series_id, market(start, 1_440))

    database.run(write)
    summary = job.run(job.request(CANDLES, "7d", COUNTS), "key", by="test")
    assert [(result.checked, result.found) for result in summary.results] == [(2, 1), (2, 1)]
    assert summary.completeness[CANDLES[0]] == {"24h": 0.0, "7d": 0.5, "30d": 0.5}


def test_a_check_that_cannot_be_done_is_told_and_ends_nothing(
    job: QualityJob, database: Database, series_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: RowCounts, cursor: Cursor, scope: Scope) -> Findings:
        cursor.execute("SELECT 1 / 0")
        raise AssertionError

    monkeypatch.setattr(RowCounts, "run", broken)
    summary = job.run(job.request(CANDLES, TYPED, ["row_counts", "gap_detection"]), "key", by="test")
    detected, counted = summary.results
    assert (detected.found, summary.gaps_opened) == (1, 1)
    assert (counted.status, counted.is_alarming) == (CheckStatus.ERROR, True)
    assert "division by zero" in (counted.error or "")
    assert fetched(database, "SELECT status, error IS NOT NULL FROM quality_results ORDER BY check_name") == [
        ("red", False),
        ("error", True),
    ]


def test_an_empty_database_is_green(job: QualityJob) -> None:
    summary = job.run(job.request(None, "all", None), "key", by="test")
    assert summary.is_green
    assert {result.dataset for result in summary.results} == set(DATASETS)
    assert all(result.checked == 0 for result in summary.results)
    assert summary.completeness == {name: {} for name in DATASETS}


def test_a_database_that_is_away_is_no_finding(settings: Settings) -> None:
    away = read_settings({"TAPEKEEPER_DATABASE_URL": "postgresql://tapekeeper@127.0.0.1:1/nothing"})
    with QualityJob(away) as job, pytest.raises(DatabaseUnavailable):
        job.run(job.request(None, "24h", None), "key", by="test")


def test_what_cannot_be_asked_is_refused_before_anything_runs(job: QualityJob, database: Database) -> None:
    with pytest.raises(ConfigInvalid, match="no check 'everything'"):
        job.request(None, "24h", ["everything"])
    assert fetched(database, "SELECT count(*) FROM quality_runs") == [(0,)]
