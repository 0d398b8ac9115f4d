"""Binance USD-M from end to end: what lands equals the truth, no limit is overrun, and a ban stops everybody."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds
from tapekeeper.model.gap import Cause
from tapekeeper.model.window import Window
from tapekeeper.store.candle_gaps import open_candle_gaps
from tapekeeper.store.database import Database
from tests.support.command_line import json_of, run_tapekeeper, start_tapekeeper
from tests.support.processes import wait_for
from tests.support.simulator import Simulator
from tests.support.truth import Row, one_value, query

MILLISECONDS_PER_DAY = 86_400_000
TABLES = ("candles", "open_interest")
COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "count")
STORM: list[dict[str, Any]] = [
    {"kind": kind, "probability": 0.1, "service": "binance_um", "method": method}
    for method in ("fapi/v1/klines", "futures/data/openInterestHist")
    for kind in ("server_error", "cut", "truncated", "malformed", "wrong_window")
] + [{"kind": "bad_candle", "probability": 0.1, "service": "binance_um", "method": "fapi/v1/klines"}]


@pytest.fixture
def settings(database_url: str, simulator: Simulator) -> dict[str, str]:
    simulator.set_binance_limits(weight=100_000)
    return {
        "TAPEKEEPER_DATABASE_URL": database_url,
        "TAPEKEEPER_BINANCE_UM_REST_URL": simulator.base_url,
        "TAPEKEEPER_BINANCE_UM_WEIGHT_PER_MINUTE": "100000",
        "TAPEKEEPER_HTTP_TIMEOUT_SECONDS": "5",
        "TAPEKEEPER_HTTP_BACKOFF_FIRST_SECONDS": "0.05",
        "TAPEKEEPER_HTTP_BACKOFF_LONGEST_SECONDS": "1",
        "TAPEKEEPER_HTTP_ATTEMPTS_MAXIMUM": "50",
        "TAPEKEEPER_BACKFILL_ATTEMPTS_PER_CHUNK": "50",
    }


def backfill(settings: dict[str, str], *arguments: str, exit_code: int = 0) -> Any:
    output, _ = run_tapekeeper(["backfill", "binance", *arguments], settings, exit_code=exit_code)
    return json_of(output)


@contextmanager
def started(arguments: list[str], settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the command, and end it if it has not ended by itself."""
    process = start_tapekeeper(arguments, settings)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def held(url: str, symbol: str) -> list[Row]:
    return query(
        url,
        """
        SELECT open_time, open, high, low, close, volume, cost, trade_count
        FROM candles JOIN series USING (series_id) JOIN instruments USING (instrument_id)
        WHERE venue = 'binance_um' AND name = %s ORDER BY open_time
        """,
        symbol,
    )


def held_open_interest(url: str, symbol: str) -> list[Row]:
    return query(
        url,
        """
        SELECT event_time, open_interest, open_interest_value
        FROM open_interest JOIN series USING (series_id) JOIN instruments USING (instrument_id)
        WHERE venue = 'binance_um' AND name = %s ORDER BY event_time
        """,
        symbol,
    )


def told_open_interest(simulator: Simulator, symbol: str, rows: list[Row]) -> list[Row]:
    """Return the truth between the first and the last row that is held."""
    first, last = (round(row[0].timestamp() * 1_000) for row in (rows[0], rows[-1]))
    truth = simulator.truth("binance_um/open_interest", symbol=symbol, period="5m", start=first, end=last + 1)
    moments = [datetime.fromtimestamp(moment / 1_000, UTC) for moment in truth["time"]]
    return list(zip(moments, truth["open_interest"], truth["open_interest_value"], strict=True))


def told(simulator: Simulator, symbol: str, rows: list[Row]) -> list[Row]:
    """Return the truth between the first and the last row that is held."""
    first, last = (round(row[0].timestamp() * 1_000) for row in (rows[0], rows[-1]))
    truth = simulator.truth("binance_um/klines", symbol=symbol, interval="1m", start=first, end=last + 1)
    moments = [datetime.fromtimestamp(moment / 1_000, UTC) for moment in truth["open_time"]]
    return list(zip(moments, *(truth[column] for column in COLUMNS), strict=True))


