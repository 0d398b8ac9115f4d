"""The case `status`: the status function with a year of 830 instruments in two streams, 600 k rows of coverage."""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.server import only_value
from tapekeeper.settings import Settings, read_settings
from tapekeeper.status import get_all_statuses, get_intraday_data_status
from tapekeeper.store.database import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.server import Server

INSTRUMENTS: Final = 830
STREAMS: Final = 2
DAYS: Final = 365
ROWS: Final = 100_000_000
THREADS: Final = 4
"""As many as answer at once in one process of the api-server."""
RUNS: Final = 100_000
"""Finished backfill runs, a year of one every five minutes; they must not slow the list of datasets down."""
SCANS: Final = 10
LONGEST_P99_MILLISECONDS: Final = 20.0
ONE_DATASET: Final = "one dataset"

# Both streams are of the dataset that is asked for, which is the worst case: every series counts.
_FILL: Final = f"""
    INSERT INTO instruments (venue, name, kind, currency, listed_at)
    SELECT 'deribit', 'INSTRUMENT-' || number, 'perpetual', 'BTC', '2023-01-01Z'
    FROM generate_series(1, {INSTRUMENTS}) AS number;

    INSERT INTO series (dataset, instrument_id, resolution_seconds)
    SELECT 'deribit.perpetual_candles', instrument_id, 60 * stream
    FROM instruments, generate_series(1, {STREAMS}) AS stream;

    INSERT INTO coverage (series_id, day, expected, held, first_event_time, last_event_time)
    SELECT series_id, day, {ROWS} / ({INSTRUMENTS * STREAMS * DAYS}) + 1,
        {ROWS} / ({INSTRUMENTS * STREAMS * DAYS}) + 1, day, day + interval '23 hours 59 minutes'
    FROM series, generate_series(now() - interval '{DAYS - 1} days', now(), interval '1 day') AS day;

    INSERT INTO series_totals (series_id, rows_held, held, expected, first_event_time, last_event_time)
    SELECT series_id, sum(held), sum(held), sum(expected), min(first_event_time), max(last_event_time)
    FROM coverage GROUP BY series_id;

    INSERT INTO backfill_runs (run_key, dataset, instruments, resolution_seconds, window_start, window_end,
        direction, mode, state, finished_at)
    SELECT 'run ' || number, 'deribit.perpetual_candles', '{{}}', 60, '2024-05-01Z', '2024-05-02Z',
        'newest first', 'missing only', 'done', now()
    FROM generate_series(1, {RUNS}) AS number;
"""


def measure_status(server: Server, *, calls: int, say: Say) -> Report:
    """Return how long answers take as the api-server asks for them: each thread reuses one connection."""
    with server.database() as url:
        say("status: filling the account")
        fill_coverage(url)
        settings = read_settings({"TAPEKEEPER_DATABASE_URL": url})
        status = get_intraday_data_status(settings)
        if not status.ok:
            raise AssertionError(status.error)
        say("status: asking")
        durations = {
            ONE_DATASET: _timed(lambda: get_intraday_data_status(settings), calls),
            f"one dataset, {THREADS} threads at once": _in_threads(settings, calls),
            "list of datasets": _timed(lambda: get_all_statuses(settings), calls),
            "scan of coverage instead": _timed(lambda: _scan(url), SCANS),
        }
        coverage_rows = only_value(url, "SELECT count(*) FROM coverage")
    return _report(server, durations, coverage_rows, status.rows_total)


def fill_coverage(url: str) -> None:
    """Write a year of coverage of 830 instruments in two streams."""
    with closing(connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(_FILL)
            cursor.execute("VACUUM ANALYZE")


def _timed(call: Callable[[], object], calls: int) -> list[float]:
    """Return the milliseconds of each call."""
    durations = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        durations.append((time.perf_counter() - started) * 1000)
    return durations


def _in_threads(settings: Settings, calls: int) -> list[float]:
    """Return the milliseconds of each call, the ones that connect included."""
    durations: list[float] = []

    def ask() -> None:
        durations.extend(_timed(lambda: get_intraday_data_status(settings), calls // THREADS))

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return durations


def _scan(url: str) -> None:
    """Ask as if there were no totals per series; connecting comes on top."""
    only_value(url, "SELECT (sum(held), min(first_event_time), max(last_event_time))::text FROM coverage")


def _report(server: Server, found: dict[str, list[float]], coverage_rows: int, rows: int) -> Report:
    report = Report(
        "status",
        f"{thousands(coverage_rows)} rows of coverage that count {thousands(rows)} rows, and {thousands(RUNS)} "
        f"finished runs. On {server.description()}.",
        ("what is asked", "calls", "p50 ms", "p99 ms", "longest ms"),
    )
    for name, durations in found.items():
        cuts = statistics.quantiles(durations, n=100, method="inclusive")
        figures = {"p50": cuts[49], "p99": cuts[98], "longest": max(durations)}
        report.lines.append((name, str(len(durations)), *(f"{value:.2f}" for value in figures.values())))
        report.figures[name] = {f"{cut}_milliseconds": round(value, 3) for cut, value in figures.items()}
        if name == ONE_DATASET:
            report.bounds.append(
                Bound(
                    "status: p99 of one dataset", figures["p99"], LONGEST_P99_MILLISECONDS, at_least=False, unit=" ms"
                )
            )
    return report
