"""What is remembered of the files of an archive."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekeeper.clock import now_microseconds
from tapekeeper.model.archive import ArchiveFile
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, BINANCE_UM_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue
from tapekeeper.store.archive_files import due_for_look, loaded_sha256, note_loaded, note_looked
from tapekeeper.store.database import Database
from tests.support.candles import MINUTE, START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import cursor as Cursor

BITCOIN = Instrument("binance_um", "BTCUSDT", "perpetual", "BTC", START)
FILES = [
    ArchiveFile(
        name=f"BTCUSDT-1m-2020-0{month}.zip",
        window=Window(START, START + 900 * MINUTE),
        dataset=BINANCE_UM_CANDLES,
        instrument_name=BITCOIN.name,
        resolution=Resolution(60),
    )
    for month in (7, 8, 9)
]
OLD, NEW = "0" * 64, "f" * 64


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


@pytest.fixture
def series_id(database: Database) -> int:
    def make(cursor: Cursor) -> int:
        return catalogue.ensure_series(cursor, BINANCE_UM_CANDLES, BITCOIN, Resolution(60)).series_id

    return database.run(make)


def minutes(first: int, end: int) -> Window:
    return Window(START + first * MINUTE, START + end * MINUTE)


def load(series_id: int, file: ArchiveFile, taken: Window, sha256: str) -> Callable[[Cursor], None]:
    return lambda cursor: note_loaded(cursor, series_id, file, taken, sha256=sha256, size_bytes=900, rows=3)


def test_what_was_taken_is_kept_while_the_file_is_the_same(database: Database, series_id: int) -> None:
    file = FILES[0]
    assert database.run(lambda cursor: loaded_sha256(cursor, series_id, file.name)) is None
    for taken, sha256, kept in (
        (minutes(100, 200), OLD, minutes(100, 200)),
        (minutes(300, 400), OLD, minutes(100, 400)),
        (minutes(150, 160), OLD, minutes(100, 400)),
        (minutes(150, 160), NEW, minutes(150, 160)),
        (minutes(50, 155), NEW, minutes(50, 160)),
    ):
        database.run(load(series_id, file, taken, sha256))
        assert database.run(lambda cursor: loaded_sha256(cursor, series_id, file.name)) == (sha256, kept)


def test_the_file_that_was_not_looked_at_for_the_longest_time_comes_first(database: Database, series_id: int) -> None:
    for file in FILES:
        database.run(load(series_id, file, file.window, OLD))
    loaded = now_microseconds() + 1

    def due(before: int, limit: int = 9) -> list[str]:
        found = database.run(lambda cursor: due_for_look(cursor, BINANCE_UM_CANDLES, before=before, limit=limit))
        return [each.name for each in found]

    names = [file.name for file in FILES]
    assert due(loaded) == names
    assert due(loaded, limit=2) == names[:2]
    assert due(START) == []
    database.run(lambda cursor: note_looked(cursor, series_id, names[0]))
    looked = now_microseconds() + 1
    assert due(looked) == [*names[1:], names[0]]
    database.run(load(series_id, FILES[1], FILES[1].window, NEW))
    (first, *_, last) = database.run(
        lambda cursor: due_for_look(cursor, BINANCE_UM_CANDLES, before=now_microseconds() + 1, limit=9)
    )
    assert (first.name, last.name, last.sha256, last.checked_at) == (names[2], names[1], NEW, last.loaded_at)
    assert (last.instrument_name, last.dataset, last.resolution) == ("BTCUSDT", BINANCE_UM_CANDLES, Resolution(60))
    assert (last.window, last.size_bytes, last.rows_told) == (FILES[1].window, 900, 3)
    assert database.run(lambda cursor: due_for_look(cursor, BINANCE_UM_AGG_TRADES, before=looked, limit=9)) == []
