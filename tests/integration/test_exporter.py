"""The exporter against a real database: every family tells what the tables hold, and survives that they are away."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import psycopg2
import pytest
import requests
from prometheus_client import CollectorRegistry, generate_latest
from psycopg2 import sql

from collector.exporter.cache import FamilyCache
from collector.exporter.families import FAMILIES
from tapekeeper.clock import MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.http.request_log import RequestRecord
from tapekeeper.model.backfill import RowCounts
from tapekeeper.model.gap import Cause
from tapekeeper.model.quality import CheckResult, QualityRequest, Severity
from tapekeeper.model.series import DATASETS, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import runs
from tapekeeper.store.api_requests import ApiRequestLog
from tapekeeper.store.database import Database
from tapekeeper.store.quality_runs import begin, finish, save_results
from tapekeeper.store.reader import Reader
from tests.support.command_line import environment
from tests.support.processes import wait_for
from tests.support.tape import PERPETUAL_CANDLES, add_days, add_gap, add_run, add_series, minutes_ago

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

PROJECT: Final = Path(__file__).parents[2]
Samples = dict[tuple[str, ...], float]


def execute(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def login(url: str) -> str:
    """Return the URL of a login that holds the reader's role alone."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS exporter")
        cursor.execute("CREATE ROLE exporter LOGIN PASSWORD 'a-long-password' IN ROLE tapekeeper_reader")
    return "postgresql://exporter:a-long-password@" + url.split("@", 1)[1]


class Exported:
    """The families of a database, read when they are asked for."""

    def __init__(self, url: str) -> None:
        self.cache = FamilyCache(FAMILIES, Reader(login(url), connect_timeout_seconds=2))

    def samples(self) -> Samples:
        """Return everything by name and the values of its labels, in the order of the labels."""
        for family in FAMILIES:
            self.cache.refresh(family)
        return {
            (sample.name.removeprefix("tapekeeper_"), *sample.labels.values()): sample.value
            for metric in self.cache.collect()
            for sample in metric.samples
        }

    def exposition(self) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self.cache)
        return generate_latest(registry)


@pytest.fixture
def exported(database_url: str) -> Exported:
    return Exported(database_url)


def request(outcome: str, method: str = "public/get_time") -> RequestRecord:
    now = now_microseconds()
    return RequestRecord("deribit", method, {}, now, 200, outcome, "", 1.0, 0.01, 10, 1)  # type: ignore[arg-type]


def by_name(samples: Samples, name: str) -> Samples:
    return {key[1:]: value for key, value in samples.items() if key[0] == name}


def test_an_empty_database_is_told_by_noughts(exported: Exported) -> None:
    samples = exported.samples()
    assert by_name(samples, "status_query_success") == {(family.name,): 1 for family in FAMILIES}
    every_gap = {(dataset, cause.value): 0.0 for dataset in DATASETS for cause in Cause}
    assert by_name(samples, "gaps_open") == by_name(samples, "gap_seconds_missing") == every_gap
    states = {(dataset, state): 0.0 for dataset in DATASETS for state in ("pending", "running", "done", "failed")}
    assert by_name(samples, "backfill_chunks") == states
    nought = {(dataset,): 0.0 for dataset in DATASETS}
    noughts = ("backfill_rows_written_total", "gaps_detected_total", "gaps_repaired_total", "dataset_rows")
    none_open = ("gap_oldest_open_timestamp_seconds", "gap_longest_open_seconds")
    for name in noughts + none_open:
        assert by_name(samples, name) == nought
    # A moment that never came is not the beginning of 1970, and nothing of nothing is not incomplete.
    unknown = ("_timestamp_seconds", "_ratio", "check_status")
    assert [key for key in samples if key[0].endswith(unknown) and key[0] not in none_open] == []


def test_chunks_and_rows_of_backfills(database_url: str, exported: Exported) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(60), rows=30)
    add_run(database_url, "going on", state="running", chunks=["pending", "pending", "failed", "done"])
    add_run(database_url, "long ago", state="failed", chunks=["failed", "done"])
    execute(database_url, "UPDATE backfill_runs SET finished_at = now() - interval '25 hours' WHERE state = 'failed'")
    samples = exported.samples()
    chunks = by_name(samples, "backfill_chunks")
    assert [chunks[PERPETUAL_CANDLES, state] for state in ("pending", "running", "done", "failed")] == [2, 0, 1, 1]
    execute(database_url, "UPDATE backfill_runs SET finished_at = now() - interval '23 hours' WHERE state = 'failed'")
    assert exported.samples()["backfill_chunks", PERPETUAL_CANDLES, "failed"] == 2


