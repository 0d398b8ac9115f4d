"""Option dailies from end to end: no day is asked for twice, the hourly window is sat out, the list is compared.

What holds for every venue is in `venues/`.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from tapekeeper.clock import parse_moment
from tapekeeper.store.database import Database
from tests.support.command_line import json_of, run_tapekeeper, start_tapekeeper
from tests.support.simulator import Simulator
from tests.support.truth import Row, one_value, query

DATASET = "cryptodatadownload.option_candles"
OHLC = "v1/data/ohlc/deribit/options"
GENEROUS = {"calls": 100_000, "window_seconds": 3_600}
COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.fixture
def settings(database_url: str, simulator: Simulator) -> dict[str, str]:
    simulator.set_cryptodatadownload_limits(**GENEROUS)
    return {
        "TAPEKEEPER_DATABASE_URL": database_url,
        "TAPEKEEPER_CRYPTODATADOWNLOAD_URL": simulator.base_url,
        "TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY": "simulated-key",
        "TAPEKEEPER_CRYPTODATADOWNLOAD_CALLS_PER_HOUR": "100000",
        "TAPEKEEPER_HTTP_BACKOFF_FIRST_SECONDS": "0.05",
        "TAPEKEEPER_HTTP_BACKOFF_LONGEST_SECONDS": "1",
        "TAPEKEEPER_HTTP_ATTEMPTS_MAXIMUM": "50",
        "TAPEKEEPER_BACKFILL_ATTEMPTS_PER_CHUNK": "50",
    }


def asking(start: str, end: str, *further: str, currency: str = "ETH") -> list[str]:
    return ["backfill", "options", "--currency", currency, "--start", start, "--end", end, *further]


def backfill(settings: dict[str, str], *arguments: str) -> Any:
    output, _ = run_tapekeeper(asking(*arguments), settings)
    return json_of(output)


def held(url: str) -> list[Row]:
    return query(
        url,
        """
        SELECT name, open_time, open, high, low, close, volume
        FROM option_candles JOIN series USING (series_id) JOIN instruments USING (instrument_id)
        ORDER BY name COLLATE "C", open_time
        """,
    )


def told(simulator: Simulator, start: str, end: str) -> list[Row]:
    first, last = (parse_moment(text, now=0) // 1_000 for text in (start, end))
    truth = simulator.truth("cryptodatadownload/option_candles", currency="ETH", start=first, end=last)
    moments = [datetime.fromtimestamp(moment / 1_000, UTC) for moment in truth["time"]]
    return sorted(zip(truth["symbol"], moments, *(truth[name] for name in COLUMNS), strict=True))


def answered_days(url: str) -> dict[str, int]:
    """Return how often each day was answered."""
    asked = """
        SELECT parameters->>'date', count(*) FROM api_requests
        WHERE method = %s AND outcome = 'ok' GROUP BY 1
    """
    return dict(query(url, asked, OHLC))


def test_the_summary_tells_how_many_options_of_the_list_are_held(settings: dict[str, str], database_url: str) -> None:
    summary = backfill(settings, "2024-03-01", "2024-03-03")
    total, symbols = summary["totals"][DATASET], summary["symbols"]
    assert (total["state"], total["chunks_done"]) == ("done", 2)
    assert summary["records_per_second"] > 0
    rows = held(database_url)
    assert total["inserted"] == len(rows) > 200
    assert symbols["held"] == len({row[0] for row in rows})
    assert symbols["missing"] == symbols["available"] - symbols["held"] > 0
    assert len(symbols["examples"]) == 10
    assert one_value(database_url, "SELECT count(*) FROM cryptodatadownload_options_daily") == len(rows)


def test_the_hourly_window_is_waited_out_and_no_day_is_asked_for_twice(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    hasty = {**settings, "TAPEKEEPER_HTTP_INLINE_WAIT_LONGEST_SECONDS": "1"}
    simulator.set_cryptodatadownload_limits(calls=8, window_seconds=3_600)
    process = start_tapekeeper(asking("2024-03-01", "2024-03-21"), hasty)
    try:
        assert process.stderr is not None
        waits = next(line for line in process.stderr if line.startswith("going on in "))
        assert "throttled. Expected available in" in waits or "for our own rate budget" in waits
    finally:
        process.terminate()
        process.communicate()
    first = answered_days(database_url)
    assert len(first) == 6, "two calls were for the list"
    # Nobody asks before the hour is over; here it is over at once, and the next ones are short.
    with closing(Database(database_url)) as database:
        database.run(lambda cursor: cursor.execute("UPDATE rate_budgets SET blocked_until = clock_timestamp()"))
    simulator.set_cryptodatadownload_limits(calls=8, window_seconds=3)
    output, _ = run_tapekeeper(asking("2024-03-01", "2024-03-21"), hasty)
    assert json_of(output)["totals"][DATASET]["chunks_done"] == 14
    assert set(answered_days(database_url).values()) == {1}
    assert held(database_url) == told(simulator, "2024-03-01", "2024-03-21")
    again = backfill(settings, "2024-03-01", "2024-03-21")
    assert again["totals"][DATASET]["requests"] == 0
    assert sum(answered_days(database_url).values()) == 20


def test_without_a_key_nothing_is_asked(settings: dict[str, str], simulator: Simulator) -> None:
    del settings["TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY"]
    before = simulator.state()["requests_total"]
    _, errors = run_tapekeeper(["backfill", "options", "--currency", "ETH"], settings, exit_code=2)
    assert "set TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY to the key" in " ".join(errors.split())
    assert simulator.state()["requests_total"] == before
