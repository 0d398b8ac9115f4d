"""Rows compared with what the venue tells now: differences are named, and a venue that is silent proves nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import SecretStr

from tapekeeper.clock import from_microseconds, parse_moment, to_microseconds
from tapekeeper.errors import RetryLater
from tapekeeper.model.candle import Candles
from tapekeeper.model.series import DERIBIT_OPTION_TRADES, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import Findings, Scope
from tapekeeper.quality.checks.refetch import Refetch
from tapekeeper.settings import DatabaseSettings, DeribitSettings, HttpSettings, QualitySettings, Settings
from tapekeeper.store.database import Database, connect
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tests.support.desk import Desk
from tests.support.market import DAY, follow, hold, perpetual
from tests.support.truth import true_candles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tests.support.simulator import Simulator

START = parse_moment("2024-03-01", now=0)
TWO_DAYS = Window(START, START + 2 * DAY)
NAME = "BTC-PERPETUAL"


@pytest.fixture(scope="module")
def series_id(module_database_url: str, simulator_process: Simulator) -> int:
    """Two days of the venue's own candles."""
    rows = list(zip(*true_candles(simulator_process, NAME, TWO_DAYS), strict=True))
    open_time = np.array([int(moment.timestamp()) * 1_000_000 for moment in rows[0]])
    candles = Candles(open_time, *(np.array(column) for column in rows[1:]))

    def write(cursor: Cursor) -> int:
        series_id = follow(cursor, perpetual(NAME), TWO_DAYS)
        hold(cursor, series_id, candles)
        return series_id

    with closing(Database(module_database_url, prepare=INCOMING_GRID_TABLES)) as database:
        return database.run(write)


@pytest.fixture
def cursor(module_database_url: str, series_id: int) -> Iterator[Cursor]:
    with closing(connect(module_database_url)) as connection, connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def settings(module_database_url: str, simulator: Simulator) -> Settings:
    return Settings(
        database=DatabaseSettings(url=SecretStr(module_database_url)),
        deribit=DeribitSettings(rest_url=simulator.base_url, requests_per_second=100),
        http=HttpSettings(attempts_maximum=2, backoff_first_seconds=0.01),
        quality=QualitySettings(refetch_windows=2),
    )


def refetched(cursor: Cursor, settings: Settings, window: Window = TWO_DAYS) -> Findings:
    return Refetch().run(cursor, Scope(DERIBIT_PERPETUAL_CANDLES, window, START + 30 * DAY, settings, seed="test"))


def test_what_the_venue_tells_again_is_green(cursor: Cursor, settings: Settings) -> None:
    found = refetched(cursor, settings)
    assert (found.checked, found.found) == (2_880, 0)
    assert found.figures == {"windows": 2, "windows_not_told": 0}


def test_what_differs_is_named(cursor: Cursor, settings: Settings, series_id: int) -> None:
    moment = from_microseconds(START + DAY // 2)
    cursor.execute(
        "UPDATE candles SET volume = volume + 1, cost = cost + 2 WHERE series_id = %s AND open_time = %s "
        "RETURNING volume",
        (series_id, moment),
    )
    ((volume,),) = cursor.fetchall()
    found = refetched(cursor, settings)
    assert found.found == 1
    (row,) = found.sample
    assert (row["instrument"], row["open_time"], row["differs"]) == (NAME, "2024-03-01T12:00:00Z", "volume, cost")
    assert isinstance(row["held"], dict)
    assert isinstance(row["told"], dict)
    assert (row["held"]["volume"], row["told"]["volume"]) == (volume, pytest.approx(volume - 1))


def test_what_contradicts_itself_is_told_by_another_check(cursor: Cursor, settings: Settings, series_id: int) -> None:
    moment = from_microseconds(START + DAY // 2)
    cursor.execute("UPDATE candles SET high = low / 2 WHERE series_id = %s AND open_time = %s", (series_id, moment))
    found = refetched(cursor, settings)
    assert (found.checked, found.found) == (2_879, 0)


def test_what_the_venue_has_no_more_is_named(cursor: Cursor, settings: Settings, simulator: Simulator) -> None:
    missing = (START + DAY // 2) // 1_000
    simulator.set_faults([{"kind": "missing_minutes", "open_times": [missing]}])
    found = refetched(cursor, settings)
    assert [(row["open_time"], row["differs"]) for row in found.sample] == [
        ("2024-03-01T12:00:00Z", "the venue does not tell it")
    ]


def test_what_we_do_not_hold_is_a_hole_and_no_difference(cursor: Cursor, settings: Settings, series_id: int) -> None:
    cursor.execute("DELETE FROM candles WHERE series_id = %s AND extract(minute FROM open_time) = 7", (series_id,))
    found = refetched(cursor, settings)
    assert (found.checked, found.found) == (2_880 - 48, 0)


def test_a_venue_that_tells_nothing_proves_nothing(cursor: Cursor, settings: Settings, simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "no_data"}])
    found = refetched(cursor, settings)
    assert (found.checked, found.found, found.figures["windows_not_told"]) == (0, 0, 2)
    cursor.execute("UPDATE instruments SET name = 'GONE-PERPETUAL'")
    simulator.clear_faults()
    assert refetched(cursor, settings).figures["windows_not_told"] == 2


def test_a_venue_that_cannot_be_asked_is_an_error(cursor: Cursor, settings: Settings, simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "server_error"}])
    with pytest.raises(RetryLater):
        refetched(cursor, settings)


def test_nothing_is_asked_where_nothing_is_held(cursor: Cursor, settings: Settings, simulator: Simulator) -> None:
    asked_before = simulator.state()["requests"]
    assert refetched(cursor, settings, Window(START - 5 * DAY, START - 3 * DAY)) == Findings(0, 0, {"windows": 0})
    trades = Scope(DERIBIT_OPTION_TRADES, TWO_DAYS, START + 30 * DAY, settings)
    assert Refetch().run(cursor, trades) == Findings(0, 0, {"windows": 0})
    assert simulator.state()["requests"] == asked_before


def test_trades_are_compared_by_their_numbers(cursor: Cursor, settings: Settings, simulator: Simulator) -> None:
    desk = Desk(settings.database.url.get_secret_value(), simulator)
    desk.collect_trades(desk.option("expired").name, 1, 20, goes_on=False)
    cursor.execute("SELECT event_time FROM option_trades ORDER BY event_time")
    moments = [to_microseconds(moment) for (moment,) in cursor.fetchall()]
    scope = Scope(DERIBIT_OPTION_TRADES, Window(moments[0], moments[-1] + 1), moments[-1] + DAY, settings, seed="test")
    found = Refetch().run(cursor, scope)
    assert (found.found, found.figures["windows_not_told"]) == (0, 0)
    assert found.checked > 0
    cursor.execute("UPDATE option_trades SET price = price + 1, side = 'sell'")
    changed = Refetch().run(cursor, scope)
    assert (changed.checked, changed.found) == (found.checked, found.checked)
    assert {str(row["differs"]) for row in changed.sample} <= {"price", "price, side"}
