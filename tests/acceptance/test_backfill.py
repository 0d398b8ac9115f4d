"""The backfill command as a user runs it, against the simulated venue and a real database.

What holds for every venue is in `venues/`: storms, a second run, a kill, questions that are wrong.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tapekeeper.clock import parse_moment
from tapekeeper.model.window import Window
from tests.support.command_line import json_of, run_tapekeeper, start_tapekeeper
from tests.support.processes import wait_for
from tests.support.simulator import Simulator
from tests.support.truth import held_candles, one_value, true_candles

TEN_DAYS = ["--start", "2024-03-01", "--end", "2024-03-11"]
WINDOW = Window(parse_moment("2024-03-01", now=0), parse_moment("2024-03-11", now=0))
ROWS = 14_400
BITCOIN = ["--instruments", "BTC-PERPETUAL"]


@pytest.fixture
def settings(database_url: str, simulator: Simulator) -> dict[str, str]:
    return {
        "TAPEKEEPER_DATABASE_URL": database_url,
        "TAPEKEEPER_DERIBIT_REST_URL": simulator.base_url,
        "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "18",
        "TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "1000",
        "TAPEKEEPER_HTTP_TIMEOUT_SECONDS": "5",
        "TAPEKEEPER_HTTP_BACKOFF_FIRST_SECONDS": "0.05",
        "TAPEKEEPER_HTTP_BACKOFF_LONGEST_SECONDS": "1",
        "TAPEKEEPER_HTTP_INLINE_WAIT_LONGEST_SECONDS": "20",
        "TAPEKEEPER_BACKFILL_LEASE_SECONDS": "3",
    }


def backfill(settings: dict[str, str], *arguments: str, exit_code: int = 0) -> Any:
    output, _ = run_tapekeeper(["backfill", "perpetuals", *arguments, "--json"], settings, exit_code=exit_code)
    return json_of(output)


def test_what_lands_equals_the_truth_of_the_venue(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    summary = backfill(settings, "--instruments", "BTC-PERPETUAL,ETH-PERPETUAL", *TEN_DAYS)
    assert (summary["state"], summary["inserted"], summary["requested"]) == ("done", 2 * ROWS, 2 * ROWS)
    assert (summary["earliest"], summary["latest"]) == ("2024-03-01T00:00:00Z", "2024-03-10T23:59:00Z")
    for instrument in ("BTC-PERPETUAL", "ETH-PERPETUAL"):
        held = held_candles(database_url, instrument, WINDOW)
        assert len(held) == ROWS
        assert held == true_candles(simulator, instrument, WINDOW)
    assert one_value(database_url, "SELECT count(*) FROM series_days WHERE state = 'complete'") == 20
    assert summary["requests"] == one_value(database_url, "SELECT count(*) FROM api_requests WHERE run_id IS NOT NULL")


def test_only_what_is_missing_is_fetched(settings: dict[str, str], database_url: str, simulator: Simulator) -> None:
    backfill(settings, *BITCOIN, "--start", "2024-03-02", "--end", "2024-03-03T12:00Z")
    backfill(settings, *BITCOIN, "--start", "2024-03-06", "--end", "2024-03-07")
    summary = backfill(settings, *BITCOIN, *TEN_DAYS, "--direction", "oldest first")
    assert summary["inserted"] == ROWS - 2_160 - 1_440
    part = backfill(settings, *BITCOIN, "--start", "2024-03-04T06:00Z", "--end", "2024-03-05", "--mode", "full refresh")
    assert (part["earliest"], part["latest"]) == ("2024-03-04T06:00:00Z", "2024-03-04T23:59:00Z")
    assert held_candles(database_url, "BTC-PERPETUAL", WINDOW) == true_candles(simulator, "BTC-PERPETUAL", WINDOW)


def test_interrupted_it_ends_soon_gives_its_chunks_back_and_goes_on(
    settings: dict[str, str], database_url: str
) -> None:
    # So slow that the whole would take half a minute, with waits between requests that an interruption has to end.
    slow = {
        **settings,
        "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "1",
        "TAPEKEEPER_DERIBIT_BURST_REQUESTS": "4",
        "TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "500",
    }
    process = start_tapekeeper(["backfill", "perpetuals", *BITCOIN, *TEN_DAYS], slow)
    wait_for(lambda: one_value(database_url, "SELECT count(*) FROM backfill_chunks WHERE state = 'done'") >= 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "Aborted!" in errors
    assert "Traceback" not in errors
    for table in ("backfill_chunks", "backfill_runs"):
        assert one_value(database_url, f"SELECT count(*) FROM {table} WHERE state = 'running'") == 0
    kept = one_value(database_url, "SELECT sum(held) FROM coverage")
    assert backfill(settings, *BITCOIN, *TEN_DAYS)["inserted"] == ROWS - kept


def test_two_runs_over_the_same_window_at_once_agree(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    with ThreadPoolExecutor(2) as pool:
        summaries = list(pool.map(lambda _: backfill(settings, *BITCOIN, *TEN_DAYS), range(2)))
    assert sum(summary["inserted"] for summary in summaries) == ROWS
    assert one_value(database_url, "SELECT sum(held) FROM coverage") == ROWS
    assert held_candles(database_url, "BTC-PERPETUAL", WINDOW) == true_candles(simulator, "BTC-PERPETUAL", WINDOW)


def test_a_budget_too_small_for_all_workers_delays_chunks_and_fails_none(settings: dict[str, str]) -> None:
    scarce = {
        **settings,
        "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "2",
        "TAPEKEEPER_DERIBIT_BURST_REQUESTS": "1",
        "TAPEKEEPER_HTTP_INLINE_WAIT_LONGEST_SECONDS": "0.6",
        "TAPEKEEPER_BACKFILL_LEASE_SECONDS": "60",
        "TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "2000",
    }
    output, errors = run_tapekeeper(["backfill", "perpetuals", *BITCOIN, *TEN_DAYS, "--json"], scarce)
    summary = json_of(output)
    assert (summary["state"], summary["chunks_failed"], summary["inserted"]) == ("done", 0, ROWS)
    assert "for our own rate budget" in " ".join(errors.split())
    assert "the next chunk can be had" not in errors, "a worker waits for what its own neighbours are doing"


def test_a_chunk_that_cannot_be_had_fails_with_its_reason_and_the_rest_goes_on(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    simulator.set_faults([{"kind": "bad_candle", "from_request": 4, "to_request": 1_000_000}])
    summary = backfill({**settings, "TAPEKEEPER_BACKFILL_ATTEMPTS_PER_CHUNK": "2"}, *BITCOIN, *TEN_DAYS, exit_code=1)
    assert summary["state"] == "failed"
    assert summary["chunks_failed"] > 0
    assert "rows are in quarantine, first: " in summary["errors"][0]
    held = one_value(database_url, "SELECT count(*) FROM candles")
    assert one_value(database_url, "SELECT sum(held) FROM coverage") == held
    assert one_value(database_url, "SELECT count(DISTINCT event_time) FROM quarantine") >= ROWS - held
    simulator.clear_faults()
    assert backfill(settings, *BITCOIN, *TEN_DAYS)["inserted"] == ROWS - held
    assert held_candles(database_url, "BTC-PERPETUAL", WINDOW) == true_candles(simulator, "BTC-PERPETUAL", WINDOW)


def test_a_true_hole_stays_a_hole_and_the_day_is_red(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    hole = [parse_moment(f"2024-03-05T10:0{minute}Z", now=0) // 1_000 for minute in range(3)]
    simulator.set_faults([{"kind": "missing_minutes", "instrument": "BTC-PERPETUAL", "open_times": hole}])
    summary = backfill(settings, *BITCOIN, *TEN_DAYS)
    assert (summary["state"], summary["inserted"]) == ("done", ROWS - 3)
    red = "SELECT string_agg(day || ' ' || held || ' of ' || expected, ',') FROM series_days WHERE state = 'red'"
    assert one_value(database_url, red) == "2024-03-05 1437 of 1440"
    simulator.clear_faults()
    again = backfill(settings, *BITCOIN, *TEN_DAYS)
    assert (again["inserted"], again["requests"]) == (3, 1)
    assert one_value(database_url, red) is None


@pytest.mark.parametrize(
    "asked", ["BTC-PERPETUAL 2016-12-01 2018-08-14T10:24:00Z", "ETH-PERPETUAL 2017-06-26 2019-03-14T13:00:00Z"]
)
def test_a_start_before_the_listing_goes_on_from_there(
    asked: str, settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    instrument, start, first = asked.split()
    end = "2019-03-16"
    arguments = ["--instruments", instrument, "--start", start, "--end", end, "--resolution", "60"]
    output, _ = run_tapekeeper(["plan", "perpetuals", *arguments], settings)
    assert f"note: the venue's history of {instrument} begins at {first[:10]}" in output
    summary = backfill(settings, *arguments)
    assert summary["earliest"] == f"{first[:14]}00:00Z"
    assert summary["inserted"] == summary["requested"]
    window = Window(parse_moment(start, now=0), parse_moment(end, now=0))
    assert held_candles(database_url, instrument, window, 3_600) == true_candles(simulator, instrument, window, "60")


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (["--start", "2016-01-01", "--end", "2016-02-01"], "the venue's history begins at 2018-08-1"),
        (["--start", "2024-03-01T00:00:30Z", "--end", "2024-03-01T00:00:40Z"], "no row of 1m both begins there and"),
    ],
)
def test_a_window_without_a_candle_says_why(window: list[str], reason: str, settings: dict[str, str]) -> None:
    output, _ = run_tapekeeper(["plan", "perpetuals", *BITCOIN, *window, "--json"], settings)
    assert reason in json_of(output)["instruments"][0]["note"]


def test_a_database_that_is_away_before_the_run_is_told(settings: dict[str, str]) -> None:
    away = {**settings, "TAPEKEEPER_DATABASE_URL": "postgresql://postgres:secret@127.0.0.1:1/none"}
    _, errors = run_tapekeeper(["backfill", "perpetuals", *BITCOIN, *TEN_DAYS], away, exit_code=1)
    assert "PostgreSQL cannot be reached: check that it runs" in " ".join(errors.split())
    assert "secret" not in errors
    assert "Traceback" not in errors