def test_what_lands_through_a_storm_equals_the_truth_and_again_nothing_changes(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    simulator.set_faults(STORM)
    asked = ["--symbol", "BTCUSDT,ETHUSDT", "--window-days", "5"]
    summary = backfill(settings, *asked)
    candles, open_interest = (summary["totals"][f"binance_um.{name}"] for name in ("candles", "open_interest"))
    assert candles["inserted"] == candles["requested"] >= 2 * (5 * 1_440 - 1)
    assert candles["requests"] > candles["chunks_done"], "the storm was felt"
    assert candles["state"] == open_interest["state"] == "done"
    assert summary["records_per_second"] > 0
    simulator.clear_faults()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rows = held(database_url, symbol)
        assert rows == told(simulator, symbol, rows)
        points = held_open_interest(database_url, symbol)
        assert points == told_open_interest(simulator, symbol, points)
    versions = {table: query(database_url, f"SELECT xmin, ctid::text FROM {table} ORDER BY 2") for table in TABLES}
    again = backfill(settings, *asked, "--full-refresh")
    assert [total["updated"] for total in again["totals"].values()] == [0, 0]
    for table, before in versions.items():
        assert set(before) <= set(query(database_url, f"SELECT xmin, ctid::text FROM {table}")), (
            "no row was written again"
        )


def test_what_the_venue_lacks_is_found_asked_for_twice_and_then_explained(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    yesterday = int(time.time() * 1_000) // MILLISECONDS_PER_DAY * MILLISECONDS_PER_DAY - MILLISECONDS_PER_DAY
    minutes = [yesterday + minute * 60_000 for minute in (700, 701, 900)]
    omitted = {"dataset": "open_interest", "times": [yesterday + 300_000 * period for period in (100, 101, 102)]}
    simulator.set_faults(
        [
            {"kind": "missing_minutes", "instrument": "SOLUSDT", "open_times": minutes},
            {"kind": "omitted_periods", "instrument": "SOLUSDT", **omitted},
        ]
    )
    backfill(settings, "--symbol", "SOLUSDT", "--window-days", "3")
    check = ["check", "--dataset", "binance_um.candles", "--dataset", "binance_um.open_interest", "--window", "7d"]
    run_tapekeeper(check, settings, exit_code=1)
    # Open interest that is left out is never told later, so the second look follows at once; candles wait for a day.
    run_tapekeeper(["repair"], settings)
    left = "SELECT gap_id, dataset FROM data_gaps JOIN series USING (series_id) WHERE closed_at IS NULL"
    waiting = query(database_url, left)
    assert {dataset for _, dataset in waiting} == {"binance_um.candles"}
    for gap_id, _ in waiting:
        run_tapekeeper(["repair", str(gap_id)], {**settings, "TAPEKEEPER_REPAIR_PERMANENT_AFTER_HOURS": "0"})
    run_tapekeeper(check, settings)
    lost: dict[str, int] = dict(
        query(
            database_url,
            """
            SELECT dataset, sum(missing) FROM data_gaps JOIN series USING (series_id)
            WHERE state = 'permanent' GROUP BY dataset
            """,
        )
    )
    assert lost["binance_um.candles"] == 3
    assert lost["binance_um.open_interest"] >= 3, "quiet periods are left out by themselves, too"
    assert one_value(database_url, "SELECT count(*) FROM series_days WHERE state = 'red'") == 0
    assert one_value(database_url, "SELECT sum(explained) FROM coverage") == sum(lost.values())


def test_what_the_venue_keeps_no_more_is_not_asked_for(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    backfill(settings, "--symbol", "LPTUSDT", "--window-days", "1", "--skip-candles")
    old = now_microseconds() // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY - 40 * MICROSECONDS_PER_DAY
    with closing(Database(database_url)) as database:
        database.run(
            lambda cursor: open_candle_gaps(
                cursor, 1, [Window(old, old + 900_000_000)], cause=Cause.UNKNOWN, by="test", evidence={}
            )
        )
    asked = simulator.state()["requests"]
    run_tapekeeper(["repair"], settings)
    assert simulator.state()["requests"] == asked
    assert query(database_url, "SELECT state, missing FROM data_gaps") == [("permanent", 3)]


def test_a_ban_stops_every_process(settings: dict[str, str], database_url: str, simulator: Simulator) -> None:
    hasty = {**settings, "TAPEKEEPER_HTTP_INLINE_WAIT_LONGEST_SECONDS": "1"}
    year = ["backfill", "binance", "--symbol", "BTCUSDT", "--window-days", "365"]
    with started(year, hasty) as process:
        wait_for(lambda: one_value(database_url, "SELECT count(*) FROM backfill_chunks WHERE state = 'done'") >= 3)
        simulator.set_faults(
            [{"kind": "too_many_requests", "service": "binance_um", "status": 418, "retry_after": 600}]
        )
        assert process.stderr is not None
        # It was under way; all of its workers know by now.
        assert any(line.startswith("going on in ") for line in process.stderr)
        asked = simulator.state()["requests"]
        # Another one that begins now does not even ask.
        _, errors = run_tapekeeper(["backfill", "binance", "--symbol", "ETHUSDT"], hasty, exit_code=1)
        assert "for our own rate budget" in errors
        assert simulator.state()["requests"] == asked
    assert simulator.state()["binance_um"]["refused"]["418"] <= 4, "one for each worker that was asking already"
    assert "our address is banned" in query(database_url, "SELECT reason FROM api_requests WHERE status = 418")[0][0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--symbol", "BTCUSD"], "knows no instrument 'BTCUSD': did you mean BTCUSDT"),
        (["--symbol", "BTCUSDT", "--interval", "1w"], "'1w' is not an interval of Binance: type one of 1m, 3m"),
        (["--symbol", " "], "no instrument is chosen: choose at least one, such as BTCUSDT"),
        (["--symbol", "BTCUSDT", "--window-days", "0"], "is not in the range"),
    ],
)
def test_a_wrong_question_is_answered_with_what_to_type(
    settings: dict[str, str], arguments: list[str], sentence: str
) -> None:
    _, errors = run_tapekeeper(["backfill", "binance", *arguments], settings, exit_code=2)
    assert sentence in " ".join(errors.split())
