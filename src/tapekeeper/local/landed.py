"""What has landed in the database, compared with what the venue simulator knows to be true."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, format_moment, to_microseconds
from tapekeeper.local.loopback import ask
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.window import Window
    from tapekeeper.settings import Settings

TRUTH_SECONDS: Final = 120.0
RESOLUTION_SECONDS: Final = 60
_COLUMNS: Final = ("open", "high", "low", "close", "volume")
_OF_WINDOW: Final = """
FROM candles
JOIN series USING (series_id)
JOIN instruments USING (instrument_id)
WHERE series.dataset = %s AND series.resolution_seconds = %s AND instruments.name = ANY(%s)
AND candles.open_time >= %s AND candles.open_time < %s
"""
_COUNT: Final = f"SELECT count(*) {_OF_WINDOW}"
_ROWS: Final = f"SELECT open_time, open, high, low, close, volume {_OF_WINDOW} ORDER BY open_time"

Candle = tuple[float, ...]
"""open, high, low, close, volume."""


@dataclass(frozen=True, slots=True)
class Landed:
    """The rows of one instrument inside a window."""

    instrument: str
    rows: int
    first: str
    """Open time of the oldest row, as text; empty without rows."""
    last: str
    differing: int | None
    """Rows that are missing, superfluous or different from the simulator's truth; None where there is no simulator."""


def count_rows(settings: Settings, instruments: Sequence[str], window: Window) -> int:
    """Return how many one-minute candles of the instruments are held inside the window."""
    return int(_query(settings, _COUNT, instruments, window)[0][0])


def read_landed(
    settings: Settings, instruments: Sequence[str], window: Window, *, simulator_url: str | None
) -> list[Landed]:
    """Return what is held of each instrument, compared row by row and column by column where there is a simulator."""
    return [_landed(settings, instrument, window, simulator_url) for instrument in instruments]


def _landed(settings: Settings, instrument: str, window: Window, simulator_url: str | None) -> Landed:
    held = {to_microseconds(row[0]): tuple(row[1:]) for row in _query(settings, _ROWS, [instrument], window)}
    differing = None
    if simulator_url:
        truth = _truth(simulator_url, instrument, window)
        differing = sum(held.get(moment) != truth.get(moment) for moment in held.keys() | truth.keys())
    first, last = (format_moment(min(held)), format_moment(max(held))) if held else ("", "")
    return Landed(instrument, len(held), first, last, differing)


def _truth(simulator_url: str, instrument: str, window: Window) -> dict[int, Candle]:
    asked: dict[str, str | int] = {
        "instrument": instrument,
        "start": window.start // MICROSECONDS_PER_MILLISECOND,
        "end": window.end // MICROSECONDS_PER_MILLISECOND,
        "resolution": "1",
    }
    answer = ask(f"{simulator_url}/truth/candles", seconds=TRUTH_SECONDS, parameters=asked)
    answer.raise_for_status()
    found = answer.json()
    values = zip(*(found[column] for column in _COLUMNS), strict=True)
    candles = zip(found["ticks"], values, found["missing"], strict=True)
    return {tick * MICROSECONDS_PER_MILLISECOND: tuple(value) for tick, value, missing in candles if not missing}


def _query(settings: Settings, query: str, instruments: Sequence[str], window: Window) -> list[tuple[Any, ...]]:
    asked = (DERIBIT_PERPETUAL_CANDLES.name, RESOLUTION_SECONDS, list(instruments), *window.as_datetimes())

    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(query, asked)
        return cursor.fetchall()

    with closing(Database(settings.reader_database_url.get_secret_value())) as database:
        return database.run(work)
