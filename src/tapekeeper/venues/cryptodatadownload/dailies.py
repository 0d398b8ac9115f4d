"""Daily candles of options, and which of them can be believed.

A row is {"unix" (milliseconds), "date", "symbol", "open", "high", "low", "close" (text), "volume" (number)}. The day of
the venue begins at `unix`, which is at 08:00 UTC of `date`. A day without a trade repeats the close before it with
volume 0: a candle like any other. An option may be worth nothing.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_DAY, format_moment
from tapekeeper.errors import ParseFailure, WindowMismatch
from tapekeeper.model.answer import Answer
from tapekeeper.model.option_candle import OptionCandles
from tapekeeper.venues.candle_columns import PRICES, doubt_shape
from tapekeeper.venues.cryptodatadownload.names import parse_option
from tapekeeper.venues.told_columns import ToldColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from tapekeeper.model.instrument import Instrument
    from tapekeeper.model.window import Window

FIELDS: Final = ("unix", "date", "symbol", *PRICES, "volume")
VALUES: Final = (*PRICES, "volume")
NO_OPTION: Final = -1
"""Stands in a column of options where the name cannot be understood."""


def parse_day(rows: Sequence[object], currency: str, day: Window) -> Answer[OptionCandles]:
    """Return the candles of all options of a currency on one day, in the units of `OptionCandles`.

    Args:
        rows: the venue's, parsed JSON, of all pages.
        currency: whose options were asked for.
        day: from midnight to midnight of the date that was asked for.

    Raises:
        ParseFailure: the answer is not of the known shape.
        WindowMismatch: it holds a row of another day or of another currency.
    """
    told = _Told(rows)
    days = told.candles.day
    strays = days[(days >= 0) & (days != day.start)]
    if len(strays):
        raise WindowMismatch(
            f"{len(strays)} of {len(days)} rows are of another day than {format_moment(day.start)},"
            f" such as {format_moment(int(strays[0]))}"
        )
    others = [name for name in told.names if name.partition("-")[0] != currency]
    if others:
        raise WindowMismatch(
            f"{len(others)} of {len(days)} rows are not of {currency}, such as {reprlib.repr(others[0])}"
        )
    return told.believe(np.ones(len(days), dtype=np.bool_))


def parse_days_of(rows: Sequence[object], name: str, window: Window) -> Answer[OptionCandles]:
    """Return the candles of one option on the days of a window; the venue tells all of its days.

    Args:
        rows: the venue's, parsed JSON, of all pages.
        name: the option that was asked for.
        window: days that begin in it are returned.

    Raises:
        ParseFailure: the answer is not of the known shape.
        WindowMismatch: it holds a row of another option.
    """
    told = _Told(rows)
    others = [other for other in told.names if other != name]
    if others:
        raise WindowMismatch(f"{len(others)} of {len(rows)} rows are not of {name}, such as {reprlib.repr(others[0])}")
    days = told.candles.day
    return told.believe((days < 0) | ((days >= window.start) & (days < window.end)))


class _Told:
    """Rows as they came, each once: what is told again in the same words says nothing new."""

    def __init__(self, rows: Sequence[object]) -> None:
        fields = list(dict.fromkeys(map(_fields, rows)))
        self._columns = ToldColumns({name: [row[place] for row in fields] for place, name in enumerate(FIELDS)})
        symbols = [row[FIELDS.index("symbol")] for row in fields]
        self.names = [symbol for symbol in symbols if isinstance(symbol, str)]
        """Of the options of all rows, where there is one."""
        days = self._columns.days("date")
        options, option = self._options(symbols, int(min((day for day in days if day >= 0), default=0)))
        told = self._columns
        self.candles = OptionCandles(
            options,
            option,
            day=days,
            open_time=told.moments("unix"),
            open=told.decimals("open"),
            high=told.decimals("high"),
            low=told.decimals("low"),
            close=told.decimals("close"),
            volume=told.numbers("volume"),
        )
        self._doubt()

    def believe(self, wanted: npt.NDArray[np.bool_]) -> Answer[OptionCandles]:
        """Return the wanted rows that can be believed, in their order, and those that cannot."""
        answer = self._columns.sort_out(self.candles, wanted)
        return Answer(_ordered(answer.rows), answer.rejected)

    def _options(self, symbols: list[object], first_day: int) -> tuple[tuple[Instrument, ...], npt.NDArray[np.int64]]:
        """Return the options, by name, and the place of the option of each row among them."""
        understood = {name: parse_option(name, first_day) for name in self.names}
        options = tuple(option for _, option in sorted(understood.items()) if option is not None)
        places = {option.name: place for place, option in enumerate(options)}
        option = [places.get(symbol, NO_OPTION) if isinstance(symbol, str) else NO_OPTION for symbol in symbols]
        for row, (symbol, place) in enumerate(zip(symbols, option, strict=True)):
            if place == NO_OPTION:
                self._columns.put_aside(row, f"symbol {reprlib.repr(symbol)} is no name of an option")
        return options, np.array(option, dtype=np.int64)

    def _doubt(self) -> None:
        candles, told = self.candles, self._columns
        values = {name: getattr(candles, name) for name in VALUES}
        doubt_shape(told, values)
        for name, column in values.items():
            told.doubt(column < 0, f"{name} {{{name}!r}} is below zero", values)
        elsewhere = candles.open_time // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY != candles.day
        for row in np.flatnonzero(elsewhere & (candles.open_time >= 0) & (candles.day >= 0)):
            began, date = format_moment(int(candles.open_time[row])), format_moment(int(candles.day[row]))
            told.put_aside(int(row), f"unix {began} is not on the date {date}")
        for place, (option, day) in enumerate(zip(candles.option.tolist(), candles.day.tolist(), strict=True)):
            expires_at = candles.options[option].expires_at if option != NO_OPTION else None
            if expires_at is not None and day >= expires_at:
                told.put_aside(place, f"the option expired at {format_moment(expires_at)}, before the day began")
        self._doubt_repetitions()

    def _doubt_repetitions(self) -> None:
        """Put what is told of an option and a day after the first time aside; equal rows are one already."""
        seen = set()
        for row, key in enumerate(zip(self.candles.option.tolist(), self.candles.day.tolist(), strict=True)):
            if key in seen:
                self._columns.put_aside(row, "another row tells the same day of the same option differently")
            seen.add(key)


def _fields(row: object) -> tuple[object, ...]:
    """Return the fields of a row in the order of FIELDS."""
    if not isinstance(row, dict) or not row.keys() >= set(FIELDS):
        raise ParseFailure(f"a row should have {', '.join(FIELDS)}, not be {reprlib.repr(row)}")
    return tuple(repr(row[name]) if isinstance(row[name], list | dict) else row[name] for name in FIELDS)


def _ordered(candles: OptionCandles) -> OptionCandles:
    """Return candles by day and then by option, with no option that has none."""
    if not len(candles):
        return OptionCandles.empty()
    held, option = np.unique(candles.option, return_inverse=True)
    order = np.lexsort((option, candles.day))
    return OptionCandles(
        tuple(candles.options[place] for place in held),
        option[order].astype(np.int64),
        *(getattr(candles, name)[order] for name in ("day", "open_time", *VALUES)),
    )
