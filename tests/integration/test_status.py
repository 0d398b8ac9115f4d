"""The status function against a real database."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from tapekeeper.clock import day_of, now_microseconds
from tapekeeper.errors import Stop
from tapekeeper.local.ports import free_port
from tapekeeper.local.postgresql import EmbeddedPostgres
from tapekeeper.model.gap import Cause, Loss
from tapekeeper.model.quality import CheckResult, QualityRequest, Severity
from tapekeeper.model.series import DATASETS, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.settings import Settings, read_settings
from tapekeeper.status import get_all_statuses, get_intraday_data_status
from tapekeeper.store.account import Seconds, account_seconds
from tapekeeper.store.database import Database
from tapekeeper.store.losses import record_losses
from tapekeeper.store.migrate import migrate
from tapekeeper.store.option_series import ensure_option_series
from tapekeeper.store.quality_runs import begin, finish, save_results
from tapekeeper.store.reader import Reader
from tapekeeper.store.ticks import INCOMING_TABLES, write_ticks
from tests.support.tape import add_days, add_gap, add_run, add_series, minutes_ago
from tests.support.ticks import MIDNIGHT, SECOND, option, quote

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg2.extensions import cursor as Cursor

    from tests.support.databases import Databases


def settings_for(url: str, **more: str) -> Settings:
    return read_settings({"TAPEKEEPER_DATABASE_URL": url, "TAPEKEEPER_DATABASE_CONNECT_TIMEOUT_SECONDS": "2", **more})


def test_an_empty_database_is_fine(database_url: str) -> None:
    status = get_intraday_data_status(settings_for(database_url))
    assert (status.ok, status.rows_total, status.days_covered, status.approx_size_mb) == (True, 0, 0, 0.0)
    assert (status.first_timestamp, status.last_timestamp, status.is_running, status.error) == (None, None, False, None)


def test_the_numbers_are_those_of_the_rows(database_url: str) -> None:
    first, last = minutes_ago(3 * 1440), minutes_ago(2)
    add_series(database_url, "BTC-PERPETUAL", first=first, rows=2_000)
    add_series(database_url, "ETH-PERPETUAL", first=last - timedelta(minutes=999), rows=1_000)
    status = get_intraday_data_status(settings_for(database_url))
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), min(open_time), max(open_time), pg_total_relation_size('candles') FROM candles"
        )
        (rows, first_held, last_held, size) = cursor.fetchone() or ()
    assert (status.rows_total, status.first_timestamp, status.last_timestamp) == (rows, first_held, last_held)
    assert (first_held, last_held) == (first, last)
    assert status.days_covered == (last.date() - first.date()).days + 1
    assert status.approx_size_mb == round(size / 1e6, 1) > 0
    assert status.is_running


def test_rows_of_other_datasets_in_the_same_table_do_not_count(database_url: str) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(200), rows=100)
    add_series(database_url, "BTCUSDT", first=minutes_ago(100), rows=100, dataset="elsewhere.candles")
    status = get_intraday_data_status(settings_for(database_url))
    assert (status.rows_total, status.is_running) == (100, False)


def test_the_list_tells_what_a_backfill_still_has_to_do(database_url: str) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(60), rows=30, expected=40)
    add_series(database_url, "ETH-PERPETUAL", first=minutes_ago(60), rows=50, expected=40)
    add_run(database_url, "finished", state="failed", chunks=["failed", "done"])
    add_run(database_url, "going on", state="running", chunks=["pending", "running", "failed", "done"])
    status = get_all_statuses(settings_for(database_url))[0]
    told = status.as_json()
    assert told["dataset"] == "deribit.perpetual_candles"
    assert (told["series_count"], told["held"], told["expected"]) == (2, 80, 80)
    # A surplus of one series does not hide what another one lacks.
    assert told["completeness"] == 70 / 80
    assert (told["chunks_pending"], told["chunks_failed"]) == (2, 1)
    assert told["last_run"]["run_key"] == "going on"
    assert told["freshness_seconds"] == pytest.approx(11 * 60, abs=90)


def test_quotes_are_told_by_rows_and_judged_by_seconds(database_url: str) -> None:
    now = now_microseconds()

    def work(cursor: Any) -> None:
        series = ensure_option_series(cursor, [option(0)])[option(0).name]
        write_ticks(cursor, [quote(series.instrument_id, now - number, number) for number in range(500)], [])
        account_seconds(cursor, [Seconds(series.quotes_series_id, day_of(MIDNIGHT), 10, 6)], until=now)
        window = Window(MIDNIGHT, MIDNIGHT + 3 * SECOND)
        record_losses(cursor, [Loss(series.quotes_series_id, window, Cause.DISCONNECT, {})], by="test")

    with closing(Database(database_url, prepare=INCOMING_TABLES)) as database:
        database.run(work)
    statuses = {status.dataset: status.as_json() for status in get_all_statuses(settings_for(database_url))}
    told = statuses["deribit.option_quotes"]
    assert (told["rows_total"], told["held"], told["explained"], told["expected"]) == (500, 6, 3, 10)
    assert (told["completeness"], told["is_running"]) == (0.9, True)
    assert told["approx_size_mb"] > 0
    assert statuses["deribit.option_trades"]["rows_total"] == 0


def test_what_is_proven_is_told_of_each_dataset(database_url: str, tmp_path: Path) -> None:
    settings = settings_for(database_url, TAPEKEEPER_QUALITY_REPORT_FOLDER=str(tmp_path))
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(60), rows=30)
    add_days(database_url, "BTC-PERPETUAL", days=10, lacking={0: 700, 1: 144, 2: 1_440}, explained={2: 1_440})
    add_gap(database_url, "BTC-PERPETUAL", days_ago=1, missing=144, state="classified")
    add_gap(database_url, "BTC-PERPETUAL", days_ago=2, missing=1_440, state="permanent")

    def check(cursor: Cursor) -> int:
        request = QualityRequest((DERIBIT_PERPETUAL_CANDLES,), ("gap_detection",), Window(MIDNIGHT, MIDNIGHT + SECOND))
        run_id = begin(cursor, "daily", request, by="test")
        found = CheckResult("gap_detection", DERIBIT_PERPETUAL_CANDLES.name, Severity.CRITICAL, 10, 1)
        save_results(cursor, run_id, [found])
        finish(cursor, run_id, "red")
        return run_id

    with closing(Database(database_url)) as database:
        run_id = database.run(check)
    candles, quotes, *_ = (status.as_json() for status in get_all_statuses(settings))
    assert (candles["completeness_24h"], candles["completeness_7d"]) == (0.9, pytest.approx(1 - 0.1 / 7))
    assert (candles["gaps_open"], quotes["gaps_open"]) == (1, 0)
    assert (quotes["completeness_24h"], quotes["last_quality_run"]) == (None, None)
    run = candles["last_quality_run"]
    assert (run["run_id"], run["state"], run["alarms"], run["has_report"]) == (run_id, "red", 1, False)
    (tmp_path / str(run_id)).mkdir()
    (tmp_path / str(run_id) / "report.html").write_text("", encoding="utf-8")
    assert get_all_statuses(settings)[0].quality.has_report


def test_a_database_without_tables_says_what_to_run(databases: Databases) -> None:
    with databases.empty() as url:
        status = get_intraday_data_status(settings_for(url))
        assert not status.ok
        assert status.error == "The database lacks a table of this version: run tapekeeper migrate."
        assert [told.intraday.error for told in get_all_statuses(settings_for(url))] == [status.error] * len(DATASETS)
        migrate(url)
        assert get_intraday_data_status(settings_for(url)).ok


def test_a_refused_login_is_told_without_its_name_and_password(database_url: str) -> None:
    refused = database_url.replace("//postgres:", "//somebody:secret-")
    status = get_intraday_data_status(settings_for(refused))
    assert not status.ok
    assert status.error is not None
    assert "refuses the login" in status.error
    assert "somebody" not in status.error
    assert "secret" not in status.error


def test_the_reader_url_is_used_before_the_writer_url(database_url: str) -> None:
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port(None)}/nothing"
    assert get_intraday_data_status(settings_for(nowhere, TAPEKEEPER_READER_DATABASE_URL=database_url)).ok
    assert not get_intraday_data_status(settings_for(nowhere)).ok


def test_a_reader_cannot_write_and_cannot_linger(database_url: str) -> None:
    reader = Reader(database_url)
    with pytest.raises(Stop, match="read-only transaction"):
        reader.run(lambda cursor: cursor.execute("DELETE FROM candles"))

    def timeout(cursor: Any) -> str:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])

    assert reader.run(timeout) == "3s"


def test_a_reader_holds_the_role_and_sees_the_status(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS status_page")
        cursor.execute("CREATE ROLE status_page LOGIN PASSWORD 'a-long-password' IN ROLE tapekeeper_reader")
    login = "postgresql://status_page:a-long-password@" + database_url.split("@", 1)[1]
    assert get_all_statuses(settings_for(login))[0].intraday.ok


def test_every_thread_reuses_its_own_connection(database_url: str) -> None:
    settings = settings_for(database_url)
    backends: dict[str, set[int]] = {"here": set(), "there": set()}
    reader = Reader(database_url)

    def remember(name: str) -> None:
        for _ in range(3):
            backends[name].add(reader.run(lambda cursor: int(cursor.connection.get_backend_pid())))

    remember("here")
    thread = threading.Thread(target=remember, args=("there",))
    thread.start()
    thread.join()
    assert len(backends["here"]) == len(backends["there"]) == 1
    assert backends["here"] != backends["there"]
    assert get_intraday_data_status(settings).ok


def test_the_answer_says_away_while_the_database_is_away_and_recovers_at_once(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "server", options={"fsync": "off"})
    try:
        with server:
            migrate(server.url())
            settings = settings_for(server.url())
            assert get_intraday_data_status(settings).ok
        away = get_intraday_data_status(settings)
        assert (away.ok, away.rows_total, away.is_running) == (False, 0, False)
        assert away.error is not None
        assert away.error.startswith("The database cannot be reached")
        assert str(server.port) not in away.error
        with server:
            assert get_intraday_data_status(settings).ok
        with server:
            # The connection of the last call ended with the server that is gone, and nobody has noticed yet.
            assert get_intraday_data_status(settings).ok
    finally:
        server.remove()