def test_rows_written_stay_when_a_run_is_forgotten(database_url: str, exported: Exported) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(60), rows=30)
    add_run(database_url, "going on", state="running", chunks=["pending", "pending"])
    ((run_id,),) = execute(database_url, "SELECT run_id FROM backfill_runs")
    owner = uuid4()

    def work(cursor: Cursor) -> None:
        first = runs.claim(cursor, run_id, None, owner, 60)
        assert first is not None
        runs.give_back(
            cursor, first, owner, RowCounts(inserted=5, unchanged=100), error="bad", after_seconds=0, counts=True
        )
        again = runs.claim(cursor, run_id, None, owner, 60)
        assert again is not None
        runs.finish(cursor, again, owner, RowCounts(inserted=20, updated=3))

    before = now_microseconds() / MICROSECONDS_PER_SECOND
    with closing(Database(database_url)) as database:
        database.run(work)
    execute(database_url, "DELETE FROM backfill_runs")
    samples = exported.samples()
    assert samples["backfill_rows_written_total", PERPETUAL_CANDLES] == 28
    assert samples["backfill_last_success_timestamp_seconds", PERPETUAL_CANDLES] >= before - 1


def test_requests_stay_counted_when_their_day_is_dropped(database_url: str, exported: Exported) -> None:
    with closing(Database(database_url)) as database:
        log = ApiRequestLog(database)
        for outcome in ("ok", "ok", "retry"):
            log.record(request(outcome))
        log.record(request("give up", "public/ticker"))
    execute(database_url, "DELETE FROM api_requests")
    assert by_name(exported.samples(), "backfill_api_requests_total") == {
        ("public/get_time", "ok"): 2,
        ("public/get_time", "retry"): 1,
        ("public/get_time", "give_up"): 0,
        ("public/ticker", "ok"): 0,
        ("public/ticker", "retry"): 0,
        ("public/ticker", "give_up"): 1,
    }


def test_a_budget_tells_its_used_share(database_url: str, exported: Exported) -> None:
    # A permit takes ten thousand seconds to come back, so the time that the test takes is nothing.
    execute(
        database_url,
        """
        INSERT INTO rate_budgets (name, rate_maximum, rate, burst, theoretical_arrival_time, blocked_until) VALUES
            ('idle', 0.0001, 0.0001, 20, '-infinity', '-infinity'),
            ('busy', 0.0001, 0.0001, 20, now() + interval '50000 seconds', '-infinity'),
            ('paused', 0.0001, 0.0001, 20, '-infinity', now() + interval '1 day')
        """,
    )
    used = by_name(exported.samples(), "rate_budget_used_ratio")
    assert used == {("idle",): 0.0, ("busy",): pytest.approx(0.25, abs=0.01), ("paused",): 1.0}


def test_gaps_are_told_by_cause_and_never_twice(database_url: str, exported: Exported) -> None:
    for name in ("BTC-PERPETUAL", "ETH-PERPETUAL"):
        add_series(database_url, name, first=minutes_ago(60), rows=30)
        add_gap(database_url, name, days_ago=2, missing=10, state="classified")
    # The first twenty minutes of the same day: ten of them are missing already.
    add_gap(database_url, "BTC-PERPETUAL", days_ago=2, missing=20, state="open")
    add_gap(database_url, "BTC-PERPETUAL", days_ago=3, missing=5, state="repaired")
    add_gap(database_url, "BTC-PERPETUAL", days_ago=4, missing=5, state="permanent")
    execute(database_url, "UPDATE data_gaps SET cause = 'restart' WHERE missing = 10 AND series_id = 2")
    samples = exported.samples()
    found = {key: value for key, value in by_name(samples, "gaps_open").items() if value}
    assert found == {(PERPETUAL_CANDLES, "unknown"): 2, (PERPETUAL_CANDLES, "restart"): 1}
    assert samples["gap_seconds_missing", PERPETUAL_CANDLES, "unknown"] == 20 * 60
    assert samples["gap_seconds_missing", PERPETUAL_CANDLES, "restart"] == 10 * 60
    assert samples["gaps_detected_total", PERPETUAL_CANDLES] == 5
    assert samples["gaps_repaired_total", PERPETUAL_CANDLES] == 1
    execute(database_url, "UPDATE data_gaps SET state = 'repaired', closed_at = now() WHERE closed_at IS NULL")
    samples = exported.samples()
    assert not any(by_name(samples, "gaps_open").values())
    assert samples["gaps_detected_total", PERPETUAL_CANDLES] == 5
    assert samples["gaps_repaired_total", PERPETUAL_CANDLES] == 4


