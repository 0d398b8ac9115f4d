"""No false alarm: of a healthy market nothing is told by any check."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    CANDLE_DATASETS,
    DATASETS,
    DERIBIT_OPTION_TRADES,
    GRID_DATASETS,
    dataset_named,
)
from tapekeeper.model.window import Window
from tapekeeper.quality.checks import CHECKS
from tapekeeper.store import ticks
from tapekeeper.store.database import Database, connect
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tests.support import futures_market, market, option_market

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

ASKED = [
    (dataset, check.name)
    for check in CHECKS.values()
    for dataset in check.datasets
    # A venue is asked elsewhere.
    if check.name != "refetch"
]
NOTHING_TO_JUDGE = {
    # There is no hole that could be long, and three days are no history.
    *((dataset, "long_gaps") for dataset in GRID_DATASETS),
    (DERIBIT_OPTION_TRADES.name, "anomaly"),
}


@pytest.fixture(scope="module")
def cursor(module_database_url: str) -> Iterator[Cursor]:
    """A healthy market of all datasets, in a transaction that is rolled back."""
    with closing(Database(module_database_url, prepare=INCOMING_GRID_TABLES)) as database:
        for dataset in CANDLE_DATASETS:
            database.run(partial(market.healthy_market, dataset=dataset_named(dataset)))
        database.run(market.healthy_open_interest)
    with closing(Database(module_database_url, prepare=futures_market.PREPARE)) as database:
        database.run(futures_market.healthy_agg_trades)
        database.run(futures_market.healthy_funding_rates)
        database.run(futures_market.healthy_option_candles)
    with closing(Database(module_database_url, prepare=ticks.INCOMING_TABLES)) as database:
        database.run(option_market.healthy_options)
    with closing(connect(module_database_url)) as connection, connection.cursor() as cursor:
        yield cursor


def everything(dataset: str) -> tuple[Window, int]:
    """Return the window and the moment of the data of a dataset."""
    if dataset in (*GRID_DATASETS, BINANCE_UM_AGG_TRADES.name):
        return market.ALL_DAYS, market.NOW
    return option_market.ALL_DAYS, option_market.NOW


@pytest.mark.parametrize(("dataset", "check"), ASKED)
def test_everything_is_green(cursor: Cursor, dataset: str, check: str) -> None:
    window, now = everything(dataset)
    found = market.ask(cursor, check, dataset_named(dataset), window, now=now, is_everything=True)
    assert (found.found, found.sample, found.holes, found.bad_rows) == (0, (), (), ())
    assert (found.checked > 0) == ((dataset, check) not in NOTHING_TO_JUDGE)


@pytest.mark.parametrize(("dataset", "check"), ASKED)
@pytest.mark.parametrize("days", [1, 2])
def test_the_last_days_are_green(cursor: Cursor, dataset: str, check: str, days: int) -> None:
    _, now = everything(dataset)
    found = market.ask(cursor, check, dataset_named(dataset), Window(now - days * market.DAY, now), now=now)
    assert (found.found, found.sample) == (0, ())


@pytest.mark.parametrize(("dataset", "check"), ASKED)
def test_a_window_without_anything_is_green(cursor: Cursor, dataset: str, check: str) -> None:
    window, now = everything(dataset)
    before = Window(window.start - 90 * market.DAY, window.start - 60 * market.DAY)
    found = market.ask(cursor, check, dataset_named(dataset), before, now=now)
    assert (found.found, found.sample) == (0, ())


def test_every_dataset_is_asked_whether_it_is_complete_and_fresh() -> None:
    for name in ("row_counts", "freshness", "exact_count"):
        assert set(CHECKS[name].datasets) == set(DATASETS)


def test_every_check_asks_a_question_of_its_own() -> None:
    assert all(check.name == name and check.question.endswith("?") for name, check in CHECKS.items())
    assert len({check.question for check in CHECKS.values()}) == len(CHECKS)
