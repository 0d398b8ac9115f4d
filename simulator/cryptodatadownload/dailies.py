"""Daily candles of options: which there are, which have data, and what the data are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from simulator import expiries
from simulator.catalogue import Catalogue
from simulator.hashing import key_of, uniform, uniforms
from simulator.instruments import VenueInstrument
from simulator.market import Market, to_ticks
from simulator.moments import DAY, HOUR, MINUTE, day_of, day_start
from simulator.recent import Recent
from tapekeeper.model.candle import Float64Column, Int64Column

FIRST_DAY: Final = date(2023, 3, 30)
LAST_DAY: Final = date(2024, 6, 16)
CURRENCIES: Final = ("BTC", "ETH", "XRP_USDC")
OPENING: Final = 8 * HOUR
_FIRST, _LAST = day_start(FIRST_DAY) + OPENING, day_start(LAST_DAY) + OPENING
_WITH_DATA: Final = 0.5
_ROWS_KEPT: Final = 2_000_000
_AT_A_STRETCH: Final = 64
_STRETCH: Final = 16 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class Dailies:
    """n days of one option, oldest first, columns of shape (n,); prices in coins."""

    time: Int64Column
    """When the day begins in milliseconds, which is at 08:00 UTC."""
    open: Float64Column
    high: Float64Column
    low: Float64Column
    close: Float64Column
    volume: Float64Column


class OptionDailies:
    """The daily candles of all options of one seeded world."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._catalogue = Catalogue(market)
        self._options: dict[str, list[VenueInstrument]] = {}
        self._made: Recent[str, Dailies | None] = Recent(_ROWS_KEPT, lambda made: 1 if made is None else len(made.time))

    async def options(self, currency: str) -> list[VenueInstrument]:
        """Return all options of a currency that are told of, with or without data; none of others."""
        if currency not in self._options:
            found: dict[str, VenueInstrument] = {}
            for start in range(_FIRST, _LAST + DAY, _STRETCH):
                end = min(start + _STRETCH, _LAST + DAY) - 1
                found |= {one.name: one for one in self._alive(currency, start, end)}
                await asyncio.sleep(0)
            self._options[currency] = [found[name] for name in sorted(found)]
        return self._options[currency]

    def of_expiry(self, currency: str, code: str) -> list[VenueInstrument]:
        """Return the options that expire on a day, which is written as in their names: 5APR24."""
        day = expiries.expiry_in_name(code)
        if day is None or expiries.expiry_code(day) != code:
            return []
        last = expiries.expires_at(day) - 1
        return [one for one in self._alive(currency, last, last) if one.expiry_day == day and _is_told(one)]

    def of_day(self, currency: str, time: int) -> list[VenueInstrument]:
        """Return the options that are alive on the day that begins then (milliseconds)."""
        return [one for one in self._alive(currency, time, time + DAY - 1) if _is_told(one)]

    def find(self, name: str) -> VenueInstrument | None:
        """Return the option of that name."""
        option = self._catalogue.find(name, _LAST + DAY - 1)
        is_one = option is not None and option.kind == "option" and name.split("-")[0] in CURRENCIES
        return option if is_one and option is not None and _is_told(option) else None

    def candles(self, option: VenueInstrument) -> Dailies | None:
        """Return all days that are held of an option, or None where there are none."""
        return self._made.get(option.name, lambda: self._make(option))

    async def many(self, options: list[VenueInstrument]) -> list[tuple[VenueInstrument, Dailies]]:
        """Return the days of those options that have any, and let others have their turn meanwhile."""
        found = []
        for position, option in enumerate(options):
            made = self.candles(option)
            if made is not None:
                found.append((option, made))
            if position % _AT_A_STRETCH == _AT_A_STRETCH - 1:
                await asyncio.sleep(0)
        return found

    def _alive(self, currency: str, start: int, end: int) -> list[VenueInstrument]:
        """Return the options of a currency that are alive at some time in `[start, end]`, by name."""
        if currency not in CURRENCIES:
            return []
        beginning = f"{currency}-"
        alive = self._catalogue.between(start, end)
        options = (one for one in alive if one.kind == "option" and one.name.startswith(beginning))
        return sorted(options, key=lambda one: one.name)

    def _make(self, option: VenueInstrument) -> Dailies | None:
        seed = self._market.seed
        if uniform(seed, "option has dailies", option.name) >= _WITH_DATA:
            return None
        times = np.arange(option.listed_at, option.expires_at, DAY)
        days = times // DAY
        key = key_of(seed, "option dailies", option.name)
        traded = uniforms(key, days) < uniform(seed, "option is busy", option.name)
        traded[0] = True
        mark = to_ticks(option, self._market.mark(option, times + DAY - MINUTE), 0)
        order = np.arange(len(days))
        close = mark[np.maximum.accumulate(np.where(traded, order, 0))]
        before = np.concatenate([close[:1], close[:-1]])
        width = 0.08 * uniforms(key ^ 1, days)
        high = to_ticks(option, np.maximum(before, close) * (1.0 + width), 0)
        low = to_ticks(option, np.minimum(before, close) * (1.0 - width), 0)
        units = np.floor(1.0 + 300.0 * uniforms(key ^ 2, days) ** 3)
        volume = np.where(traded, units / round(1.0 / option.min_trade_amount), 0.0)
        held = (times >= _FIRST) & (times <= _LAST)
        if not held.any():
            return None
        opened, high, low = (np.where(traded, column, close)[held] for column in (before, high, low))
        return Dailies(times[held], opened, high, low, close[held], volume[held])


def _is_told(option: VenueInstrument) -> bool:
    """Return whether any day of its life can be held."""
    return option.listed_at < _LAST + DAY and option.expires_at > _FIRST


def day_text(time: int) -> str:
    """Return the day that begins then as it stands in the column `date`."""
    return day_of(time).isoformat()
