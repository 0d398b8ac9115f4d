"""Open interest of /futures/data/openInterestHist, and which of it can be believed.

A row is {"symbol", "sumOpenInterest" (base currency), "sumOpenInterestValue" (quote currency), "timestamp"}; the time
came as a number and as text (both recorded). A period without a trade is left out, and never told later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MILLISECONDS_MAXIMUM
from tapekeeper.model.answer import Answer
from tapekeeper.model.open_interest import OpenInterest
from tapekeeper.venues.binance_um.told_lists import list_about
from tapekeeper.venues.told_columns import ToldColumns

if TYPE_CHECKING:
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window

FIELDS: Final = ("symbol", "sumOpenInterest", "sumOpenInterestValue", "timestamp")
LONGEST_TIME: Final = len(str(MILLISECONDS_MAXIMUM))


def parse_open_interest(
    result: object, instrument_name: str, window: Window, period: Resolution, now: int
) -> Answer[OpenInterest]:
    """Return the open interest at the grid points of a window, in the units of `OpenInterest`.

    Args:
        result: the venue's, parsed JSON.
        instrument_name: whose it was asked for.
        window: what was asked for, on the grid of the period.
        period: the distance of the points.
        now: microseconds since 1970; nothing after it is believed.

    Raises:
        ParseFailure: the answer is not of the documented shape, or about another instrument.
        WindowMismatch: it holds a point of another window or of another grid.
        InvariantBroken: the points do not ascend.
    """
    told_rows = list_about(result, instrument_name, "open interest", "a row of open interest")
    if not told_rows:
        return Answer(OpenInterest.empty())
    columns = {name: [row.get(name) for row in told_rows] for name in FIELDS}
    columns["timestamp"] = [_as_number(value) for value in columns["timestamp"]]
    told = ToldColumns(columns)
    rows = OpenInterest(
        event_time=told.moments("timestamp"),
        open_interest=told.decimals("sumOpenInterest"),
        open_interest_value=told.decimals("sumOpenInterestValue"),
    )
    doubt_open_interest(told, rows)
    return told.believe(rows, window, period, latest=now)


def doubt_open_interest(told: ToldColumns, rows: OpenInterest) -> None:
    """Put rows aside that cannot be.

    Args:
        told: what the rows were read from.
        rows: every row as it came.
    """
    values = {name: getattr(rows, name) for name in ("open_interest", "open_interest_value")}
    for name, column in values.items():
        told.doubt(column < 0, f"{name} {{{name}!r}} is below zero", values)


def _as_number(value: object) -> object:
    """Return a time written as text as a number; one that is longer than any time stays as it came."""
    if isinstance(value, str) and len(value) <= LONGEST_TIME and value.isascii() and value.isdigit():
        return int(value)
    return value
