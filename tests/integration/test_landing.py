"""What a venue told becomes rows, and what it did not tell is not taken for told."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekeeper.backfill.landing import EMPTY_DAY_IS_BELIEVED_AFTER, land
from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.option_candle import OptionCandles
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue
from tapekeeper.store.database import Database
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tapekeeper.store.told import untold_windows
from tests.support.candles import START

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

ETHER = Instrument("cryptodatadownload", "ETH", "option_chain", "ETH", START)


@pytest.mark.parametrize(
    ("days_old", "is_told"), [(2, False), (EMPTY_DAY_IS_BELIEVED_AFTER // MICROSECONDS_PER_DAY + 2, True)]
)
def test_a_day_that_may_not_be_published_yet_is_asked_for_again(
    database_url: str, days_old: int, is_told: bool
) -> None:
    midnight = now_microseconds() // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
    day = Window(midnight - days_old * MICROSECONDS_PER_DAY, midnight - (days_old - 1) * MICROSECONDS_PER_DAY)

    def land_nothing(cursor: Cursor) -> list[Window]:
        dataset = CRYPTODATADOWNLOAD_OPTION_CANDLES
        chain = catalogue.ensure_series(cursor, dataset, ETHER, Resolution(0)).series_id
        land(cursor, dataset, chain, day, OptionCandles.empty(), source="rest")
        return untold_windows(cursor, chain, day)

    with closing(Database(database_url, prepare=INCOMING_GRID_TABLES)) as database:
        assert database.run(land_nothing) == ([] if is_told else [day])
