"""Binance USD-M from end to end: the summary of all four kinds of data, and what the venue keeps no more.

What holds for every venue is in `venues/`.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds, parse_moment
from tapekeeper.model.gap import Cause
from tapekeeper.model.window import Window
from tapekeeper.store.candle_gaps import open_candle_gaps
from tapekeeper.store.database import Database
from tests.support.command_line import json_of, run_tapekeeper
from tests.support.simulator import Simulator
from tests.support.truth import one_value, query

DATASETS: Final = {
    "binance_um.candles": "candles",
    "binance_um.open_interest": "open_interest",
    "binance_um.agg_trades": "agg_trades",
    "binance_um.funding_rates": "funding_rates",
}


@pytest.fixture
def settings(database_url: str, simulator: Simulator) -> dict[str, str]:
    simulator.set_binance_limits(weight=100_000)
    return {
        "TAPEKEEPER_DATABASE_URL": database_url,
        "TAPEKEEPER_BINANCE_UM_REST_URL": simulator.base_url,
        "TAPEKEEPER_BINANCE_ARCHIVE_URL": simulator.base_url,
        "TAPEKEEPER_BINANCE_UM_WEIGHT_PER_MINUTE": "100000",
    }


def backfill(settings: dict[str, str], *arguments: str) -> Any:
    output, _ = run_tapekeeper(["backfill", "binance", *arguments], settings)
    return json_of(output)


def test_all_four_are_fetched_and_summed_up_in_one_line(settings: dict[str, str], database_url: str) -> None:
    before = now_microseconds()
    summary = backfill(settings, "--symbol", "BTCUSDT", "--window-days", "2")
    start, end = (parse_moment(summary[edge], now=0) for edge in ("start", "end"))
    assert before <= end <= now_microseconds()
    assert end - start == 2 * MICROSECONDS_PER_DAY
    assert set(summary["totals"]) == set(DATASETS)
    for name, table in DATASETS.items():
        total = summary["totals"][name]
        assert (total["state"], total["instruments"], total["errors"]) == ("done", ["BTCUSDT"], [])
        assert total["fetched"] == total["inserted"] == one_value(database_url, f"SELECT count(*) FROM {table}") > 0
    fetched = sum(total["fetched"] for total in summary["totals"].values())
    assert summary["records_per_second"] == pytest.approx(fetched / summary["seconds"], rel=0.01)


def test_an_interval_a_period_and_what_is_skipped_can_be_chosen(settings: dict[str, str], database_url: str) -> None:
    chosen = ["--skip-trades", "--skip-funding", "--interval", "1h", "--oi-period", "4h"]
    summary = backfill(settings, "--symbol", "BTCUSDT,ETHUSDT", "--window-days", "2", *chosen)
    inserted = {name: total["inserted"] for name, total in summary["totals"].items()}
    assert set(inserted) == {"binance_um.candles", "binance_um.open_interest"}
    # Both edges lie inside of a row, unless the clock strikes.
    assert 2 * 47 <= inserted["binance_um.candles"] <= 2 * 48
    assert 2 * 11 <= inserted["binance_um.open_interest"] <= 2 * 12
    resolutions = "SELECT dataset, resolution_seconds, count(*) FROM series GROUP BY 1, 2 ORDER BY 1"
    assert query(database_url, resolutions) == [
        ("binance_um.candles", 3_600, 2),
        ("binance_um.open_interest", 14_400, 2),
    ]


def test_without_files_what_the_venue_keeps_no_more_is_not_asked_for(
    settings: dict[str, str], database_url: str, simulator: Simulator
) -> None:
    settings["TAPEKEEPER_BINANCE_ARCHIVE_URL"] = ""
    backfill(settings, "--symbol", "LPTUSDT", "--window-days", "1", "--skip-candles", "--skip-trades", "--skip-funding")
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
