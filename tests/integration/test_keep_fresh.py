"""The live job: nothing that is followed is forgotten, and what goes wrong with one series ends only that one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds
from tapekeeper.errors import Stop
from tapekeeper.model.backfill import BackfillRequest, RunSummary
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.settings import DatabaseSettings, DeribitSettings, Settings
from tapekeeper.store import catalogue, run_summary, unfinished_runs
from tapekeeper.store.database import Database
from tapekeeper.store.series_lock import lock_series
from tests.support.truth import one_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.simulator import Simulator

DAY = MICROSECONDS_PER_DAY
HOUR = Resolution(3_600)
TODAY = now_microseconds() // DAY * DAY
LACKING = "SELECT coalesce(sum(expected - held), 0)::int FROM series_days"
RUNS = "SELECT count(*) FROM backfill_runs"


@pytest.fixture
def job(database_url: str, simulator: Simulator) -> Iterator[BackfillJob]:
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        deribit=DeribitSettings(rest_url=simulator.base_url, requests_per_second=18),
    )
    with BackfillJob(settings) as job:
        yield job


def request(
    days: tuple[int, int], *, instrument: str = "BTC-PERPETUAL", keep_fresh: bool = False, resolution: Resolution = HOUR
) -> BackfillRequest:
    """Return a request for whole days, counted from today."""
    window = Window(TODAY + days[0] * DAY, TODAY + days[1] * DAY)
    return BackfillRequest(DERIBIT_PERPETUAL_CANDLES, (instrument,), window, resolution, keep_fresh=keep_fresh)


def backfill(job: BackfillJob, asked: BackfillRequest, key: str) -> RunSummary:
    run_id = job.start(job.plan(asked), key)
    job.work(run_id)
    return job.finish(run_id)


def keep_fresh(job: BackfillJob, turn: str) -> list[RunSummary]:
    return job.keep_fresh(DERIBIT_PERPETUAL_CANDLES, "live", turn)


def test_newer_rows_of_another_backfill_hide_nothing_that_is_followed(job: BackfillJob, database_url: str) -> None:
    backfill(job, request((-30, -20), keep_fresh=True), "old")
    backfill(job, request((-3, -1)), "new")
    keep_fresh(job, "first")
    assert one_value(database_url, "SELECT count(*) FROM series_days WHERE day < CURRENT_DATE") >= 30
    assert one_value(database_url, LACKING) == 0


def test_a_day_that_was_planned_before_it_was_over_is_looked_at_again(job: BackfillJob, database_url: str) -> None:
    half_a_day = Window(TODAY - 30 * DAY, TODAY - 20 * DAY - DAY // 2)
    backfill(job, BackfillRequest(DERIBIT_PERPETUAL_CANDLES, ("BTC-PERPETUAL",), half_a_day, HOUR), "old")
    with closing(Database(database_url)) as database:
        # As a plan of that moment left it: followed from then on, and expected up to then.
        database.run(lambda cursor: cursor.execute("UPDATE followed SET window_end = NULL"))
    backfill(job, request((-3, -1)), "new")
    keep_fresh(job, "first")
    assert one_value(database_url, "SELECT count(*) FROM series_days WHERE day < CURRENT_DATE AND held < 24") == 0


def test_a_young_hole_is_looked_for_again(job: BackfillJob, database_url: str, simulator: Simulator) -> None:
    hole = [(TODAY - DAY + hours * HOUR.microseconds) // 1_000 for hours in (10, 11)]
    minutes = [start + minute * 60_000 for start in hole for minute in range(60)]
    simulator.set_faults([{"kind": "missing_minutes", "instrument": "BTC-PERPETUAL", "open_times": minutes}])
    backfill(job, request((-4, 0), keep_fresh=True), "old")
    assert one_value(database_url, LACKING) == 2
    simulator.clear_faults()
    keep_fresh(job, "first")
    assert one_value(database_url, LACKING) == 0


def test_series_of_two_resolutions_are_both_kept_fresh_and_no_run_is_made_for_nothing(
    job: BackfillJob, database_url: str
) -> None:
    for resolution in (Resolution(43_200), Resolution(86_400)):
        backfill(job, request((-9, -5), keep_fresh=True, resolution=resolution), str(resolution))
    assert len(keep_fresh(job, "first")) == 2
    assert one_value(database_url, LACKING) == 0
    before = one_value(database_url, RUNS)
    keep_fresh(job, "first")
    assert one_value(database_url, RUNS) == before, "the same turn again does nothing again"


def test_what_failed_in_a_turn_is_told_again_when_the_turn_goes_on_after_a_wait(
    job: BackfillJob, simulator: Simulator
) -> None:
    backfill(job, request((-9, -5), keep_fresh=True), "old")
    wrong = {"kind": "wrong_window", "instrument": "BTC-PERPETUAL", "method": "get_tradingview_chart_data"}
    simulator.set_faults([wrong])
    for _ in range(2):
        with pytest.raises(Stop, match="1 times something went wrong, first: BTC-PERPETUAL"):
            keep_fresh(job, "first")
        simulator.clear_faults()
    assert keep_fresh(job, "next")[0].state == "done"


def test_an_instrument_that_the_venue_no_longer_knows_ends_only_its_own_series(
    job: BackfillJob, database_url: str
) -> None:
    backfill(job, request((-9, -5), instrument="ETH-PERPETUAL", keep_fresh=True), "old")
    gone = Instrument("deribit", "AAA-PERPETUAL", "perpetual", "AAA", listed_at=TODAY - 100 * DAY)

    def follow(cursor: Any) -> None:
        series = catalogue.ensure_series(cursor, DERIBIT_PERPETUAL_CANDLES, gone, HOUR)
        lock_series(cursor, series.series_id)
        catalogue.follow(
            cursor, series.series_id, Window(TODAY - DAY, TODAY), keep_fresh=True, reason="before it was delisted"
        )

    with closing(Database(database_url)) as database:
        database.run(follow)
    with pytest.raises(Stop, match="1 times something went wrong, first: Deribit knows no instrument 'AAA-PERPETUAL'"):
        keep_fresh(job, "first")
    assert one_value(database_url, LACKING) == 0
    assert one_value(database_url, "SELECT count(*) FROM series_days WHERE instrument = 'ETH-PERPETUAL'") >= 9
    with closing(Database(database_url)) as database:
        noted = "UPDATE instruments SET delisted_at = now() WHERE name = 'AAA-PERPETUAL'"
        database.run(lambda cursor: cursor.execute(noted))
    keep_fresh(job, "once it is noted that it was delisted")


def test_what_a_killed_turn_left_is_gone_on_with(job: BackfillJob, database_url: str) -> None:
    run_id = job.start(job.plan(request((-9, 0), keep_fresh=True)), "live/killed/BTC-PERPETUAL/1h")
    summaries = keep_fresh(job, "next")
    assert (summaries[0].run_id, summaries[0].state) == (run_id, "done")
    assert one_value(database_url, LACKING) == 0
    assert one_value(database_url, f"{RUNS} WHERE state = 'running'") == 0


def test_a_run_that_nobody_goes_on_with_is_given_up_and_one_that_waits_is_not(
    job: BackfillJob, database_url: str
) -> None:
    planned = job.plan(request((-3, -1)))
    killed, waiting, young = (job.start(planned, key) for key in ("killed", "waiting", "young"))

    def age(cursor: Any) -> None:
        cursor.execute(
            "UPDATE backfill_runs SET created_at = created_at - interval '25 hours' WHERE run_id <> %s", (young,)
        )
        cursor.execute(
            "UPDATE backfill_chunks SET not_before = now() + interval '1 hour' WHERE run_id = %s", (waiting,)
        )
        unfinished_runs.give_up_abandoned(cursor, DERIBIT_PERPETUAL_CANDLES)

    with closing(Database(database_url)) as database:
        database.run(age)
        summaries = [
            database.run(lambda cursor, run_id=run_id: run_summary.summarise(cursor, run_id))  # type: ignore[misc]
            for run_id in (killed, waiting, young)
        ]
    assert [summary.state for summary in summaries] == ["failed", "running", "running"]
    assert "nobody went on with it for 24 hours: ask for the same again" in summaries[0].errors[0]
