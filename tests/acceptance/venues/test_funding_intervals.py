"""Funding of instruments whose interval is not the usual one, or changed: a series for each, and all rates are held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.clock import now_microseconds, parse_moment
from tapekeeper.model.backfill import BackfillRequest
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_FUNDING_RATES
from tapekeeper.model.window import Window
from tapekeeper.settings import read_settings
from tests.acceptance.venues import binance_um
from tests.acceptance.venues.scene import PATIENT
from tests.acceptance.venues.subject import Followed
from tests.support.truth import Row, one_value, query

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

HOUR: Final = 3_600
BY_INTERVAL: Final = """
    SELECT resolution_seconds, min(due_at), max(due_at), count(*) FROM funding_rates JOIN series USING (series_id)
    GROUP BY 1 ORDER BY 1 DESC
"""


def asked(start: str, end: str) -> Window:
    return Window(parse_moment(start, now=0), parse_moment(end, now=0))


def backfill(url: str, simulator: Simulator, name: str, window: Window) -> None:
    settings = read_settings({"TAPEKEEPER_DATABASE_URL": url, **PATIENT, **binance_um.settings(simulator)})
    request = BackfillRequest(BINANCE_UM_FUNDING_RATES, (name,), window, Resolution(0))
    with BackfillJob(settings) as job:
        run_id = job.start(job.plan(request), f"test/{now_microseconds()}")
        job.work(run_id)
        assert job.finish(run_id).state == "done"


def held(url: str) -> list[Row]:
    return query(url, "SELECT due_at, paid_at, funding_rate, mark_price FROM funding_rates ORDER BY due_at")


def test_a_change_of_the_interval_makes_two_series_that_are_both_complete(
    database_url: str, simulator: Simulator
) -> None:
    window = asked("2023-10-01", "2023-11-05")
    backfill(database_url, simulator, "TRBUSDT", window)
    truth = binance_um.true_funding_rates(simulator, Followed(0, "TRBUSDT", window))
    assert held(database_url) == truth
    assert any(mark is None for *_, mark in truth), "rates before November 2023 have no mark price"
    assert any(mark is not None for *_, mark in truth)
    (eight, _, last_of_eight, _), (four, first_of_four, *_) = query(database_url, BY_INTERVAL)
    assert (eight, four) == (8 * HOUR, 4 * HOUR)
    assert last_of_eight < first_of_four
    assert (first_of_four - last_of_eight).total_seconds() == 4 * HOUR
    assert set(query(database_url, "SELECT state FROM series_days")) == {("complete",)}
    assert one_value(database_url, "SELECT sum(expected) FROM coverage") == len(truth)
    # Whoever looks for one interval finds the rates of both.
    assert one_value(database_url, "SELECT count(*) FROM binance_um_funding_rates") == len(truth)


@pytest.mark.parametrize(("name", "hours"), [("LPTUSDT", 4), ("MYXUSDT", 1)])
def test_an_interval_of_its_own_is_found(name: str, hours: int, database_url: str, simulator: Simulator) -> None:
    window = asked("2026-03-01", "2026-03-11")
    backfill(database_url, simulator, name, window)
    rows = held(database_url)
    assert rows == binance_um.true_funding_rates(simulator, Followed(0, name, window))
    assert len(rows) == 10 * 24 // hours
    assert [row[0] for row in query(database_url, BY_INTERVAL)] == [hours * HOUR]
