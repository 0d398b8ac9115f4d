"""The live job with data that have no resolution to ask for: trades, and funding whose interval changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from pydantic import SecretStr

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.clock import from_microseconds, now_microseconds, parse_moment, to_microseconds
from tapekeeper.model.backfill import BackfillRequest
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, BINANCE_UM_FUNDING_RATES
from tapekeeper.model.window import Window
from tapekeeper.settings import BinanceArchiveSettings, BinanceUmSettings, DatabaseSettings, Settings
from tests.support.truth import Row, one_value, query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekeeper.model.backfill import RunSummary
    from tapekeeper.model.series import Dataset
    from tests.support.simulator import Simulator

HOUR: Final = 3_600_000_000
NO_RESOLUTION: Final = Resolution(0)
TOLD: Final = "SELECT window_start, window_end FROM told_windows"
LAST_RUN: Final = "SELECT max(run_id) FROM backfill_runs"
ASKED: Final = "SELECT window_start FROM api_requests WHERE run_id > %s AND window_start IS NOT NULL"


@pytest.fixture
def job(database_url: str, simulator: Simulator) -> Iterator[BackfillJob]:
    simulator.set_binance_limits(weight=100_000)
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        binance_um=BinanceUmSettings(rest_url=simulator.base_url, weight_per_minute=100_000),
        binance_archive=BinanceArchiveSettings(url=""),
    )
    with BackfillJob(settings) as job:
        yield job


def follow(job: BackfillJob, dataset: Dataset, name: str, window: Window) -> RunSummary:
    """Backfill a window and let it be kept fresh."""
    asked = BackfillRequest(dataset, (name,), window, NO_RESOLUTION, keep_fresh=True)
    run_id = job.start(job.plan(asked), "asked")
    job.work(run_id)
    return job.finish(run_id)


def truth(simulator: Simulator, what: str, name: str, start: int, end: int) -> list[float]:
    """Return what identifies each row that the venue has."""
    told = simulator.truth(f"binance_um/{what}", symbol=name, start=start // 1_000, end=end // 1_000)
    column = {"agg_trades": "agg_trade_id", "funding_rates": "time"}[what]
    return list(told[column])


def test_trades_are_kept_fresh_from_where_they_were_told(
    job: BackfillJob, database_url: str, simulator: Simulator
) -> None:
    now = now_microseconds()
    window = Window(now - 3 * HOUR, now - 2 * HOUR)
    follow(job, BINANCE_UM_AGG_TRADES, "BTCUSDT", window)
    told_until = to_microseconds(one_value(database_url, "SELECT max(window_end) FROM told_windows"))
    for turn in ("first", "second"):
        last_run = one_value(database_url, LAST_RUN)
        job.keep_fresh(BINANCE_UM_AGG_TRADES, "live", turn)
        asked = [to_microseconds(start) for (start,) in query(database_url, ASKED, last_run)]
        assert all(start >= told_until for start in asked), "nothing is asked for that was told"
        assert asked or turn == "second"
        [(start, end)] = query(database_url, TOLD)
        told_until = to_microseconds(end)
        held = query(database_url, "SELECT agg_trade_id FROM agg_trades ORDER BY 1")
        assert [number for (number,) in held] == truth(
            simulator, "agg_trades", "BTCUSDT", to_microseconds(start), told_until
        )
    assert told_until > now - 3 * 60_000_000
    assert one_value(database_url, "SELECT sum(untold) FROM coverage") == 0


def test_a_stretch_that_could_not_be_told_is_asked_for_again(
    job: BackfillJob, database_url: str, simulator: Simulator
) -> None:
    now = now_microseconds()
    fault = {"kind": "malformed", "service": "binance_um", "method": "fapi/v1/aggTrades"}
    simulator.set_faults([{**fault, "from_request": 1, "to_request": 1}])
    hasty = job._settings.model_copy(update={"http": job._settings.http.model_copy(update={"attempts_maximum": 1})})
    with BackfillJob(hasty) as impatient:
        failed = follow(impatient, BINANCE_UM_AGG_TRADES, "BTCUSDT", Window(now - 4 * HOUR, now - 2 * HOUR))
    assert (failed.state, failed.chunks_failed) == ("failed", 1)
    assert one_value(database_url, "SELECT sum(untold) FROM coverage") >= 1
    simulator.clear_faults()
    job.keep_fresh(BINANCE_UM_AGG_TRADES, "live", "next")
    assert one_value(database_url, "SELECT sum(untold) FROM coverage") == 0
    [(start, end)] = query(database_url, TOLD)
    held = one_value(database_url, "SELECT count(*) FROM agg_trades")
    assert held == len(truth(simulator, "agg_trades", "BTCUSDT", to_microseconds(start), to_microseconds(end)))


def followed(url: str) -> list[Row]:
    return query(
        url,
        """
        SELECT resolution_seconds / 3600, window_start, window_end FROM followed JOIN series USING (series_id)
        ORDER BY 1 DESC
        """,
    )


def test_a_change_of_the_interval_ends_the_following_of_the_old_series(
    job: BackfillJob, database_url: str, simulator: Simulator
) -> None:
    due = (now_microseconds() - HOUR // 60) // (4 * HOUR) * 4 * HOUR
    window = Window(parse_moment("2023-10-01", now=0), parse_moment("2023-10-10", now=0))
    follow(job, BINANCE_UM_FUNDING_RATES, "TRBUSDT", window)
    start = from_microseconds(window.start)
    assert followed(database_url) == [(8, start, None)]
    job.keep_fresh(BINANCE_UM_FUNDING_RATES, "live", "first")
    (_, _, changed_at), (four, begun_at, end) = followed(database_url)
    assert (four, end) == (4, None)
    assert begun_at.date() == changed_at.date() == from_microseconds(parse_moment("2023-10-17", now=0)).date()
    last_run = one_value(database_url, LAST_RUN)
    job.keep_fresh(BINANCE_UM_FUNDING_RATES, "live", "second")
    # A payment may have come meanwhile.
    asked = query(database_url, ASKED, last_run)
    assert all(to_microseconds(each) > due for (each,) in asked)
    newest = to_microseconds(one_value(database_url, "SELECT max(due_at) FROM funding_rates"))
    held = query(database_url, "SELECT (extract(epoch FROM paid_at) * 1000)::bigint FROM funding_rates ORDER BY due_at")
    assert [moment for (moment,) in held] == truth(simulator, "funding_rates", "TRBUSDT", window.start, newest + HOUR)
    assert newest >= due, "a rate is fetched when it is paid"
    late = "SELECT count(*) FROM coverage JOIN series USING (series_id) WHERE resolution_seconds = 28800 AND day > %s"
    assert query(database_url, late, changed_at.date()) == [(0,)], "nothing is expected of the old series any more"
    assert one_value(database_url, "SELECT count(*) FROM series_days WHERE state NOT IN ('complete', 'running')") == 0