def test_of_the_open_gaps_the_oldest_and_the_longest_are_told(database_url: str, exported: Exported) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(60), rows=30)
    open_states, closed_states = ("open", "classified", "repairing"), ("repaired", "permanent", "accepted")
    for ago, state in enumerate((*open_states, *closed_states), start=1):
        add_gap(database_url, "BTC-PERPETUAL", days_ago=ago, missing=10 * ago, state=state)
    # The later its state in the list above, the longer a gap is, and the longer ago it was recorded.
    execute(database_url, "UPDATE data_gaps SET opened_at = to_timestamp(1e9) - missing * interval '1 minute'")

    def told() -> tuple[float, float]:
        samples = exported.samples()
        return (
            samples["gap_oldest_open_timestamp_seconds", PERPETUAL_CANDLES],
            samples["gap_longest_open_seconds", PERPETUAL_CANDLES],
        )

    assert told() == (1e9 - 30 * 60, 30 * 60)
    execute(database_url, "UPDATE data_gaps SET state = 'accepted', closed_at = now() WHERE state = 'repairing'")
    assert told() == (1e9 - 20 * 60, 20 * 60)
    execute(database_url, "UPDATE data_gaps SET state = 'repaired', closed_at = now() WHERE closed_at IS NULL")
    assert told() == (0, 0)


def test_completeness_and_the_size_of_what_is_held(database_url: str, exported: Exported) -> None:
    last = minutes_ago(2)
    add_series(database_url, "BTC-PERPETUAL", first=minutes_ago(31), rows=30)
    add_series(database_url, "BTCUSDT", first=minutes_ago(31), rows=7, dataset="elsewhere.candles")
    add_days(database_url, "BTC-PERPETUAL", days=10, lacking={1: 144})
    samples = exported.samples()
    ratios = by_name(samples, "completeness_ratio")
    assert ratios == {
        (PERPETUAL_CANDLES, "24h"): pytest.approx(0.9),
        (PERPETUAL_CANDLES, "7d"): pytest.approx(1 - 0.1 / 7),
        (PERPETUAL_CANDLES, "30d"): pytest.approx(1 - 0.1 / 10),
    }
    assert samples["dataset_rows", PERPETUAL_CANDLES] == 30
    assert samples["dataset_last_event_timestamp_seconds", PERPETUAL_CANDLES] == last.timestamp()
    ((size,),) = execute(database_url, "SELECT pg_total_relation_size('candles')")
    assert samples["dataset_bytes", PERPETUAL_CANDLES] == size


def test_each_check_is_told_as_it_ended_the_last_time(database_url: str, exported: Exported) -> None:
    window = Window(now_microseconds() - MICROSECONDS_PER_SECOND, now_microseconds())

    def run(key: str, state: str, found: dict[str, int], error: str | None = None) -> None:
        def work(cursor: Cursor) -> None:
            run_id = begin(cursor, key, QualityRequest((DERIBIT_PERPETUAL_CANDLES,), tuple(found), window), by="test")
            results = [
                CheckResult(check, PERPETUAL_CANDLES, Severity.CRITICAL, 10, bad, error=error)
                for check, bad in found.items()
            ]
            save_results(cursor, run_id, results)
            finish(cursor, run_id, state)

        with closing(Database(database_url)) as database:
            database.run(work)

    def status() -> Samples:
        return by_name(exported.samples(), "quality_check_status")

    run("first", "red", {"gap_detection": 3, "row_counts": 0})
    label = (PERPETUAL_CANDLES, "gap_detection", "critical")
    other = (PERPETUAL_CANDLES, "row_counts", "critical")
    assert status() == {label: 0, other: 1}
    run("second", "green", {"gap_detection": 0})
    assert status() == {label: 1, other: 1}
    ended = exported.samples()["quality_last_run_timestamp_seconds", PERPETUAL_CANDLES]
    assert ended == pytest.approx(datetime.now(UTC).timestamp(), abs=600)
    run("third", "failed", {"row_counts": 0}, error="a statement took too long")
    assert status() == {label: 1, other: 0}
    assert exported.samples()["quality_last_run_timestamp_seconds", PERPETUAL_CANDLES] == ended


