"""Candles of public/get_tradingview_chart_data, and which of them can be believed.

The answer is columnar: `ticks` (open times in milliseconds), `open`, `high`, `low`, `close`, `volume` (base currency)
and `cost` (quote currency), equally long. A minute without trades comes as the previous close with volume 0: that is a
candle like any other. A minute that is not there at all is a hole, and stays one.
"""

from __future__ import annotations

import logging
import reprlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tapekeeper.errors import ParseFailure
from tapekeeper.model.answer import Answer
from tapekeeper.model.candle import Candles
from tapekeeper.venues.candle_columns import SIGNIFICANT_DIGITS, VALUES, believe_candles, count_long_numbers
from tapekeeper.venues.told_columns import ToldColumns

if TYPE_CHECKING:
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.window import Window

    Column = list[object]
    Mask = npt.NDArray[np.bool_]

log = logging.getLogger(__name__)


class CandleParser:
    """Turns answers into candles and counts what is unusual about them; one per thread."""

    def __init__(self) -> None:
        self.long_numbers = 0
        """Numbers so far with more than 15 significant digits; they are stored as the nearest double."""

    def parse(self, result: object, window: Window, resolution: Resolution, now: int) -> Answer[Candles]:
        """Return the closed candles of a window.

        Args:
            result: the venue's, parsed JSON.
            window: what was wanted, on the grid of the resolution. One candle before it is accepted and left out: the
                request began a millisecond before the window, and the venue may round that down.
            resolution: length of a candle.
            now: microseconds since 1970; the candle that is still open then is left out.

        Raises:
            ParseFailure: the answer is not of the documented shape.
            WindowMismatch: it holds a candle of another window or of another grid.
            InvariantBroken: the open times do not ascend.
        """
        columns = _columns(result)
        if columns is None:
            return Answer(Candles.empty())
        told = ToldColumns(columns)
        opens, high, low, close, volume, cost = (told.numbers(name) for name in VALUES)
        candles = Candles(told.moments("ticks"), opens, high, low, close, volume, cost)
        count = count_long_numbers(candles)
        if count:
            self.long_numbers += count
            log.debug("%d numbers with more than %d significant digits", count, SIGNIFICANT_DIGITS)
        return believe_candles(told, candles, window, resolution, now)


def _columns(result: object) -> dict[str, Column] | None:
    """Return the columns, equally long, or None where the venue has no data; then it may leave them out."""
    if not isinstance(result, dict):
        raise ParseFailure(f"candles should come as an object, not as {type(result).__name__}")
    status = result.get("status")
    if status == "no_data" and not result.get("ticks"):
        return None
    if status != "ok":
        raise ParseFailure(
            f"candles came with status {reprlib.repr(status)}: only 'ok', or 'no_data' without candles, is known"
        )
    columns: dict[str, Column] = {}
    for name in ("ticks", *VALUES):
        column = result.get(name)
        if not isinstance(column, list):
            raise ParseFailure(f"candles came without a list of {name!r}")
        columns[name] = column
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise ParseFailure(f"the columns of the candles differ in length: {lengths}")
    return columns