def test_prometheus_finds_nothing_to_improve_and_few_series(database_url: str, exported: Exported) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    fill(database_url)
    assert len(exported.samples()) < 300
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exported.exposition(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_metric_is_in_the_table_of_the_readme_with_its_labels(database_url: str, exported: Exported) -> None:
    fill(database_url)
    exported.samples()
    told = {
        (sample.name, metric.type, tuple(sample.labels))
        for metric in exported.cache.collect()
        for sample in metric.samples
    }
    readme = (PROJECT / "collector" / "README.md").read_text(encoding="utf-8")
    table = readme.split("<!-- metrics:")[1].split("<!-- end of metrics -->")[0]
    lines = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (?:`(\w+)`)? ?\| .+ \|$", table, re.MULTILINE)
    assert {(name, kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels, _ in lines} == told
    assert {family for *_, family in lines if family} == {family.name for family in FAMILIES}


def fill(url: str) -> None:
    """Give every metric a sample."""
    add_series(url, "BTC-PERPETUAL", first=minutes_ago(60), rows=30)
    add_days(url, "BTC-PERPETUAL", days=2)
    execute(url, "UPDATE series_totals SET backfilled_at = now()")
    execute(url, "INSERT INTO rate_budgets (name, rate_maximum, rate, burst) VALUES ('deribit.rest', 10, 10, 20)")
    execute(url, "INSERT INTO api_request_totals VALUES ('deribit', 'public/get_time', 'ok', 1)")
    execute(
        url,
        """
        WITH run AS (
            INSERT INTO quality_runs (run_key, datasets, checks, window_end, state, asked_by, finished_at)
            VALUES ('run', ARRAY[%s], '{}', now(), 'green', 'test', now()) RETURNING run_id
        )
        INSERT INTO quality_results SELECT run_id, %s, 'gap_detection', 'critical', 'green', 1, 0, '{}', '[]', NULL, 0
        FROM run
        """,
        PERPETUAL_CANDLES,
        PERPETUAL_CANDLES,
    )


@contextmanager
def refused(url: str) -> Iterator[None]:
    """Let nobody into the database for the block."""
    name = url.rsplit("/", 1)[1]
    server = url.removesuffix(name) + "postgres"
    with closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for allowed in (False, True):
                cursor.execute(
                    sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(allowed))
                )
                if not allowed:
                    cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
                    yield


def test_with_the_database_away_every_family_is_absent_and_comes_back(database_url: str, exported: Exported) -> None:
    fill(database_url)
    before = exported.samples()
    with refused(database_url):
        assert exported.samples() == {("status_query_success", family.name): 0 for family in FAMILIES}
    assert set(exported.samples()) == set(before)


def test_a_family_whose_table_is_locked_is_absent_alone(database_url: str, exported: Exported) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE api_request_totals IN ACCESS EXCLUSIVE MODE")
        samples = exported.samples()
    assert Counter(by_name(samples, "status_query_success").values()) == {1.0: len(FAMILIES) - 1, 0.0: 1}
    assert samples["status_query_success", "requests"] == 0


def test_the_process_serves_until_it_is_told_to_stop(database_url: str, tmp_path: Path) -> None:
    settings = {
        "TAPEKEEPER_READER_DATABASE_URL": login(database_url),
        "TAPEKEEPER_COLLECTOR_EXPORTER_PORT": "0",
    }
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "collector", "metrics"], cwd=PROJECT, env=environment(settings), stderr=output
        ) as process,
    ):
        try:
            wait_for(lambda: process.poll() is not None or b"health on" in log.read_bytes())
            url = re.findall(r"http://127\.0\.0\.1:\d+", log.read_text(encoding="utf-8"))[0]
            wait_for(lambda: requests.get(f"{url}/readyz", timeout=10).status_code == 200)
            assert requests.get(f"{url}/livez", timeout=10).json() == {"turning": True}
            assert (
                'tapekeeper_status_query_success{family="gaps"} 1.0' in requests.get(f"{url}/metrics", timeout=10).text
            )
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
